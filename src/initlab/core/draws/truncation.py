"""The normal distribution cut on both sides, in numbers that are correctly rounded.

The width and middle of a cut enter every drawn weight, so they come from decimal arithmetic, alike on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cache

from initlab.core.errors import OptionError

_DIGITS = 60
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534")
_BEYOND = 9.0  # the normal's tail beyond 9 sigma is 1e-19, under half a unit in the last place of 0.5
SMALLEST_MASS = 1e-6


@dataclass(frozen=True)
class Truncation:
    """The standard normal inside a cut.

    Attributes:
        mass: Probability of the uncut normal inside the cut.
        middle: Middle of the probabilities of the two ends, less 1/2; 0 for a symmetric cut.
        mean: Mean inside the cut.
        std: Standard deviation inside the cut.
    """

    mass: float
    middle: float
    mean: float
    std: float


def _density(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / (2 * _PI).sqrt()


def _central_probability(x: Decimal) -> Decimal:
    """Probability between 0 and x, signed: ``density(x) * sum x^(2k+1) / (1 * 3 * ... * (2k+1))``."""
    if abs(x) > _BEYOND:
        return Decimal("0.5").copy_sign(x)
    term, total, odd = x, x, 1
    while abs(term) > Decimal(10) ** -_DIGITS:
        odd += 2
        term = term * x * x / odd
        total += term
    return _density(x) * total


@cache
def truncation(low: float, high: float) -> Truncation:
    """Mass, middle, mean and std of the standard normal cut to ``[low, high]``, each correctly rounded.

    Args:
        low: Lower end, in units of the uncut sigma.
        high: Upper end, above ``low``.

    Returns:
        The numbers of the cut.

    Raises:
        OptionError: The cut holds less than 1e-6 of the normal, too little to be drawn with 52 bits.

    Example:
        >>> cut = truncation(-2.0, 2.0)
        >>> round(cut.mass, 6), cut.middle, cut.mean, round(cut.std, 10)
        (0.9545, 0.0, 0.0, 0.879625661)

    Source: Johnson, Kotz, Balakrishnan, "Continuous univariate distributions 1" (1994), section 13.10.1.
    """
    with localcontext(Context(prec=_DIGITS + 20)):
        a, b = Decimal(low), Decimal(high)
        from_low, to_high = _central_probability(a), _central_probability(b)
        mass = to_high - from_low
        if mass < SMALLEST_MASS:
            raise OptionError(
                f"a normal cut to [{low:g}, {high:g}] sigma keeps {float(mass):.1g} of it",
                fix="widen the cut, or use a uniform law",
            )
        mean = (_density(a) - _density(b)) / mass
        variance = 1 + (a * _density(a) - b * _density(b)) / mass - mean * mean
        return Truncation(float(mass), float((from_low + to_high) / 2), float(mean), float(variance.sqrt()))
