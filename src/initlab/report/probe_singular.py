"""Singular values of a model's Jacobian beside those of nets of the same layers with weights drawn anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initlab.core.laws import Normal
from initlab.core.streams import stream
from initlab.probing.profile import Profile
from initlab.probing.weights import mean_square
from initlab.report.probe_figures import SingularFigure
from initlab.theory import activation

Floats = NDArray[np.float64]

DRAWS = 40
"""Nets that are drawn for theory's line: 2.5 % of them is one."""

_MOST_ENTRIES = 1 << 21


@dataclass(frozen=True)
class Link:
    """One layer of a chain.

    Attributes:
        path: Its name.
        shape: Of its weight, (out, in).
        square: Mean square of a weight.
        f: The activation behind it; empty where there is none.
        q: What theory says of E[z^2].
    """

    path: str
    shape: tuple[int, int]
    square: float
    f: str
    q: float


def singular_figure(profile: Profile, jacobian: Floats) -> SingularFigure:
    """The singular values of a Jacobian; of a chain of dense layers, with theory's.

    Args:
        profile: Of the model.
        jacobian: Of shape (outputs, inputs), of one sample.
    """
    measured = tuple(_rounded(_values(jacobian)))
    links = chain_links(profile)
    if not links or (links[-1].shape[0], links[0].shape[1]) != jacobian.shape:
        return SingularFigure(measured)
    drawn = np.array([drawn_values(links, seed=seed) for seed in range(DRAWS)])
    low, middle, high = np.percentile(drawn, [2.5, 50.0, 97.5], axis=0)
    return SingularFigure(measured, _rounded(middle), _rounded(low), _rounded(high))


def chain_links(profile: Profile) -> tuple[Link, ...]:
    """The layers of a model that is a chain of dense layers and known activations; empty for any other."""
    reading, specs = profile.evidence.reading, {p.native: p for p in profile.evidence.spec.params}
    links: list[Link] = []
    for index, place in enumerate(reading.places):
        if place.kind == "input" and index == 0:
            continue
        follows = place.inputs == (index - 1,)
        if follows and place.kind == "pass":
            continue
        if follows and place.kind == "activation" and place.f and links and not links[-1].f:
            links[-1] = Link(links[-1].path, links[-1].shape, links[-1].square, place.f, links[-1].q)
            continue
        spec = specs.get(place.params[0]) if place.kind == "weighted" and place.params else None
        theory = profile.evidence.expected.get(index)
        if not follows or spec is None or spec.role != "dense" or len(spec.shape) != 2 or theory is None:
            return ()
        square = mean_square(profile.evidence.weights[spec.native])
        links.append(Link(place.path, (spec.shape[0], spec.shape[1]), square, "", theory.square))
    return tuple(links) if sum(math.prod(link.shape) for link in links) <= _MOST_ENTRIES else ()


def drawn_values(links: Sequence[Link], *, seed: int) -> Floats:
    """Singular values of ``prod_l W_l D_l``: normal weights, and slopes at normal values that nothing ties to them.

    Args:
        links: The layers, in order of use.
        seed: Another draw for each.

    Example:
        >>> drawn_values([Link("a", (1, 1), 4.0, "", 1.0)], seed=0).shape
        (1,)
    """
    product: Floats | None = None
    for link in reversed(links):
        weight = Normal(math.sqrt(link.square)).draw(link.shape, stream(seed, link.path, purpose="jacobian weights"))
        factor = np.asarray(weight, dtype=np.float64)
        if link.f:
            z = Normal(math.sqrt(link.q)).draw((link.shape[0],), stream(seed, link.path, purpose="jacobian values"))
            factor = activation(link.f).slope(z)[:, None] * factor
        product = factor if product is None else product @ factor
    return np.zeros(0) if product is None else _values(product)


def _values(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.svd(matrix, compute_uv=False), dtype=np.float64)


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in values.tolist())
