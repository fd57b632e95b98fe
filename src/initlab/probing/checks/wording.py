"""How findings put numbers and lists into words."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(value: float) -> str:
    """A number in three digits, as it is read in a sentence.

    Example:
        >>> number(0.123456), number(1705.4), number(3.2e-14), number(12345678.0)
        ('0.123', '1705', '3.2e-14', '1.23e+07')
    """
    if value == 0.0 or not math.isfinite(value):
        return "0" if value == 0.0 else str(value)
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:.3g}"


def listed(names: Sequence[str], most: int) -> str:
    """Names one after another; beyond ``most`` of them the rest is counted.

    Example:
        >>> listed(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
