"""Laws whose entries are independent: constant, uniform, normal, truncated normal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.dtypes import weight_dtype
from initlab.core.draws.entries import draw_entries
from initlab.core.draws.formulas import EntryFormula
from initlab.core.draws.marginals import step_cdf
from initlab.core.draws.selection import Index, check_shape, select
from initlab.core.draws.streams import Stream
from initlab.core.draws.truncation import Truncation, truncation
from initlab.core.erf import normal_cdf
from initlab.core.errors import OptionError
from initlab.core.laws.protocol import Shape


def check_finite(**numbers: float) -> None:
    """Raise OptionError unless each number is finite."""
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise OptionError(f"{name} must be a finite number, got {value}")


def check_not_negative(**numbers: float) -> None:
    """Raise OptionError unless each number is finite and 0 or more."""
    check_finite(**numbers)
    for name, value in numbers.items():
        if value < 0:
            raise OptionError(f"{name} must be 0 or more, got {value:g}")


def check_order(low: float, high: float) -> None:
    """Raise OptionError unless both are finite and ``low < high``."""
    check_finite(low=low, high=high, width=high - low)
    if not low < high:
        raise OptionError(f"low must be below high, got {low:g} and {high:g}", fix="swap them")


@dataclass(frozen=True)
class Constant:
    """Every entry is ``value``.

    Example:
        >>> Constant(0.5).mean((2, 2)), Constant(0.5).std((2, 2))
        (0.5, 0.0)
    """

    value: float
    family: ClassVar[str] = "constant"
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_finite(value=self.value)

    def check(self, shape: Shape) -> None:
        """Any shape will do."""
        check_shape(shape)

    def mean(self, shape: Shape) -> float:
        """The value."""
        return self.value

    def std(self, shape: Shape) -> float:
        """Zero."""
        return 0.0

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """The value, twice."""
        return self.value, self.value

    def cdf(self, x: ArrayLike, shape: Shape) -> NDArray[np.float64]:
        """A step at the value."""
        return step_cdf(x, self.value)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """An array filled with the value; the stream is not used."""
        value = np.float32(self.value) if weight_dtype(dtype).itemsize < 4 else self.value
        return np.full(select(check_shape(shape), index).shape, value, weight_dtype(dtype))

    def __str__(self) -> str:
        return f"constant {self.value:.4g}"


@dataclass(frozen=True)
class Uniform:
    """Entries are uniform on ``(low, high)``.

    Example:
        >>> round(Uniform(-0.3, 0.3).std((2, 2)), 6)      # 0.3 / sqrt(3)
        0.173205
        >>> print(Uniform(-0.3, 0.3))
        U(-0.3, 0.3)
    """

    low: float
    high: float
    family: ClassVar[str] = "uniform"
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_order(self.low, self.high)

    @property
    def formula(self) -> EntryFormula:
        """From bits to values."""
        middle = 0.5 * self.low + 0.5 * self.high
        return EntryFormula(normal=False, width=self.high - self.low, middle=middle, low=self.low, high=self.high)

    def check(self, shape: Shape) -> None:
        """Any shape will do."""
        check_shape(shape)

    def mean(self, shape: Shape) -> float:
        """The middle."""
        return 0.5 * self.low + 0.5 * self.high

    def std(self, shape: Shape) -> float:
        """``(high - low) / sqrt(12)``."""
        return (self.high - self.low) / math.sqrt(12.0)

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """The two ends."""
        return self.low, self.high

    def cdf(self, x: ArrayLike, shape: Shape) -> NDArray[np.float64]:
        """A ramp from ``low`` to ``high``."""
        return np.clip((np.asarray(x, np.float64) - self.low) / (self.high - self.low), 0.0, 1.0)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """``(high - low) (u - 1/2) + (low + high) / 2``, kept inside the ends."""
        return draw_entries(self.formula, shape, stream, dtype=dtype, index=index)

    def __str__(self) -> str:
        return f"U({self.low:.4g}, {self.high:.4g})"


@dataclass(frozen=True)
class Normal:
    """Entries are normal with standard deviation ``sigma`` and mean ``mu``.

    Example:
        >>> print(Normal(0.0884), Normal(0.0884).std((64, 128)))
        N(0, 0.0884^2) 0.0884
    """

    sigma: float
    mu: float = 0.0
    family: ClassVar[str] = "normal"
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_not_negative(sigma=self.sigma)
        check_finite(mu=self.mu)

    @property
    def formula(self) -> EntryFormula:
        """From bits to values."""
        return EntryFormula(normal=True, scale=self.sigma, shift=self.mu)

    def check(self, shape: Shape) -> None:
        """Any shape will do."""
        check_shape(shape)

    def mean(self, shape: Shape) -> float:
        """``mu``."""
        return self.mu

    def std(self, shape: Shape) -> float:
        """``sigma``."""
        return self.sigma

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """None: minus and plus infinity, or ``mu`` twice where ``sigma`` is 0."""
        return (-math.inf, math.inf) if self.sigma else (self.mu, self.mu)

    def cdf(self, x: ArrayLike, shape: Shape) -> NDArray[np.float64]:
        """The normal distribution function."""
        if self.sigma == 0:
            return step_cdf(x, self.mu)
        return normal_cdf((np.asarray(x, np.float64) - self.mu) / self.sigma)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """``quantile(u) sigma + mu``."""
        return draw_entries(self.formula, shape, stream, dtype=dtype, index=index)

    def __str__(self) -> str:
        return f"N({self.mu:.4g}, {self.sigma:.4g}^2)"


@dataclass(frozen=True)
class TruncatedNormal:
    """Entries are normal, cut to ``mu + sigma [low, high]``; sigma is that of the uncut normal.

    The entries' own deviation is smaller, and is what ``std`` gives; ``with_std`` starts from it.

    Example:
        >>> round(TruncatedNormal(1.0).std((2, 2)), 10)      # Keras and JAX divide by this number
        0.879625661
        >>> print(TruncatedNormal(0.1))
        TN(0, 0.1^2; cut +-2 sigma)
    """

    sigma: float
    mu: float = 0.0
    low: float = -2.0
    high: float = 2.0
    family: ClassVar[str] = "truncated_normal"
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_not_negative(sigma=self.sigma)
        check_finite(mu=self.mu)
        check_order(self.low, self.high)
        truncation(self.low, self.high)

    @classmethod
    def with_std(cls, std: float, *, mu: float = 0.0, low: float = -2.0, high: float = 2.0) -> TruncatedNormal:
        """The cut normal whose entries have the standard deviation ``std`` after the cut.

        Example:
            >>> TruncatedNormal.with_std(0.5).std((2, 2))
            0.5
        """
        check_order(low, high)
        return cls(std / truncation(low, high).std, mu, low, high)

    @property
    def cut(self) -> Truncation:
        """The numbers of the cut, for sigma 1 and mu 0."""
        return truncation(self.low, self.high)

    @property
    def formula(self) -> EntryFormula:
        """From bits to values."""
        return EntryFormula(True, self.cut.mass, self.cut.middle, self.low, self.high, self.sigma, self.mu)

    def check(self, shape: Shape) -> None:
        """Any shape will do."""
        check_shape(shape)

    def mean(self, shape: Shape) -> float:
        """Mean after the cut; ``mu`` for a symmetric one."""
        return self.mu + self.sigma * self.cut.mean

    def std(self, shape: Shape) -> float:
        """Standard deviation after the cut."""
        return self.sigma * self.cut.std

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """The two ends of the cut."""
        return self.low * self.sigma + self.mu, self.high * self.sigma + self.mu

    def cdf(self, x: ArrayLike, shape: Shape) -> NDArray[np.float64]:
        """The normal distribution function inside the cut."""
        if self.sigma == 0:
            return step_cdf(x, self.mu)
        z = np.clip((np.asarray(x, np.float64) - self.mu) / self.sigma, self.low, self.high)
        return np.clip((normal_cdf(z) - normal_cdf(self.low)) / self.cut.mass, 0.0, 1.0)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """The normal quantile of a uniform number scaled into the cut."""
        return draw_entries(self.formula, shape, stream, dtype=dtype, index=index)

    def __str__(self) -> str:
        ends = f"+-{self.high:.4g}" if self.low == -self.high else f"{self.low:.4g} to {self.high:.4g}"
        return f"TN({self.mu:.4g}, {self.sigma:.4g}^2; cut {ends} sigma)"
