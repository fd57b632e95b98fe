"""The logarithm of a sum of exponentials of independent normal numbers, and the softmax of such numbers.

With ``phi(t) = E exp(-t e^l)`` and ``Y = sum_k e^(l_k)``, ``E exp(-t Y) = prod phi_k(t)``. As ``exp(-t Y)`` is the
chance that an exponential variable exceeds ``t Y``, the variable ``W = ln Y + g``, ``g`` a standard Gumbel, has the
distribution function ``P(W < w) = prod phi_k(e^-w)``: the mean of ``ln Y`` is that of ``W`` less Euler's constant
(Frullani's integral), its variance that of ``W`` less ``pi^2 / 6``. No lognormal approximation enters, so the results
hold for logits of any size; ``ln K + s^2 / 2`` holds for small ``s`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log, pi, sqrt

import numpy as np

from initlab.core.erf import Array, normal_cdf
from initlab.core.errors import OptionError
from initlab.theory.gains import check_variance
from initlab.theory.special import EULER_GAMMA, exponential_integral

# The trapezoid rule on densities that are analytic within pi / 2 of the real line errs by exp(-pi^2 / step): 5e-15.
_STEP = 0.3
_INNER_STEP = 0.2
_SIGMAS = 9.5
_GUMBEL = (-4.0, 42.0)
_NOTHING = 1e-18
_LARGE = 4.0  # s^2 from which on the difference of two large numbers is not taken
_BELOW_ONE = 1.0 - 2.0**-53


@dataclass(frozen=True)
class LogSumExp:
    """The mean and variance of ``ln sum_k exp(l_k)``.

    Attributes:
        mean: Its mean.
        variance: Its variance.
    """

    mean: float
    variance: float


def log_sum_exp(terms: int, variance: float, *, offsets: Sequence[float] | None = None) -> LogSumExp:
    """The mean and variance of ``ln sum_k exp(b_k + s z_k)``, ``z_k`` independent standard normal, to about 1e-12.

    Args:
        terms: The number ``K`` of terms, 1 or more.
        variance: ``s^2``, 0 or more.
        offsets: The ``K`` numbers ``b_k``; without them zeros. Time grows with the number of different ones.

    Returns:
        The mean and the variance.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> round(log_sum_exp(3, 4.0).mean, 2)           # ln 3 + 2^2 / 2 would be 3.10
        2.02
        >>> found = log_sum_exp(1, 2.0)                  # one term: the normal number itself
        >>> round(found.mean, 9) + 0.0, round(found.variance, 9)
        (0.0, 2.0)
    """
    check_terms(terms)
    s2 = check_variance(variance, "variance")
    places = tuple(float(b) for b in offsets) if offsets is not None else (0.0,)
    if offsets is not None and (len(places) != terms or not np.all(np.isfinite(places))):
        raise OptionError(f"offsets must be {terms} finite numbers, got {len(places)}", fix="give one a term")
    values, counts = np.unique(places, return_counts=True)
    if offsets is None:
        counts = np.array([terms])
    if s2 == 0.0:
        top = float(values.max())
        return LogSumExp(top + log(float(np.sum(counts * np.exp(values - top)))), 0.0)
    return _moments_of_w(tuple(values.tolist()), tuple(int(n) for n in counts), s2)


def softmax_square_sum(terms: int, variance: float) -> float:
    """``E sum_k a_k^2`` of the softmax ``a`` of ``K`` independent ``N(0, s^2)`` logits, to about 1e-12.

    It is the chance that two draws from ``a`` agree: ``1 / K`` for equal shares, 1 for one winner; about
    ``exp(s^2) / K`` where that is far below 1. ``K int E[e^(2 l - t e^l)] phi(t)^(K - 1) t dt``.

    Args:
        terms: The number ``K`` of logits, 1 or more.
        variance: ``s^2``, 0 or more.

    Returns:
        A number from ``1 / K`` to 1.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> round(1024 * softmax_square_sum(1024, 1.0), 4)     # e = 2.7183 less a term of order 1 / K
        2.6987
        >>> softmax_square_sum(8, 0.0)
        0.125
    """
    check_terms(terms)
    s2 = check_variance(variance, "variance")
    return 1.0 / terms if s2 == 0.0 or terms == 1 else _square_sum(terms, s2)


def softmax_entropy(terms: int, variance: float) -> float:
    """``E H(a)``, in nats, of the softmax ``a`` of ``K`` independent ``N(0, s^2)`` logits, to about 1e-11.

    ``H = ln Y - sum_k a_k l_k``, and by Stein's lemma ``E a_k l_k = s^2 E(a_k - a_k^2)``, so it is
    ``E ln Y - s^2 (1 - E sum a^2)``: from ``ln K`` for equal logits down to 0 for one winner. For large ``s`` that is
    the difference of two large numbers, so there it is a single integral: with ``-ln s = s int (ln t + g) e^(-s t) dt``
    (``g`` Euler's constant) it is ``-K int (ln t + g) E[e^(-t (1 + R e^-l))] dt``, ``R`` the other terms' sum.

    Args:
        terms: The number ``K`` of logits, 1 or more.
        variance: ``s^2``, 0 or more.

    Returns:
        The entropy in nats.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> round(softmax_entropy(10, 0.0), 12) == round(log(10.0), 12)
        True
        >>> softmax_entropy(10, 1e4) < 0.1
        True
    """
    check_terms(terms)
    s2 = check_variance(variance, "variance")
    if terms == 1:
        return 0.0
    if s2 >= _LARGE:
        return _entropy(terms, s2)
    mean = log_sum_exp(terms, s2).mean
    return max(mean - s2 * (1.0 - softmax_square_sum(terms, s2)), 0.0)


def check_terms(terms: int) -> None:
    """Nothing, where ``terms`` is a whole number of 1 or more.

    Raises:
        OptionError: It is not.
    """
    if isinstance(terms, bool) or not isinstance(terms, int) or terms < 1:
        raise OptionError(f"a softmax of {terms!r} terms", fix="give a whole number of 1 or more")


@lru_cache(maxsize=256)
def _moments_of_w(offsets: tuple[float, ...], counts: tuple[int, ...], s2: float) -> LogSumExp:
    w, log_f = _distribution(offsets, counts, s2)
    f = np.exp(log_f)
    last, step = float(w[-1]), _step(s2)
    # E(last - W) and E(last - W)^2 / 2 are integrals of F and (last - w) F; where these end, at F = 1, the trapezoid
    # rule is owed its first two corrections (Euler & Maclaurin).
    first = step * (float(f.sum()) - 0.5)
    second = 2.0 * (step * float(((last - w) * f).sum()) + step**2 / 12.0)
    return LogSumExp(last - first - EULER_GAMMA, max(second - first * first - pi**2 / 6.0, 0.0))


@lru_cache(maxsize=256)
def _entropy(terms: int, s2: float) -> float:
    """The entropy for ``s^2`` of 1 or more, without cancellation.

    With ``w = -ln t`` and ``y = l - w`` the integral is ``K int phi(w)^(K - 1) int psi(y) p(y + w) dy dw``, ``p`` the
    density of a logit and ``psi(y) = -(y + g) exp(y - e^y)``. The integral of ``psi`` is 0, so a flat ``p`` leaves
    nothing of it: by parts ``-Psi p'`` stands in its place, ``Psi = Ein(e^y) + (y + g) (e^(-e^y) - 1)``.
    """
    w, log_f = _distribution((0.0,), (terms,), s2)
    y = -np.arange(*_GUMBEL, _INNER_STEP)
    primitive = exponential_integral(np.exp(y)) + (y + EULER_GAMMA) * np.expm1(-np.exp(y))
    logit = y + w[:, None]
    slope = logit * np.exp(-0.5 * np.square(logit) / s2) / (s2 * sqrt(2.0 * pi * s2))
    inner = slope @ (_INNER_STEP * primitive)
    others = np.exp(log_f * ((terms - 1) / terms))
    return float(terms * _step(s2) * (inner * others).sum())


@lru_cache(maxsize=256)
def _square_sum(terms: int, s2: float) -> float:
    w, log_f = _distribution((0.0,), (terms,), s2)
    # All terms but one: the power K - 1 of the same phi.
    others = np.exp(log_f * ((terms - 1) / terms))
    inner = _over_terms(w, s2, lambda x: np.exp(2.0 * x - np.exp(x)))
    return min(terms * _step(s2) * float((inner * others).sum()), 1.0)


def _step(s2: float) -> float:
    """The step in ``w``: a wide normal smooths the Gumbel, and the largest of many is no narrower than s / 6."""
    return _STEP * max(1.0, sqrt(s2) / 4.0)


def _distribution(offsets: tuple[float, ...], counts: tuple[int, ...], s2: float) -> tuple[Array, Array]:
    """Equidistant ``w`` and ``ln P(W < w)`` there, from where it is nothing to where the rest is."""

    def log_f(w: Array) -> Array:
        return np.asarray(sum(n * np.log1p(-_exceeds(w - b, s2)) for b, n in zip(offsets, counts, strict=True)))

    reach = _SIGMAS * sqrt(s2)
    low, high = min(offsets) - reach + _GUMBEL[0], max(offsets) + reach + _GUMBEL[1] + log(sum(counts))
    # Most of that range holds nothing where there are many terms.
    coarse = np.linspace(low, high, 65)
    rough = np.exp(log_f(coarse))
    low = float(coarse[max(int(np.searchsorted(rough, _NOTHING)) - 1, 0)])
    step = _step(s2)
    w = np.arange(low, high + step, step)
    return w, log_f(w)


def _exceeds(w: Array, s2: float) -> Array:
    """``1 - phi(e^-w) = P(s z + g > w)``, ``g`` a standard Gumbel, without cancellation."""
    if s2 < 1.0:
        found = _over_terms(w, s2, lambda x: -np.expm1(-np.exp(x)))
    else:
        # Over the Gumbel: what is left of the normal is smooth however large s is.
        g = np.arange(*_GUMBEL, _INNER_STEP)
        density = _INNER_STEP * np.exp(-g - np.exp(-g))
        found = normal_cdf((g - w[:, None]) / sqrt(s2)) @ density
    return np.minimum(found, _BELOW_ONE)


def _over_terms(w: Array, s2: float, function: Callable[[Array], Array]) -> Array:
    """``E function(s z - w)`` over ``z ~ N(0, 1)``, by the trapezoid rule in whichever variable is smooth."""
    s = sqrt(s2)
    if s2 < 1.0:
        z = np.arange(-_SIGMAS, _SIGMAS, _INNER_STEP)
        return np.asarray(function(s * z - w[:, None]) @ (_INNER_STEP / sqrt(2.0 * pi) * np.exp(-0.5 * z * z)))
    x = -np.arange(*_GUMBEL, _INNER_STEP)
    density = np.exp(-0.5 * np.square((x + w[:, None]) / s)) / (s * sqrt(2.0 * pi))
    return np.asarray(density @ (_INNER_STEP * function(x)))
