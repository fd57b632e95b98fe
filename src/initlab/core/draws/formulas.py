"""How an entry's value follows from its own 52 bits: the one formula of every element-wise random law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.philox import Words, central
from initlab.core.draws.quantiles import normal_quantile


@dataclass(frozen=True)
class EntryFormula:
    """``clip(f(width * q + middle), low, high) * scale + shift``, where q = u - 1/2 and f is a quantile function.

    Attributes:
        normal: Whether f is the standard normal's quantile of ``1/2 + c``; else it is the identity.
        width: Part of (0, 1) that is used; or the length of a uniform law.
        middle: Middle of that part, less 1/2; or the middle of a uniform law.
        low: Lower bound of f's value.
        high: Upper bound of f's value.
        scale: Standard deviation of the uncut law; 1 for a uniform one.
        shift: Mean of the uncut law; 0 for a uniform one.
    """

    normal: bool
    width: float = 1.0
    middle: float = 0.0
    low: float = -np.inf
    high: float = np.inf
    scale: float = 1.0
    shift: float = 0.0

    def values(self, pairs: Words) -> NDArray[np.float64]:
        """The float64 value of each entry from its 64-bit pair."""
        c = central(pairs) * self.width + self.middle
        value = normal_quantile(c) if self.normal else c
        return np.minimum(np.maximum(value, self.low), self.high) * self.scale + self.shift
