"""Low-rank updates bound to the weight that a model holds: their factor, their numbers, and what is left of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Adapter, GivenWeights
from initlab.core.errors import OptionError
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws.low_rank import LowRank, Part, factors
from initlab.core.plans.plan import PlanEntry
from initlab.core.signals.readings import Place, Reading

Floats = NDArray[np.float64]
Parts = Mapping[Part, PlanEntry]


@dataclass(eq=False)
class Split:
    """The parts of one weight, made when the first of them is asked for, from what the model holds then.

    Attributes:
        model: The framework's model.
        adapter: The framework's side.
        parts: The rows of A, B and of the weight.
        law: The law of one of them, with its scale.
    """

    model: object
    adapter: Adapter
    parts: Parts
    law: LowRank
    made: dict[Part, Floats] = field(default_factory=dict)

    def __call__(self, part: Part) -> Floats:
        """The numbers of a part; the factors as their own type rounds them, and the rest beside these."""
        assert self.law.scale is not None
        if not self.made:
            weight = self._read("rest").astype(np.float64)
            if not np.isfinite(weight).all():
                raise OptionError(
                    "the weight holds numbers that are not finite", where=self.law.of, fix="load it first"
                )
            a, b = factors(weight, self.law.rank, self.law.scale, self.law.method)
            self.made = {"A": self._rounded("A", a), "B": self._rounded("B", b)}
        if part != "rest":
            return self.made[part]
        return self._read("rest").astype(np.float64) - self.law.scale * (self.made["B"] @ self.made["A"])

    def _read(self, part: Part) -> NDArray[np.generic]:
        return self.adapter.read(self.model, self.parts[part].param)

    def _rounded(self, part: Part, values: Floats) -> Floats:
        return values.astype(self._read(part).dtype).astype(np.float64)


def is_low_rank(rows: Iterable[PlanEntry]) -> bool:
    """Whether a row is made of a weight that the model holds."""
    return any(isinstance(entry.law, LowRank) for entry in rows)


def split_rows(model: object, adapter: Adapter, rows: Mapping[str, PlanEntry], example: object) -> dict[str, PlanEntry]:
    """The same rows, with what gives the numbers of low-rank updates; nothing is written.

    Args:
        model: The framework's model.
        adapter: The framework's side.
        rows: What is to be initialised, by canonical path.
        example: What the model is called with, where a factor is not told.

    Raises:
        OptionError: A part of an update is kept, or the pass does not show its factor.
    """
    found = dict(rows)
    groups: dict[str, dict[Part, PlanEntry]] = {}
    for entry in rows.values():
        if isinstance(entry.law, LowRank):
            groups.setdefault(entry.law.of, {})[entry.law.part] = entry
    reading = _Lazy(model, adapter, example)
    for of, parts in groups.items():
        missing = [part for part in ("A", "B", "rest") if part not in parts]
        if missing:
            what = f"of this weight's low-rank update {', '.join(missing)} would be kept, and the model would change"
            raise OptionError(what, where=of, fix="exclude all three, or none")
        law = parts["rest"].law
        assert isinstance(law, LowRank)
        law = law if law.scale is not None else replace(law, scale=reading.scale(parts))
        split = Split(model, adapter, parts, law)
        for part, entry in parts.items():
            bound = replace(law, part=part, source=_source(split, part))
            found[entry.param.path] = replace(entry, law=bound)
    return found


def _source(split: Split, part: Part) -> Callable[[], Floats]:
    return lambda: split(part)


def forgotten(rows: Mapping[str, PlanEntry]) -> dict[str, PlanEntry]:
    """The rows without the numbers that low-rank updates were made of."""
    return {
        path: replace(entry, law=replace(entry.law, source=None)) if isinstance(entry.law, LowRank) else entry
        for path, entry in rows.items()
    }


@dataclass(eq=False)
class _Lazy:
    """The factors of updates, from passes of an example; none is made where all are told."""

    model: object
    adapter: Adapter
    example: object
    reading: Reading | None = None

    def scale(self, parts: Parts) -> float:
        """What ``B A`` is multiplied by."""
        if self.reading is None:
            self.reading = self.adapter.capture(self.model, self.example).reading
        a, b, weight = (parts[part].param.native for part in ("A", "B", "rest"))
        for at, place in enumerate(self.reading.places):
            if {a, b, weight} <= set(place.params):
                return self._measured(parts, place)
            if b in place.params:
                found = _followed(self.reading.places, at, weight)
                if found is not None:
                    return found
        raise OptionError(
            "the pass does not show where this update is added to what its weight makes",
            where=parts["B"].param.native,
            fix="give the factor, as pissa(scale=2.0): lora_alpha / r",
        )

    def _measured(self, parts: Parts, place: Place) -> float:
        """Of an update that is folded into its weight: how much larger ``B A`` alone makes the output than it is."""
        a, b, weight = (parts[part].param for part in ("A", "B", "rest"))
        held = {p.native: p for p in self.adapter.describe(self.model).params}
        others = [
            held[name] for name in place.params if name in held and name not in (a.native, b.native, weight.native)
        ]
        one, other = np.zeros(a.shape), np.zeros(b.shape)
        np.fill_diagonal(one, 1.0)
        np.fill_diagonal(other, 1.0)
        with self.adapter.holding(self.model, [a, b, weight, *others]):
            for p in (*others, b):
                self._write(p, np.zeros(p.shape))
            self._write(a, one)
            self._write(weight, other @ one)
            alone = self._std(place.path)
            self._write(weight, np.zeros(weight.shape))
            self._write(b, other)
            return self._std(place.path) / alone

    def _write(self, p: ParamSpec, values: Floats) -> None:
        self.adapter.write(self.model, p, GivenWeights(values.astype(np.float32), p))

    def _std(self, path: str) -> float:
        reading = self.adapter.capture(self.model, self.example).reading
        at = next(at for at, place in enumerate(reading.places) if place.path == path)
        sums = reading.forward[at]
        return math.sqrt(sums.square)


def _followed(places: tuple[Place, ...], at: int, weight: str) -> float | None:
    """The factor between a place and the sum with the place of a weight; None where the way is another."""
    scale = 1.0
    for index, place in enumerate(places[at + 1 :], at + 1):
        if at not in place.inputs:
            continue
        if place.kind == "sum" and any(weight in places[one].params for one in place.inputs):
            return scale
        if place.kind != "scale":
            return None
        scale, at = scale * float(place.facts["factor"]), index  # type: ignore[arg-type]
    return None
