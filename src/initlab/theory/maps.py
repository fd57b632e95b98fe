"""The maps of a wide network: how variance and correlation of its signals go from one layer to the next.

``W_ij ~ N(0, sigma_w^2 / fan_in)``, ``b ~ N(0, sigma_b^2)``; ``q`` is the variance before the activation and ``c`` the
correlation of two inputs there. Sources: Poole et al., arXiv 1606.05340; Schoenholz et al., arXiv 1611.01232.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, sqrt
from typing import Literal

import numpy as np

from initlab.core.erf import Array
from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.closed_kernels import closed_kernel
from initlab.theory.expectations import ActivationLike, check_positive, panel_cuts, slope_moments, value_moments
from initlab.theory.gains import check_variance
from initlab.theory.quadrature import NODES, gaussian_integral, legendre_rule, panel_edges

Part = Literal["value", "slope"]

_TERMS = 160
# A series is used where what it leaves out is below this share of E f^2; else the integral in two dimensions.
_SERIES_TAIL = 1e-14
_RTOL = 1e-12
_ROWS = 64


def variance_map(f: ActivationLike, q: float, *, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """``V(q) = sigma_w^2 E f(sqrt(q) z)^2 + sigma_b^2``: the variance one layer later.

    Args:
        f: The activation.
        q: The variance before the activation, above 0.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        sigma_b2: The variance of a bias, 0 or more.

    Returns:
        The variance before the next activation.

    Raises:
        OptionError: A variance out of range.

    Example:
        >>> round(variance_map("relu", 3.0, sigma_w2=2.0, sigma_b2=0.5), 12)
        3.5
    """
    weight, bias = check_variance(sigma_w2, "sigma_w2"), check_variance(sigma_b2, "sigma_b2")
    return weight * second_moment(activation(f), q) + bias


def second_moment(act: Activation, q: float) -> float:
    """``E f(u)^2`` for ``u ~ N(0, q)``, in closed form where there is one."""
    kernel = closed_kernel(act)
    return value_moments(act, q).second if kernel is None else kernel(check_positive(q), 1.0)[0]


def correlation_map(f: ActivationLike, c: float, *, sigma_w2: float, sigma_b2: float = 0.0, q: float) -> float:
    """``C(c) = (sigma_w^2 E f(u) f(v) + sigma_b^2) / q``: the correlation of two inputs one layer later.

    Args:
        f: The activation.
        c: The correlation before the activation, from -1 to 1.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        sigma_b2: The variance of a bias, 0 or more.
        q: The variance of both, which the layer keeps: a fixed point of the variance map.

    Returns:
        The correlation before the next activation.

    Raises:
        OptionError: A variance or the correlation out of range.

    Example:
        >>> round(correlation_map("relu", 0.0, sigma_w2=2.0, q=1.0), 12)      # 1 / pi
        0.318309886184
    """
    weight, bias = check_variance(sigma_w2, "sigma_w2"), check_variance(sigma_b2, "sigma_b2")
    return (weight * pair_moment(f, c, q) + bias) / q


def correlation_slope(f: ActivationLike, c: float, *, sigma_w2: float, q: float) -> float:
    """``C'(c) = sigma_w^2 E f'(u) f'(v)``, the slope of the correlation map; at ``c = 1`` it is ``chi_1``.

    Args:
        f: The activation.
        c: The correlation before the activation, from -1 to 1.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        q: The variance of both.

    Returns:
        The slope.

    Raises:
        OptionError: A variance or the correlation out of range.

    Example:
        >>> round(correlation_slope("relu", 0.0, sigma_w2=2.0, q=1.0), 12)
        0.5
    """
    return check_variance(sigma_w2, "sigma_w2") * pair_moment(f, c, q, of="slope")


def pair_moment(f: ActivationLike, c: float, q: float = 1.0, *, of: Part = "value") -> float:
    """``E f(u) f(v)``, or ``E f'(u) f'(v)``, for ``u, v ~ N(0, q)`` of correlation ``c``, to 1e-12 of ``E f^2``.

    In closed form where there is one (``closed_kernels``). Else, with the Hermite coefficients
    ``a_k = E f(sqrt(q) z) h_k(z)``, it is ``sum_k a_k^2 c^k`` (Daniely, Frostig & Singer,
    arXiv 1602.05897). Where ``|c|`` is so near 1 that a kink makes the series slow it is an integral over ``u`` of
    integrals over ``v``, both cut at the kinks.

    Args:
        f: The activation.
        c: The correlation, from -1 to 1.
        q: The variance, above 0.
        of: The function itself or its slope.

    Returns:
        The moment.

    Raises:
        OptionError: ``c`` or ``q`` out of range.

    Example:
        >>> round(pair_moment("relu", 0.0), 12)      # (E f)^2 = 1 / (2 pi)
        0.159154943092
    """
    if not -1.0 <= c <= 1.0:
        raise OptionError(f"c must be a correlation from -1 to 1, got {c!r}", fix="give a number like 0.5")
    act = activation(f)
    total = value_moments(act, q).second if of == "value" else slope_moments(act, q).second
    if c == 1.0:
        return total
    kernel = closed_kernel(act)
    if kernel is not None:
        return kernel(float(q), c)[0 if of == "value" else 1]
    if c == -1.0:
        return _mirrored(act, sqrt(q), of)
    squares = _hermite_squares(act, float(q), of)
    tail = max(1.0 - float(squares.sum()) / total, 0.0) if total > 0.0 else 0.0
    if tail * abs(c) ** _TERMS <= _SERIES_TAIL:
        return float(np.polynomial.polynomial.polyval(c, squares))
    return _by_integral(act, c, sqrt(q), of)


@lru_cache(maxsize=64)
def _hermite_squares(act: Activation, q: float, of: Part) -> Array:
    """The squared coefficients of the function in the orthonormal Hermite polynomials."""
    scale = sqrt(q)

    def rows(z: Array) -> Array:
        polynomials = np.empty((_TERMS, len(z)))
        polynomials[0], polynomials[1] = 1.0, z
        for k in range(1, _TERMS - 1):
            polynomials[k + 1] = (z * polynomials[k] - sqrt(k) * polynomials[k - 1]) / sqrt(k + 1.0)
        return polynomials * _part(act, of, scale * z)

    kinks = panel_cuts(act, scale)
    return gaussian_integral(rows, kinks=kinks, rtol=_RTOL, what=f"'{act.call}'") ** 2


def _mirrored(act: Activation, scale: float, of: Part) -> float:
    def row(z: Array) -> Array:
        return (_part(act, of, scale * z) * _part(act, of, -scale * z))[None]

    kinks = [side * k / scale for k in act.kinks for side in (-1.0, 1.0)]
    return float(gaussian_integral(row, kinks=kinks, rtol=_RTOL, what=f"'{act.call}'")[0])


def _by_integral(act: Activation, c: float, scale: float, of: Part) -> float:
    rest = sqrt((1.0 - c) * (1.0 + c))
    cuts = np.array([k / scale for k in act.kinks])

    def row(z: Array) -> Array:
        inner = [_inner(act, c * part, rest, scale, cuts, of) for part in np.array_split(z, ceil(len(z) / _ROWS))]
        return (_part(act, of, scale * z) * np.concatenate(inner))[None]

    # The inner integral bends within a few of its own deviations where its mean passes a kink: too little to be seen
    # from afar, so that stretch has panels of its own.
    kinks = [*cuts, *(cuts / c), *((cuts - 8.0 * rest) / c), *((cuts + 8.0 * rest) / c)]
    return float(gaussian_integral(row, kinks=kinks, rtol=_RTOL, what=f"'{act.call}'")[0])


def _inner(act: Activation, mean: Array, rest: float, scale: float, cuts: Array, of: Part) -> Array:
    """``E f(scale (mean + rest y))`` over ``y ~ N(0, 1)`` for each mean, with panels cut at its own kinks."""
    edges = panel_edges()
    # Panels no wider in the argument of f than those of q = 1.
    finer = np.interp(np.linspace(0.0, len(edges) - 1.0, (len(edges) - 1) * max(ceil(scale * rest), 1) + 1),
                      np.arange(len(edges)), edges)  # fmt: skip
    own = np.clip((cuts[None, :] - mean[:, None]) / rest, edges[0], edges[-1])
    ends = np.sort(np.concatenate([np.broadcast_to(finer, (len(mean), len(finer))), own], axis=1), axis=1)
    nodes, weights = legendre_rule(NODES)
    half = 0.5 * np.diff(ends, axis=1)[:, :, None]
    y = 0.5 * (ends[:, 1:] + ends[:, :-1])[:, :, None] + half * nodes
    density = np.exp(-0.5 * y * y) * (weights * half) / sqrt(2.0 * np.pi)
    return np.asarray((_part(act, of, scale * (mean[:, None, None] + rest * y)) * density).sum(axis=(1, 2)))


def _part(act: Activation, of: Part, x: Array) -> Array:
    return act(x) if of == "value" else act.slope(x)
