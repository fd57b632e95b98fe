"""What a storage type can hold: narrow weights are read as float32, and their type shows in their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.floating]
GridName = Literal["float64", "float32", "float16", "bfloat16"]

_LOW_HALF = np.uint32(0xFFFF)
_FEW = 256
_STEP = 1 << 16  # a bfloat16 is the upper half of a float32


@dataclass(frozen=True)
class Grid:
    """A storage type.

    Attributes:
        name: Its name.
        eps: Half the relative distance of neighbours: the largest relative error of rounding.
    """

    name: GridName
    eps: float

    @property
    def slack(self) -> float:
        """How far a draw made in the type itself is off, as a share of its range; 0 where that is too little to see.

        A framework that draws uniforms in a narrow type has as many different ones as its mantissa, rounded down.
        """
        return 2.0 * self.eps if self.name in ("float16", "bfloat16") else 0.0

    def rounded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The nearest numbers of the type, by way of float32 where it is narrower."""
        if self.name == "float64":
            return values
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)
            if self.name == "float16":
                return single.astype(np.float16).astype(np.float64)
        if self.name == "float32":
            return single.astype(np.float64)
        bits = single.view(np.uint32)
        tie = (bits >> np.uint32(16)) & np.uint32(1)  # halves go to the even neighbour
        near = (bits + np.uint32(0x7FFF) + tie) & ~_LOW_HALF
        return np.where(np.isfinite(single), near.view(np.float32), single).astype(np.float64)

    def upper_edges(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The number halfway to the next larger one of the type: what is below it is rounded to the value or less.

        Example:
            >>> GRIDS["float16"].upper_edges(np.array([1.0])).item() == 1 + 2.0**-11
            True
        """
        return 0.5 * values + 0.5 * self._next(values)

    def _next(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.name == "float64":
            return np.nextafter(values, np.inf)
        if self.name == "float16":
            return np.nextafter(values.astype(np.float16), np.float16(np.inf)).astype(np.float64)
        single = values.astype(np.float32)
        if self.name == "float32":
            return np.nextafter(single, np.float32(np.inf)).astype(np.float64)
        magnitude = np.abs(single).view(np.int32)
        away = np.where(single >= 0, magnitude + _STEP, np.maximum(magnitude - _STEP, 0)).astype(np.int32)
        return np.copysign(away.view(np.float32), np.where(single >= 0, 1.0, -1.0)).astype(np.float64)


GRIDS: dict[GridName, Grid] = {
    "float64": Grid("float64", 2.0**-53),
    "float32": Grid("float32", 2.0**-24),
    "float16": Grid("float16", 2.0**-11),
    "bfloat16": Grid("bfloat16", 2.0**-8),
}


def grid_of(values: Values) -> Grid:
    """The narrowest type that holds every value: that of the parameter, unless its values are all round numbers.

    Args:
        values: As an adapter reads them, float64 or float32.

    Example:
        >>> grid_of(np.float32([0.1, 0.2])).name, grid_of(np.float32([0.5, 1.0])).name
        ('float32', 'bfloat16')
    """
    if values.dtype == np.float64:
        return GRIDS["float64"]
    single = np.ascontiguousarray(values, np.float32).reshape(-1)
    for name, fits in _NARROW:
        if fits(single[:_FEW]) and fits(single):  # a few numbers tell most arrays of float32
            return GRIDS[name]
    return GRIDS["float32"]


def _is_brain(single: NDArray[np.float32]) -> bool:
    return not bool((single.view(np.uint32) & _LOW_HALF).any())


def _is_half(single: NDArray[np.float32]) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((single.astype(np.float16) == single).all())


_NARROW: tuple[tuple[GridName, Callable[[NDArray[np.float32]], bool]], ...] = (
    ("bfloat16", _is_brain),
    ("float16", _is_half),
)
