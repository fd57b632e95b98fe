"""Singular values of a model's Jacobian beside those of nets of the same layers with weights drawn anew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import stream
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Normal
from initlab.core.signals.readings import Place
from initlab.probing.measure.weights import mean_square
from initlab.probing.profile import Profile
from initlab.report.probe.figures import SingularFigure
from initlab.theory import activation

Floats = NDArray[np.float64]

DRAWS = 40
"""Nets that are drawn for theory's line."""

_MOST_ENTRIES = 1 << 21
_NOISE = 1e-6


@dataclass(frozen=True)
class Link:
    """One layer of a chain.

    Attributes:
        path: Its name.
        shape: Of its weight, (out, in).
        square: Mean square of a weight.
        bias_square: Mean square of a bias; 0 where there is none.
        f: The activation behind it; empty where there is none.
    """

    path: str
    shape: tuple[int, int]
    square: float
    bias_square: float = 0.0
    f: str = ""


def singular_figure(profile: Profile, jacobian: Floats) -> SingularFigure:
    """The singular values of a Jacobian; of a chain of dense layers, with theory's.

    Args:
        profile: Of the model.
        jacobian: Of shape (outputs, inputs), of one sample.
    """
    values = _values(jacobian)
    # What is below rounding in float32, the type of most models, is noise.
    values = values[values > _NOISE * values.max(initial=0.0)]
    measured, told = _round(values), len(values)
    links = chain_links(profile)
    if not links or (links[-1].shape[0], links[0].shape[1]) != jacobian.shape:
        return SingularFigure(measured)
    size = math.sqrt(profile.evidence.reading.forward[0].square)
    drawn = np.array([drawn_values(links, size=size, seed=seed) for seed in range(DRAWS)])
    low, middle, high = np.percentile(drawn, [2.5, 50.0, 97.5], axis=0)
    return SingularFigure(measured, _round(middle[:told]), _round(low[:told]), _round(high[:told]))


def chain_links(profile: Profile) -> tuple[Link, ...]:
    """The layers of a model that is a chain of dense layers and known activations; empty for any other."""
    reading, specs = profile.evidence.reading, {p.native: p for p in profile.evidence.spec.params}
    links: list[Link] = []
    for index, place in enumerate(reading.places):
        if place.kind == "input" and index == 0:
            continue
        if place.inputs != (index - 1,):
            return ()
        link = _link(profile, place, specs)
        if link is not None:
            links.append(link)
        elif place.kind == "activation" and place.f and links and not links[-1].f:
            links[-1] = replace(links[-1], f=place.f)
        elif place.kind != "pass":
            return ()
    is_small = sum(math.prod(link.shape) for link in links) <= _MOST_ENTRIES
    return tuple(links) if is_small and 0 in reading.forward else ()


def _link(profile: Profile, place: Place, specs: Mapping[str, ParamSpec]) -> Link | None:
    spec = specs.get(place.params[0]) if place.kind == "weighted" and place.params else None
    if spec is None or spec.role != "dense" or len(spec.shape) != 2 or place.facts.get("table"):
        return None
    squares = [mean_square(profile.evidence.weights[name]) for name in place.params]
    return Link(place.path, (spec.shape[0], spec.shape[1]), squares[0], squares[1] if len(squares) > 1 else 0.0)


def drawn_values(links: Sequence[Link], *, size: float, seed: int) -> Floats:
    """Singular values of the Jacobian of a net whose weights and biases are drawn anew, at a normal input.

    Args:
        links: The layers, in order of use.
        size: Root mean square of the input.
        seed: Another draw for each.

    Example:
        >>> links = [Link("a", (1, 1), 4.0), Link("b", (1, 1), 0.0)]
        >>> drawn_values(links, size=1.0, seed=0).tolist()
        [0.0]
    """
    a = _draw(size, (links[0].shape[1],), "input", seed)
    product = np.eye(links[0].shape[1])
    for link in links:
        weight = _draw(math.sqrt(link.square), link.shape, f"{link.path}/weight", seed)
        bias = _draw(math.sqrt(link.bias_square), link.shape[:1], f"{link.path}/bias", seed)
        z, product = weight @ a + bias, weight @ product
        a = activation(link.f)(z) if link.f else z
        product = activation(link.f).slope(z)[:, None] * product if link.f else product
    return _values(product)


def _draw(std: float, shape: tuple[int, ...], path: str, seed: int) -> Floats:
    return np.asarray(Normal(std).draw(shape, stream(seed, path, purpose="jacobian")), dtype=np.float64)


def _values(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.svd(matrix, compute_uv=False), dtype=np.float64)


def _round(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in values.tolist())
