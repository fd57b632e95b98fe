"""Chains of dense layers in NumPy, run forwards and backwards: readings that no framework had a part in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.signals.readings import Place, Reading, Sums, WeightGradient
from initlab.core.signals.sums import sums_of
from initlab.probing.measure.weights import facts_of
from initlab.probing.predict.predict import gather_evidence
from initlab.probing.records import Evidence
from initlab.theory import activation

Array = NDArray[np.float64]


@dataclass
class Chain:
    """A chain under construction: places with their values, and what takes a gradient back through each."""

    rng: np.random.Generator
    places: list[Place] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)
    backs: list[object] = field(default_factory=list)
    params: dict[str, Array] = field(default_factory=dict)

    def start(self, x: Array) -> int:
        return self._add(Place("input", "x", shape=x.shape), x, None)

    def dense(self, at: int, out: int, *, var: float, bias: float = 0.0) -> int:
        """``var`` is the variance of a weight times the fan-in, ``bias`` the std of a bias."""
        x = self.values[at]
        fan_in, name = x.shape[1], f"fc{sum(place.kind == 'weighted' for place in self.places)}"
        w = self.rng.normal(0.0, np.sqrt(var / fan_in), (out, fan_in))
        b = self.rng.normal(0.0, 1.0, out) * bias
        self.params[f"{name}.weight"], self.params[f"{name}.bias"] = w, b
        z = x @ w.T + b
        names = (f"{name}.weight", f"{name}.bias")
        return self._add(Place("weighted", name, (at,), z.shape, params=names), z, lambda g: g @ w)

    def act(self, at: int, f: str) -> int:
        z, function = self.values[at], activation(f)
        path = f"{self.places[at].path}:{f}"
        return self._add(Place("activation", path, (at,), z.shape, f=f), function(z), lambda g: g * function.slope(z))

    def batch_norm(self, at: int) -> int:
        z = self.values[at]
        std = np.sqrt(z.var(axis=0))
        hat = (z - z.mean(axis=0)) / std

        def back(g: Array) -> Array:
            return np.asarray((g - g.mean(axis=0) - hat * (g * hat).mean(axis=0)) / std)

        place = Place("norm", f"{self.places[at].path}.bn", (at,), z.shape, facts={"norm": "batch", "eps": 0.0})
        return self._add(place, hat, back)

    def layer_norm(self, at: int) -> int:
        z = self.values[at]
        std = np.sqrt(z.var(axis=1, keepdims=True))
        hat = (z - z.mean(axis=1, keepdims=True)) / std

        def back(g: Array) -> Array:
            along = g.mean(axis=1, keepdims=True) + hat * (g * hat).mean(axis=1, keepdims=True)
            return np.asarray((g - along) / std)

        place = Place("norm", f"{self.places[at].path}.ln", (at,), z.shape, facts={"norm": "layer", "eps": 0.0})
        return self._add(place, hat, back)

    def end(self) -> Evidence:
        """The evidence, with random numbers for the gradient at the last place."""
        forward: dict[int, Sums] = {i: sums_of(value) for i, value in enumerate(self.values)}
        gradient = self.rng.normal(size=self.values[-1].shape)
        backward = {len(self.places) - 1: sums_of(gradient)}
        for i in range(len(self.places) - 1, 0, -1):
            back = self.backs[i]
            assert callable(back)
            gradient = back(gradient)
            backward[self.places[i].inputs[0]] = sums_of(gradient)
        specs = [
            ParamSpec(path=n, native=n, shape=p.shape, role="dense" if p.ndim == 2 else "bias")
            for n, p in self.params.items()
        ]
        weights = {n: facts_of(p, native=n) for n, p in self.params.items()}
        gradients = dict.fromkeys(self.params, WeightGradient(1.0, 0))
        places, last = tuple(self.places), len(self.places) - 1
        reading = Reading(places, (last,), forward, backward, gradients, float("nan"), float("nan"), "random")
        return gather_evidence(reading, ModelSpec(tuple(specs)), weights, model="Chain", framework="numpy")

    def _add(self, place: Place, value: Array, back: object) -> int:
        self.places.append(place)
        self.values.append(value)
        self.backs.append(back)
        return len(self.places) - 1


def plain_chain(
    f: str,
    widths: Sequence[int],
    *,
    var: float,
    first: float = 1.0,
    bias: float = 0.0,
    rows: int = 64,
    seed: int = 0,
    norm: str = "",
) -> Evidence:
    """Dense layers with an activation behind each but the last, on standard normal rows."""
    chain = Chain(np.random.default_rng(seed))
    at = chain.start(chain.rng.normal(size=(rows, widths[0])))
    for layer, width in enumerate(widths[1:]):
        at = chain.dense(at, width, var=var if layer else first, bias=bias)
        if layer < len(widths) - 2:
            at = chain.batch_norm(at) if norm == "batch" else chain.layer_norm(at) if norm == "layer" else at
            at = chain.act(at, f)
    return chain.end()
