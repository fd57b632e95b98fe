"""What a profile tells of each layer: theory beside measurement, read off the evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from initlab.core.errors import InitlabError
from initlab.core.signals.readings import Place, Reading, Sums
from initlab.probing.records import Evidence, Expected, LayerStat, Metric
from initlab.theory import activation, dead_share, saturation_probability, silent_below

# Standard deviations by which a measurement may stray, and a share that is left to what theory leaves out.
_DEVIATIONS = 3.0
_SLACK = 0.05
_CERTAIN = 1e-3
# From a weighted sum to its activation a value may go through these, as their first input.
_BETWEEN = frozenset({"norm", "pass", "dropout", "scale", "sum", "pool"})


@dataclass(frozen=True)
class Compared:
    """One number: what theory says beside what is there.

    Attributes:
        predicted: None where theory is silent.
        measured: Over the batch; NaN where it was not measured.
        stderr: Standard error over the samples; NaN where it cannot be had.
        scatter: Std of the logarithm from draw to draw of the weights.
    """

    predicted: float | None
    measured: float
    stderr: float = math.nan
    scatter: float = 0.0

    @property
    def ratio(self) -> float:
        """Measured over predicted; NaN where one of them is not known or zero."""
        if self.predicted is None or not self.predicted > 0.0 or not self.measured > 0.0:
            return math.nan
        return self.measured / self.predicted

    @property
    def is_off(self) -> bool:
        """Whether the measurement is further from theory than 3 of its errors and scatter explain, and 5 % besides.

        Example:
            >>> Compared(1.0, 1.3, stderr=0.05).is_off, Compared(1.0, 1.3, stderr=0.05, scatter=0.2).is_off
            (True, False)
        """
        if self.predicted is None or math.isnan(self.measured):
            return False
        if math.isnan(self.ratio):
            return (self.predicted > 0.0) != (self.measured > 0.0)
        error = 0.0 if math.isnan(self.stderr) else self.stderr / self.measured
        return abs(math.log(self.ratio)) > _DEVIATIONS * math.hypot(error, self.scatter) + _SLACK


@dataclass(frozen=True)
class LayerRow:
    """One weighted layer.

    Attributes:
        path: The layer, as in ``Place.path``.
        activation: The path of the activation behind it; empty where none is reached before the next weights.
        f: That activation's call; empty where it is not known.
        units: Channels or features.
        is_hidden: Whether further weights stand between it and every output; a look-up does not count.
        signal: E[z^2] of the weighted sum.
        after: E[a^2] behind the activation.
        gradient: E[(dL/dz)^2].
        cosine: Of two samples, before the activation.
        dead: Share of units that are zero on the whole batch behind a one-sided activation.
        dead_by_likeness: Share of them that the likeness of the samples explains, were there no biases; None where it
            is not known.
        saturated: Share of entries at which the slope is below 5 % of its largest.
        clones: Units that are equal to an earlier one: on the whole batch, or by their weights.
        rank: Directions that the first samples take, by participation ratio.
        weight_std: Of the layer's weight.
        update_ratio: Root mean square of the weight's gradient over that of the weight.
        entries: Numbers of one sample.
        unknown: Why theory had to go on from the measurement here; empty where it had not.
        gradient_unknown: The same of the gradient.
    """

    path: str
    activation: str
    f: str
    units: int
    is_hidden: bool
    signal: Compared
    after: Compared
    gradient: Compared
    cosine: Compared
    dead: Compared
    saturated: Compared
    clones: int
    rank: float
    weight_std: float
    update_ratio: float
    entries: int
    unknown: str = ""
    dead_by_likeness: float | None = None
    gradient_unknown: str = ""

    @property
    def is_off(self) -> bool:
        """Whether signal, activation or gradient is off theory."""
        return self.signal.is_off or self.after.is_off or self.gradient.is_off


def layer_rows(evidence: Evidence) -> tuple[LayerRow, ...]:
    """A row for every weighted place and recurrent layer, in the order in which they are used."""
    behind = _activations_behind(evidence)
    last = _last_weighted(evidence)
    places = enumerate(evidence.reading.places)
    return tuple(
        _row(evidence, i, behind.get(i), place.kind == "weighted" and i not in last and not place.facts.get("table"))
        for i, place in places
        if place.kind == "weighted" or is_recurrent(evidence, place)
    )


def layer_stats(evidence: Evidence) -> Iterator[LayerStat]:
    """Every number of every weighted sum and activation, the loss last; what was not measured is left out."""
    for index, place in enumerate(evidence.reading.places):
        found: tuple[tuple[Metric, Compared], ...] = ()
        if place.kind == "weighted":
            found = (("signal", signal_at(evidence, index)), ("saturated", saturated_at(evidence, index)))
        elif place.kind == "activation":
            found = (("activation", signal_at(evidence, index)), ("dead", dead_at(evidence, index)))
        else:
            continue
        sums = evidence.reading.forward.get(index)
        rank = Compared(None, math.nan if sums is None or not _is_of_samples(place) else sums.rank)
        both: tuple[tuple[Metric, Compared], ...] = (
            ("gradient", gradient_at(evidence, index)),
            ("cosine", cosine_at(evidence, index)),
            ("rank", rank),
        )
        for metric, number in (*found, *both):
            if math.isfinite(number.measured):
                yield LayerStat(place.path, metric, number.predicted, number.measured, number.stderr)
    reading = evidence.reading
    if reading.loss_kind != "random" and math.isfinite(reading.loss):
        yield LayerStat("loss", "loss", evidence.loss, reading.loss, reading.loss_error)


def loss_of(evidence: Evidence) -> Compared:
    """The loss of the batch."""
    reading = evidence.reading
    return Compared(evidence.loss, reading.loss, reading.loss_error, evidence.loss_scatter)


def samples_in(reading: Reading) -> int:
    """Samples of a probed batch: the rows of the model's first input; 0 where nothing was seen.

    A table of positions has rows as well, which are no samples.

    Example:
        >>> places = (Place("input", "x", shape=(16, 24)), Place("weighted", "positions", shape=(24, 8)))
        >>> samples_in(Reading(places, (), {1: Sums(24, 192, 8, 0.0, 1.0)}, {}, {}, 0.0, 0.0, "random"))
        16
    """
    rows = (place.shape[0] for place in reading.places if place.kind == "input" and place.shape)
    return next(rows, max((sums.rows for sums in reading.forward.values()), default=0))


def signal_at(evidence: Evidence, index: int) -> Compared:
    """E[x^2] of a place."""
    sums, theory = evidence.reading.forward.get(index), evidence.expected.get(index)
    known = theory if theory is not None and not theory.is_measured else None
    return Compared(
        None if known is None else known.square,
        math.nan if sums is None else sums.square,
        math.nan if sums is None else sums.square_error,
        0.0 if known is None else known.scatter,
    )


def gradient_at(evidence: Evidence, index: int) -> Compared:
    """E[(dL/dx)^2] of a place."""
    sums, theory = evidence.reading.backward.get(index), evidence.expected.get(index)
    known = theory if theory is not None and not theory.gradient_why else None
    return Compared(
        None if known is None else known.gradient,
        math.nan if sums is None else sums.square,
        math.nan if sums is None else sums.square_error,
        0.0 if known is None else known.gradient_scatter,
    )


def cosine_at(evidence: Evidence, index: int) -> Compared:
    """The mean cosine of two samples of a place."""
    sums, theory = evidence.reading.forward.get(index), evidence.expected.get(index)
    predicted = None if theory is None or theory.is_measured or math.isnan(theory.cosine) else theory.cosine
    if not _is_of_samples(evidence.reading.places[index]):
        return Compared(None, math.nan)
    return Compared(predicted, math.nan if sums is None else sums.cosine)


def dead_at(evidence: Evidence, index: int) -> Compared:
    """The share of an activation's units that are zero on the whole batch; NaN for two-sided activations."""
    place, sums = evidence.reading.places[index], evidence.reading.forward.get(index)
    threshold = _threshold(place)
    if sums is None or threshold is None:
        return Compared(None, math.nan)
    before = evidence.expected.get(place.inputs[0]) if place.inputs else None
    shared = 0.0 if before is None else before.mean_square
    return Compared(_expected_dead(before, threshold, sums, shared), sums.dead_units / max(sums.units, 1))


def _dead_by_likeness(evidence: Evidence, index: int) -> float | None:
    """The share of dead units that alike samples explain, as alike as they enter the layer.

    Biases that silence a unit for every sample make its sums alike besides, which must not excuse them.
    """
    place, sums = evidence.reading.places[index], evidence.reading.forward.get(index)
    threshold = _threshold(place)
    before = evidence.expected.get(place.inputs[0]) if place.inputs else None
    if sums is None or threshold is None or before is None:
        return None
    source = evidence.reading.places[place.inputs[0]]
    entered = evidence.reading.forward.get(source.inputs[0]) if source.kind == "weighted" and source.inputs else None
    most = 1.0 if entered is None or math.isnan(entered.cosine) else entered.cosine
    return _expected_dead(before, threshold, sums, max(before.mean_square, before.shift), most=most)


def saturated_at(evidence: Evidence, index: int) -> Compared:
    """The share of a weighted sum's entries at which the bounded activation behind it is flat."""
    sums = evidence.reading.forward.get(index)
    if sums is None or math.isnan(sums.saturated):
        return Compared(None, math.nan)
    theory = evidence.expected.get(index)
    places = evidence.reading.places
    taker = next((p for p in places if p.kind == "activation" and p.inputs[:1] == (index,) and p.f), None)
    if theory is None or theory.is_measured or taker is None or taker.f is None or not theory.square > 0.0:
        return Compared(None, sums.saturated)
    try:
        return Compared(saturation_probability(taker.f, theory.square), sums.saturated)
    except InitlabError:
        # An activation whose slope has no largest value is never flat.
        return Compared(None, sums.saturated)


def is_recurrent(evidence: Evidence, place: Place) -> bool:
    """Whether a place is a recurrent layer: its values are behind its activation, and its sums are not seen."""
    roles = {p.native: p.role for p in evidence.spec.params}
    return place.kind == "unknown" and any(roles.get(name) == "recurrent" for name in place.params)


def _row(evidence: Evidence, index: int, behind: int | None, is_hidden: bool) -> LayerRow:
    reading, place = evidence.reading, evidence.reading.places[index]
    sums, theory = reading.forward.get(index), evidence.expected.get(index)
    weight = evidence.weights.get(place.params[0]) if place.params else None
    nothing = Compared(None, math.nan)
    own, after = signal_at(evidence, index), nothing if behind is None else signal_at(evidence, behind)
    if place.kind != "weighted":
        own, after = nothing, own
    return LayerRow(
        path=place.path,
        activation="" if behind is None else reading.places[behind].path,
        f="" if behind is None else reading.places[behind].f or "",
        units=_units(place, sums),
        is_hidden=is_hidden,
        signal=own,
        after=after,
        gradient=gradient_at(evidence, index),
        cosine=cosine_at(evidence, index),
        dead=nothing if behind is None else dead_at(evidence, behind),
        saturated=saturated_at(evidence, index),
        clones=max(0 if sums is None else sums.equal_units, 0 if weight is None else weight.equal_units),
        rank=math.nan if sums is None or not _is_of_samples(place) else sums.rank,
        weight_std=math.nan if weight is None else weight.std,
        update_ratio=math.nan if weight is None else weight.update_ratio,
        entries=math.prod(place.shape[1:]),
        unknown="" if theory is None else theory.why,
        dead_by_likeness=None if behind is None else _dead_by_likeness(evidence, behind),
        gradient_unknown=_gradient_unknown(evidence, index),
    )


def _gradient_unknown(evidence: Evidence, index: int) -> str:
    """Why theory has no gradient of a place whose own was measured; empty where it has one."""
    reading, theory = evidence.reading, evidence.expected.get(index)
    if theory is None or index not in reading.backward or index in reading.outputs:
        return ""
    return theory.gradient_why or ("the way back from the loss was not followed" if theory.gradient is None else "")


def _is_of_samples(place: Place) -> bool:
    """Whether its rows are samples: those of a table that no input picks from, such as one of positions, are not."""
    return bool(place.inputs) or not place.facts.get("table")


def _units(place: Place, sums: Sums | None) -> int:
    if sums is not None:
        return sums.units
    return place.shape[place.units] if len(place.shape) > 1 else 1


def _activations_behind(evidence: Evidence) -> dict[int, int]:
    """By weighted place, the first activation that its value reaches before other weights."""
    origin: dict[int, int] = {}
    found: dict[int, int] = {}
    for index, place in enumerate(evidence.reading.places):
        if place.kind == "weighted":
            origin[index] = index
        elif place.inputs and place.inputs[0] in origin:
            if place.kind == "activation":
                found.setdefault(origin[place.inputs[0]], index)
            elif place.kind in _BETWEEN:
                origin[index] = origin[place.inputs[0]]
    return found


def _last_weighted(evidence: Evidence) -> set[int]:
    """The weighted places that reach an output without further weights."""
    places, found = evidence.reading.places, set[int]()
    seen, stack = set[int](), list(evidence.reading.outputs)
    while stack:
        at = stack.pop()
        if at in seen:
            continue
        seen.add(at)
        if places[at].kind == "weighted":
            found.add(at)
        else:
            # A stream that runs past the last weights reaches the output as well; the branch alone counts.
            stack += places[at].inputs[-1:] if places[at].kind == "sum" else places[at].inputs
    return found


def _threshold(place: Place) -> float | None:
    if place.kind != "activation" or place.f is None:
        return None
    try:
        # Only where the flat side is at zero does a silent unit show as zeros.
        end = silent_below(place.f)
        return end if end is not None and float(activation(place.f)(end - 1.0)) == 0.0 else None
    except InitlabError:
        return None


def _expected_dead(
    before: Expected | None, threshold: float, sums: Sums, shared: float, *, most: float = 1.0
) -> float | None:
    if before is None or before.is_measured or math.isnan(before.cosine) or not before.square > shared:
        return None
    spread = before.square - shared
    cosine = (before.cosine * before.square - shared) / spread
    cosine = max(min(cosine, most, 1.0 - _CERTAIN**2), -1.0)
    # The places of a sample count like samples of their own.
    values = max(sums.entries // max(sums.units, 1), 1)
    try:
        return dead_share(values, cosine, threshold=threshold / math.sqrt(spread))
    except InitlabError:
        return None
