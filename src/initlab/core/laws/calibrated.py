"""A law whose size data decide: a base law times one number, found when a model has seen a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.dtypes import weight_dtype, write
from initlab.core.draws.selection import Index
from initlab.core.draws.streams import Stream
from initlab.core.errors import OptionError
from initlab.core.laws.elementwise import check_finite
from initlab.core.laws.protocol import Law, Shape
from initlab.core.laws.whole import Floats


@dataclass(frozen=True)
class Calibrated:
    """``scale`` times the base law, where ``scale`` is what gives the layer's output on a batch the std ``target``.

    Until a batch was seen there is no scale: the law is not drawn, and its moments are NaN.

    Attributes:
        base: The law of the weight before it is scaled.
        target: The std that the layer's output is to have.
        tolerance: By which share of the target it may differ.
        steps: Times that the scale may be corrected.
        scale: What the batch made of it; None before.

    Raises:
        OptionError: A target, a tolerance or a scale that is not above 0, or no step.

    Example:
        >>> from initlab.core.laws.elementwise import Normal
        >>> law = Calibrated(Normal(0.5))
        >>> print(law, law.scaled(3.0), law.scaled(3.0).std((4, 2)))
        N(0, 0.5^2), scaled by data 3 x N(0, 0.5^2) 1.5

    Source: Mishkin and Matas 2016, "All you need is a good init", arXiv:1511.06422, algorithm 1.
    """

    base: Law
    target: float = 1.0
    tolerance: float = 0.01
    steps: int = 10
    scale: float | None = None
    family: ClassVar[str] = "calibrated"

    def __post_init__(self) -> None:
        numbers = {"target": self.target, "tolerance": self.tolerance}
        check_finite(**numbers)
        for name, value in {**numbers, "steps": self.steps}.items():
            if value <= 0:
                raise OptionError(f"{name} must be above 0, got {value:g}")
        if self.scale is not None and not 0.0 < self.scale < math.inf:
            raise OptionError(f"scale must be a finite number above 0, got {self.scale:g}")

    @property
    def elementwise(self) -> bool:
        """As the base law: all entries get one factor."""
        return self.base.elementwise

    def scaled(self, scale: float) -> Calibrated:
        """The same law with a scale that a batch gave."""
        return Calibrated(self.base, self.target, self.tolerance, self.steps, scale)

    def check(self, shape: Shape) -> None:
        """What the base law takes."""
        self.base.check(shape)

    def mean(self, shape: Shape) -> float:
        """That of the base law, scaled."""
        return math.nan if self.scale is None else self.scale * self.base.mean(shape)

    def std(self, shape: Shape) -> float:
        """That of the base law, scaled."""
        return math.nan if self.scale is None else self.scale * self.base.std(shape)

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """Those of the base law, scaled."""
        low, high = self.base.bounds(shape)
        return (-math.inf, math.inf) if self.scale is None else (self.scale * low, self.scale * high)

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """That of the base law at ``x / scale``."""
        return self.base.cdf(np.asarray(x, np.float64) / (math.nan if self.scale is None else self.scale), shape)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """The base law's draw in float64, times the scale, rounded once.

        Raises:
            OptionError: No batch has given a scale.
        """
        if self.scale is None:
            raise OptionError(
                f"{self.base} is to be scaled by data, and no batch was seen",
                fix="initialize(model, scheme, example=batch), or plan(model, scheme, example=batch).apply()",
            )
        values = np.multiply(self.scale, self.base.draw(shape, stream, index=index), dtype=np.float64)
        out = np.empty(values.shape, weight_dtype(dtype))
        write(values, out)
        return out

    def __str__(self) -> str:
        return f"{self.base}, scaled by data" if self.scale is None else f"{self.scale:.4g} x {self.base}"
