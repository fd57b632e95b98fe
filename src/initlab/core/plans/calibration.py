"""The scales that data decide: one layer after the other, in the order of the forward pass (LSUV)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from initlab.core.adapter import Adapter, WeightSource
from initlab.core.errors import OptionError, UnsupportedError
from initlab.core.laws import Calibrated
from initlab.core.plans.plan import PlanEntry
from initlab.core.signals.readings import Place, Reading, Sums

Laws = Mapping[str, Calibrated]


@dataclass(frozen=True)
class Output:
    """What a pass showed of the output of a layer.

    Attributes:
        std: Over all entries, with ``n - 1`` in the denominator.
        rows: Samples of the batch.
        broken: Entries that are NaN or infinite.
        uses: Outputs that the layer's weight has in the pass; this is the first.
    """

    std: float
    rows: int
    broken: int = 0
    uses: int = 1


Look = Callable[[Laws], Mapping[str, Output]]
"""From laws with scales, by path, to the output of each weight under them, in the order of the forward pass."""


@dataclass(frozen=True)
class Calibration:
    """What a batch decided of one weight.

    Attributes:
        law: With the scale.
        before: The std of the layer's output under the base law, every earlier layer being calibrated.
        after: That under the law.
        steps: Corrections of the scale.
        output: What the last pass showed.
    """

    law: Calibrated
    before: float
    after: float
    steps: int
    output: Output

    def __str__(self) -> str:
        times = f"{self.steps} step{'' if self.steps == 1 else 's'}"
        shared = "" if self.output.uses == 1 else f", the first of {self.output.uses} uses"
        return f"output std {self.before:.4g} to {self.after:.4g} in {times}, {self.output.rows} rows{shared}"


def calibrate(laws: Laws, look: Look) -> dict[str, Calibration]:
    """The scale of each weight, so that its layer's output has the target std, within the tolerance.

    The layers are gone through in the order of the forward pass; each is divided by the std of its output, over its
    target, until that is within the tolerance.

    Args:
        laws: By path; scales in them are not looked at.
        look: Is asked for one pass, and one more after each correction.

    Raises:
        OptionError: The pass shows no output of a weight, an output is constant or not finite, or the tolerance is not
            reached in the steps that the law allows.

    Example:
        >>> from initlab.core.laws import Normal
        >>> def look(laws):      # two linear units in a row, of weights 8 and 0.5
        ...     first, second = 8.0 * laws["a"].scale, 0.5 * laws["b"].scale
        ...     return {"a": Output(first, 2), "b": Output(first * second, 2)}
        >>> found = calibrate({"b": Calibrated(Normal(1.0)), "a": Calibrated(Normal(1.0))}, look)
        >>> [(path, one.law.scale, one.before) for path, one in found.items()]
        [('a', 0.125, 8.0), ('b', 2.0, 0.5)]

    Source: Mishkin and Matas 2016, arXiv:1511.06422, algorithm 1.
    """
    scaled = {path: law.scaled(1.0) for path, law in laws.items()}
    seen = look(scaled)
    unseen = [path for path in laws if path not in seen]
    if unseen:
        raise OptionError(
            "the pass shows no output that this weight makes by a weighted sum, to be scaled",
            where=unseen[0],
            fix="give this parameter another scheme, or exclude it",
        )
    found = {}
    for path in [path for path in seen if path in laws]:
        before, steps = seen[path].std, 0
        while not _is_reached(scaled[path], seen[path], path):
            if steps == scaled[path].steps:
                raise _unreached(path, seen[path], scaled[path])
            scaled[path] = _corrected(scaled[path], seen[path], path)
            seen, steps = look(scaled), steps + 1
        found[path] = Calibration(scaled[path], before, seen[path].std, steps, seen[path])
    return found


def _is_reached(law: Calibrated, output: Output, path: str) -> bool:
    if output.broken:
        found = f"{output.broken} entries of this layer's output are not finite"
        raise OptionError(found, where=path, fix="give a batch that the model's layers take without overflow")
    return abs(output.std / law.target - 1.0) <= law.tolerance


def _corrected(law: Calibrated, output: Output, path: str) -> Calibrated:
    if not output.std > 0.0 or not math.isfinite(output.std):
        found = f"this layer's output has std {output.std:.3g} on the batch of {output.rows}, which no factor mends"
        raise OptionError(found, where=path, fix="give a batch of more, and different, rows, or another scheme")
    assert law.scale is not None
    return law.scaled(law.scale * law.target / output.std)


def _unreached(path: str, output: Output, law: Calibrated) -> OptionError:
    return OptionError(
        f"after {law.steps} steps the std of this layer's output is {output.std:.4g}, not {law.target:g}",
        where=path,
        fix="exclude the biases that hold it up, or give this parameter another scheme",
    )


def calibrated_rows(
    model: object, adapter: Adapter, rows: Mapping[str, PlanEntry], seed: int, example: object
) -> dict[str, PlanEntry]:
    """The same rows with the scales that an example gives, and with what was seen in their reasons.

    All rows are written into the model for it, which then holds again what it held, also after an error. The model is
    in training mode, as for ``capture``, and its own chance, as that of dropout, starts from the seed in every pass.

    Args:
        model: The framework's model.
        adapter: The framework's side.
        rows: What is to be initialised, by canonical path.
        seed: Of the draw.
        example: What the model is called with.

    Raises:
        OptionError: As ``calibrate``; or the process is one of a group.
        InitlabError: What ``capture`` raises.
    """
    waiting = {path: entry.law for path, entry in rows.items() if isinstance(entry.law, Calibrated)}
    if not waiting:
        return dict(rows)
    _check_alone(model, adapter)
    params = {path: entry.param for path, entry in rows.items()}
    natives = {p.native: path for path, p in params.items() if path in waiting}
    held: dict[str, Calibrated] = {}

    def look(laws: Laws) -> Mapping[str, Output]:
        for path, law in laws.items():
            if held.get(path) != law:
                adapter.write(model, params[path], WeightSource(law, params[path], seed))
                held[path] = law
        return outputs_of(adapter.capture(model, example).reading, natives)

    with adapter.holding(model, params.values()), adapter.seeded(seed):
        for path, entry in rows.items():
            if entry.law is not None and path not in waiting:
                adapter.write(model, entry.param, WeightSource(entry.law, entry.param, seed))
        try:
            found = calibrate(waiting, look)
        except OptionError as error:
            native = params[error.where].native if error.where in params else error.where
            raise OptionError(error.what, where=native, fix=error.fix) from None
    return {
        path: replace(entry, law=found[path].law, why=f"{entry.why}: {found[path]}") if path in found else entry
        for path, entry in rows.items()
    }


def _check_alone(model: object, adapter: Adapter) -> None:
    """Nothing, where one process alone holds the model; each of a group would scale by a batch of its own."""
    try:
        with adapter.seeded(0):
            adapter.random_bits(model)
    except UnsupportedError:  # a framework whose weights come from no generator of the process
        return
    except OptionError:
        raise OptionError(
            "the processes of a group would each scale the weights to a batch of their own",
            where="example",
            fix="initialise the model in one process before it is sharded, or give a scheme that needs no data",
        ) from None


def outputs_of(reading: Reading, paths: Mapping[str, str]) -> dict[str, Output]:
    """The output of each weight, in the order of the pass; of a weight that is used several times the first.

    Args:
        reading: Of one pass.
        paths: What the weights are to be called, by native name; others are left out.
    """
    found: dict[str, Output] = {}
    for at, place in enumerate(reading.places):
        if not _is_sum(place) or at not in reading.forward:
            continue
        for path in (paths[name] for name in place.params if name in paths):
            first = found.get(path)
            found[path] = replace(first, uses=first.uses + 1) if first else _output(reading.forward[at])
    return found


def _is_sum(place: Place) -> bool:
    return place.kind == "weighted" and "table" not in place.facts


def _output(sums: Sums) -> Output:
    n = sums.entries - sums.broken
    variance = max(sums.square - sums.mean**2, 0.0) * n / (n - 1) if n > 1 else math.nan
    return Output(math.sqrt(variance), sums.rows, sums.broken)


def is_data_driven(rows: Iterable[PlanEntry]) -> bool:
    """Whether the law of a row takes its scale from data."""
    return any(isinstance(entry.law, Calibrated) for entry in rows)
