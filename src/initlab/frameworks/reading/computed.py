"""Weights that a layer computes: whether what it makes is what was drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import OptionError


def check_made(made: NDArray[np.generic], drawn: NDArray[np.generic], *, kind: str, native: str, eps: float) -> None:
    """Nothing, where a computed weight is what was drawn, to rounding.

    Args:
        made: The weight that is computed.
        drawn: What was drawn, of the same shape.
        kind: What computes it.
        native: Its name.
        eps: The distance from 1 to the next number of its type.

    Raises:
        OptionError: It is another.
    """
    wanted = np.asarray(drawn, np.float64)
    off = float(np.abs(np.asarray(made, np.float64) - wanted).max(initial=0.0))
    # Sums of so many products, each rounded, by which the parts are set and the weight is made of them.
    if not off <= float(np.abs(wanted).max(initial=0.0)) * eps * (16.0 + max(wanted.shape, default=1) ** 0.5):
        raise not_made(kind, native, f"what it makes is off by {off:.3g}")


def not_made(kind: str, native: str, told: str) -> OptionError:
    """The error of a computed weight that cannot be what was drawn."""
    return OptionError(
        f"{kind}, which makes this weight, cannot make what was drawn: {told}",
        where=native,
        fix="give it a law that it can, as orthogonal for an orthogonal one, or exclude it",
    )
