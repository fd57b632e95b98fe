"""Numbers that a float may not hold: each has a twin that gives the logarithm."""

from __future__ import annotations

from math import exp, inf, log

from initlab.core.errors import InitlabError

LARGEST_EXPONENT = 709.78
"""The natural logarithm of the largest float64."""


def exp_within_float(log_value: float, *, what: str, twin: str) -> float:
    """``exp(log_value)``.

    Args:
        log_value: A natural logarithm.
        what: What the number is, for the error.
        twin: The function that gives the logarithm.

    Raises:
        InitlabError: A float does not hold it.

    Example:
        >>> exp_within_float(0.0, what="a factor of one", twin="log_factor")
        1.0
    """
    if log_value > LARGEST_EXPONENT:
        raise InitlabError(f"{what} is e^{log_value:.6g}, more than a float holds", fix=f"take {twin}")
    return exp(log_value)


def format_log(log_value: float, *, digits: int = 3) -> str:
    """``e^log_value`` as ``%g`` would print it, however large or small it is.

    Example:
        >>> format_log(log(1500.0)), format_log(-inf), format_log(800.0 * log(10.0)), format_log(-800.0 * log(10.0))
        ('1.5e+03', '0', '1e+800', '1e-800')
    """
    if log_value == -inf or abs(log_value) < LARGEST_EXPONENT - 1.0:
        return f"{exp(log_value):.{digits}g}"
    power, rest = divmod(log_value / log(10.0), 1.0)
    return f"{10.0**rest:.{digits}g}e{int(power):+d}"
