"""Moments by one fixed rule, for pictures: a tenth of the time of the refined integrals, and no estimate of the error.

40 Gauss-Legendre nodes on each of the panels from which the refined integrals start, and on narrower ones about 0 where
``q`` is large. For every registered activation that is 1e-12 of the moment or better from ``q`` = 1e-6 to 1e4, but for
functions that grow like an exponential or wave quickly at large ``q``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import log2, pi, sqrt
from typing import NamedTuple

import numpy as np

from initlab.core.erf import Array
from initlab.theory.activations import Activation
from initlab.theory.closed_kernels import closed_kernel
from initlab.theory.expectations import value_at_zero
from initlab.theory.quadrature import NODES, legendre_rule, panel_edges

TABLED_Q = tuple(1e-6 * 1.5**k for k in range(58))
"""The variances of a ``MomentTable``."""

_TERMS = 100
_SERIES_TAIL = 1e-9
# Where the argument of f runs over many of its own lengths, 1 and 4 of them have panels of their own.
_WIDE = 2.0
_LENGTHS = (1.0, 4.0)
# The pair integrals reach 8 deviations (1e-15) with fewer nodes a panel: 1e-9 in all.
_PAIR_EDGES = (-8.0, -5.0, -3.0, -1.0, 0.0, 1.0, 3.0, 5.0, 8.0)
_INNER_EDGES = (-7.0, -2.5, 0.0, 2.5, 7.0)
_OUTER_NODES, _INNER_NODES = 16, 14
# Correlations of less than its square have the smoothed function flat over all panels.
_APART = 1e-3


@dataclass(frozen=True)
class RuleMoments:
    """``E f^2``, ``E f'^2`` and ``d E f^2 / dq`` under ``N(0, q)``."""

    second: float
    slope_second: float
    second_rate: float


def rule_moments(act: Activation, q: float) -> RuleMoments:
    """``E f^2``, ``E f'^2`` and the rate of the former under ``N(0, q)``, ``q`` above 0, by the fixed rule.

    What overflows is infinite or not a number, without a warning.

    Example:
        >>> from initlab.theory.activations import activation
        >>> m = rule_moments(activation("relu"), 3.0)
        >>> round(m.second, 12), round(m.slope_second, 12), round(m.second_rate, 12)
        (1.5, 0.5, 0.5)
    """
    scale = sqrt(q)
    z, weight = _rule(_cuts(act, scale))
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.square(act(scale * z))
        rate = (square - value_at_zero(act) ** 2) * (z * z - 1.0)
        slope = np.square(act.slope(scale * z))
        return RuleMoments(float(weight @ square), float(weight @ slope), float(weight @ rate) / (2.0 * q))


def rule_map_moments(act: Activation, q: float) -> tuple[float, float]:
    """``E f^2`` and ``E f'^2`` under ``N(0, q)``: in closed form where there is one, else by the fixed rule.

    Example:
        >>> from initlab.theory.activations import activation
        >>> rule_map_moments(activation("relu"), 3.0)
        (1.5, 0.5)
    """
    kernel = closed_kernel(act)
    if kernel is not None:
        return kernel(q, 1.0)
    found = rule_moments(act, q)
    return found.second, found.slope_second


class MomentTable(NamedTuple):
    """``rule_moments`` at ascending variances, a column each; cut off where a moment has no finite value."""

    q: Array
    second: Array
    slope_second: Array
    second_rate: Array


@lru_cache(maxsize=64)
def moment_table(act: Activation) -> MomentTable:
    """The moments at variances from 1e-6 to 1e4, a factor of 1.5 apart; kept for the next call.

    Example:
        >>> from initlab.theory.activations import activation
        >>> table = moment_table(activation("identity"))
        >>> bool(np.allclose(table.second, table.q)), len(table.q)
        (True, 58)
    """
    rows = []
    for q in TABLED_Q:
        m = rule_moments(act, q)
        row = (q, m.second, m.slope_second, m.second_rate)
        if not np.all(np.isfinite(row)):
            break
        rows.append(row)
    return MomentTable(*np.array(rows).reshape(-1, 4).T)


def rule_pair_moment(act: Activation, c: float, q: float) -> float:
    """``E f(u) f(v)`` for ``u, v ~ N(0, q)`` of correlation ``c``, to about 1e-9 of ``E f^2``, 1e-7 at ``q`` = 40.

    Example:
        >>> from initlab.theory.activations import activation
        >>> round(rule_pair_moment(activation("selu"), 0.0, 1.0), 9) + 0.0      # (E f)^2
        0.0
    """
    kernel = closed_kernel(act)
    if kernel is not None:
        return kernel(q, c)[0]
    cuts = _cuts(act, sqrt(q))
    if all(cut in panel_edges() for cut in cuts) or not act.kinks:
        squares, whole = _squares(act, q, cuts)
        if (whole - float(squares.sum())) * abs(c) ** _TERMS <= _SERIES_TAIL * whole:
            return float(np.polynomial.polynomial.polyval(c, squares))
    return _by_smoothing(act, c, sqrt(q), cuts)


def _cuts(act: Activation, scale: float) -> tuple[float, ...]:
    # By powers of 2, so that neighbouring q share a rule.
    unit = 2.0 ** round(log2(scale))
    lengths = [side * length / unit for length in _LENGTHS for side in (-1.0, 1.0)] if scale > _WIDE else []
    return tuple([*(k / scale for k in act.kinks), *lengths])


@lru_cache(maxsize=128)
def _rule(cuts: tuple[float, ...]) -> tuple[Array, Array]:
    z, weight = _panels(panel_edges(cuts)[None], NODES)
    return z[0], weight[0]


def _panels(edges: Array, nodes: int) -> tuple[Array, Array]:
    """Nodes and weights of a standard normal over each row of ascending edges: ``(rows, panels * nodes)``."""
    x, w = legendre_rule(nodes)
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    z = 0.5 * (edges[:, 1:] + edges[:, :-1])[:, :, None] + half * x
    weight = np.exp(-0.5 * z * z) * (w * half) / sqrt(2.0 * pi)
    return z.reshape(len(edges), -1), weight.reshape(len(edges), -1)


@lru_cache(maxsize=8)
def _hermite_rows(cuts: tuple[float, ...]) -> Array:
    """The weighted orthonormal Hermite polynomials at the nodes of a rule."""
    z, weight = _rule(cuts)
    rows = np.empty((_TERMS, len(z)))
    rows[0], rows[1] = 1.0, z
    for k in range(1, _TERMS - 1):
        rows[k + 1] = (z * rows[k] - sqrt(k) * rows[k - 1]) / sqrt(k + 1.0)
    return rows * weight


def _squares(act: Activation, q: float, cuts: tuple[float, ...]) -> tuple[Array, float]:
    # A cut that is a panel's end in any case leaves the rule, and so the polynomials, as they are.
    own = tuple(cut for cut in cuts if cut not in panel_edges())
    z, weight = _rule(own)
    value = act(sqrt(q) * z)
    # Not by BLAS, whose threads cost more than so small a product.
    return np.square(np.einsum("kn,n->k", _hermite_rows(own), value)), float(weight @ np.square(value))


def _by_smoothing(act: Activation, c: float, scale: float, cuts: tuple[float, ...]) -> float:
    """``E g(s) g(+-s)`` with ``g(s) = E f(scale (r s + rho x))``, ``r^2 = |c| = 1 - rho^2``: ``g`` is smooth."""
    r, rho = sqrt(abs(c)), sqrt(1.0 - abs(c))
    kinks = np.array(act.kinks) / scale
    # A kink bends g within a few of its own deviations; what is only narrow needs a panel's end, and within the inner
    # integral none where that is narrower yet.
    narrow = np.array([*cuts, 0.0] if scale > _WIDE else ())
    inner = np.concatenate([kinks, narrow]) if rho * scale > _WIDE else kinks
    steps = [kinks + side * k * rho for k in (0.0, 2.5, 7.0) for side in (-1.0, 1.0)] if r > _APART else []
    sides = (1.0,) if c >= 0.0 else (1.0, -1.0)
    outer = np.concatenate([*steps, narrow]) / max(r, _APART)
    edges = _between(_PAIR_EDGES, [side * cut for cut in outer.tolist() for side in sides])
    s, weight = _panels(edges[None], _OUTER_NODES)
    g = _smoothed(act, s[0], r, rho, scale, inner)
    mirrored = g if c >= 0.0 else _smoothed(act, -s[0], r, rho, scale, inner)
    return float(weight[0] @ (g * mirrored))


def _smoothed(act: Activation, s: Array, r: float, rho: float, scale: float, kinks: Array) -> Array:
    fixed = np.broadcast_to(np.array(_INNER_EDGES), (len(s), len(_INNER_EDGES)))
    own = np.clip((kinks - r * s[:, None]) / max(rho, 1e-12), _INNER_EDGES[0], _INNER_EDGES[-1])
    x, weight = _panels(np.sort(np.concatenate([fixed, own], axis=1), axis=1), _INNER_NODES)
    return np.asarray((act(scale * (r * s[:, None] + rho * x)) * weight).sum(axis=1))


def _between(edges: tuple[float, ...], cuts: Iterable[float]) -> Array:
    inside = [cut for cut in cuts if edges[0] < cut < edges[-1]]
    return np.unique(np.array([*edges, *inside]))
