"""Closed forms of ``E f(u) f(v)`` and ``E f'(u) f'(v)`` for ``u, v ~ N(0, q)`` of covariance ``k = q c``.

Sources: Cho & Saul, NeurIPS 2009 (bent lines); Williams, NeurIPS 1996 (erf); Tsuchida, Pearce, van der Heide, Roosta &
Gallagher, arXiv 2002.08517 (GELU). The second form is the derivative of the first by ``k``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import acos, asin, atan2, cosh, exp, pi, sinh, sqrt
from typing import TypeAlias

from initlab.core.erf import Array
from initlab.theory import bounded_activations, piecewise_activations, smooth_rectifiers
from initlab.theory.activations import Activation

Kernel: TypeAlias = Callable[[float, float], tuple[float, float]]
"""``(q, c)`` to the moment of the values and that of the slopes."""

# Above it sinh and exp of q would lose the digits that their product has.
_LARGEST_SINE_Q = 300.0


def closed_kernel(act: Activation) -> Kernel | None:
    """The closed form for an activation, or None where it has none.

    Args:
        act: The activation; it is known by its function, so one of another function under the same name is not taken
            for it.

    Returns:
        A function of the variance ``q`` and the correlation ``c``.

    Example:
        >>> from initlab.theory.activations import activation
        >>> value, slope = closed_kernel(activation("relu"))(1.0, 0.0)
        >>> round(value * 2 * pi, 12), slope
        (1.0, 0.25)
    """
    plain = getattr(act.f, "func", act.f)
    if plain is piecewise_activations.leaky_relu:
        below = act.options["negative_slope"]
        return _bent_line(below) if isinstance(below, int | float) else None
    return _KERNELS.get(plain)


def _bent_line(below: float) -> Kernel:
    """Slope ``a`` below zero and 1 above: ``theta = acos c``."""
    even, odd = 0.5 * (1.0 + below * below), (1.0 - below) ** 2 / (2.0 * pi)

    def kernel(q: float, c: float) -> tuple[float, float]:
        theta = acos(c)
        return q * (even * c + odd * (sqrt((1.0 - c) * (1.0 + c)) - theta * c)), even - odd * theta

    return kernel


def _erf(q: float, c: float) -> tuple[float, float]:
    k, whole = q * c, 1.0 + 2.0 * q
    return 2.0 / pi * asin(2.0 * k / whole), 4.0 / pi / sqrt((whole - 2.0 * k) * (whole + 2.0 * k))


def _gelu(q: float, c: float) -> tuple[float, float]:
    # In shares of 1 + q, whose square leaves float64 long before the moments do.
    k, whole = q * c, 1.0 + q
    delta = sqrt(1.0 + q * (1.0 - c)) * sqrt(1.0 + q * (1.0 + c))
    angle, near, far = atan2(k, delta), k / whole, q / whole
    top = near * near / delta + far * far * delta
    value = 0.25 * k + (top + k * angle) / (2.0 * pi)
    top_slope = k / delta * (2.0 * (1.0 / whole / whole - far * far) + top / delta)
    return value, 0.25 + (top_slope + angle + k / delta) / (2.0 * pi)


def _sin(q: float, c: float) -> tuple[float, float]:
    # e^-q sinh(q c) without the overflow of sinh.
    if q > _LARGEST_SINE_Q:
        near, far = exp(-q * (1.0 - c)), exp(-q * (1.0 + c))
        return 0.5 * (near - far), 0.5 * (near + far)
    return exp(-q) * sinh(q * c), exp(-q) * cosh(q * c)


def _cos(q: float, c: float) -> tuple[float, float]:
    odd, even = _sin(q, c)
    return even, odd


def _square(q: float, c: float) -> tuple[float, float]:
    return q * q * (1.0 + 2.0 * c * c), 4.0 * q * c


_KERNELS: dict[Callable[..., Array], Kernel] = {
    piecewise_activations.identity: _bent_line(1.0),
    piecewise_activations.relu: _bent_line(0.0),
    piecewise_activations.absolute: _bent_line(-1.0),
    bounded_activations.error_function: _erf,
    bounded_activations.sin: _sin,
    bounded_activations.cos: _cos,
    bounded_activations.square: _square,
    smooth_rectifiers.gelu: _gelu,
}
