"""What theory says of one place's values, and how Gaussian maps carry it through an activation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import isfinite, isnan, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from initlab.core.signals.readings import Sums
from initlab.theory import Activation, activation, pair_moment
from initlab.theory.expectations import SlopeMoments, ValueMoments, slope_moments, value_moments
from initlab.theory.fluctuation import slope_noise, square_elasticity, square_noise

# A mean whose square is a smaller share of E[x^2] than this moves no moment by 1 %.
_CENTRED = 1e-3
_SAME = 1e-12


@dataclass(frozen=True)
class Signal:
    """What theory says of the values of one place.

    Attributes:
        square: E[x^2].
        mean: E[x] over units and samples.
        cosine: Of two samples; NaN where it is not known.
        tokens: Of two tokens of one sample; NaN where there are none.
        common: Of two samples at different places, such as two pixels; as ``cosine`` where a sample has one place.
        latent: Variance of ``ln square`` from draw to draw that stays for the layers behind.
        local: Variance that this place's own number of units adds.
        shift: The part of ``square`` that parameters which are added, such as biases, give to all samples alike.
        is_normal: Whether an entry is a normal number over draws of the weights.
        is_measured: Whether it was taken from the measurement.
        why: Why it was; empty where theory knew.
    """

    square: float
    mean: float = 0.0
    cosine: float = 0.0
    tokens: float = nan
    common: float = 0.0
    latent: float = 0.0
    local: float = 0.0
    shift: float = 0.0
    is_normal: bool = False
    is_measured: bool = False
    why: str = ""

    @property
    def scatter(self) -> float:
        """Std of ``ln square`` from draw to draw."""
        return sqrt(max(self.latent + self.local, 0.0))


def from_measurement(sums: Sums | None, why: str, *, has_places: bool) -> Signal | None:
    """The signal that was measured, with the reason why it is; None where nothing finite was.

    Args:
        sums: What was measured.
        why: The reason.
        has_places: Whether a sample has more than its features: pixels, or tokens.
    """
    if sums is None or not isfinite(sums.square):
        return None
    mean = sums.mean if isfinite(sums.mean) else 0.0
    # All places of all samples have the mean of the value in common.
    common = mean * mean / sums.square if sums.square > 0.0 else 1.0
    return Signal(
        square=sums.square,
        mean=mean,
        common=common if has_places or isnan(sums.cosine) else sums.cosine,
        cosine=sums.cosine,
        tokens=sums.token_cosine,
        is_measured=True,
        why=why,
    )


def alike(cosine: float, rows: int, *, power: int = 1) -> float:
    """The mean over pairs of ``rows`` samples, each with itself included, of ``|cosine|^power``.

    A mean over the batch strays by this share of the variance of one sample: 1 where all samples are the same, or
    where it is not known how alike they are.

    Example:
        >>> alike(0.5, 2)      # (1 + 1 + 0.5 + 0.5) / 4
        0.75
    """
    return 1.0 if isnan(cosine) else (1.0 + (rows - 1) * min(abs(cosine), 1.0) ** power) / max(rows, 1)


@dataclass(frozen=True)
class Mapped:
    """An activation on the normal numbers of one place.

    Attributes:
        act: The activation, of the number less its mean.
        q: Their variance.
        value: Moments of its values; None at ``q = 0``.
        slope: Moments of its slopes; None at ``q = 0``.
    """

    act: Activation
    q: float
    value: ValueMoments | None = field(default=None)
    slope: SlopeMoments | None = field(default=None)

    @property
    def mean(self) -> float:
        """E f."""
        return float(self.act(0.0)) if self.value is None else self.value.mean

    @property
    def second(self) -> float:
        """E f^2."""
        return float(self.act(0.0)) ** 2 if self.value is None else self.value.second

    @property
    def slope_second(self) -> float:
        """E f'^2."""
        return float(self.act.slope(0.0)) ** 2 if self.slope is None else self.slope.second

    @property
    def elasticity(self) -> float:
        """``d ln E f^2 / d ln q``: how a stray signal goes on."""
        return 0.0 if self.value is None else square_elasticity(self.value, self.q)

    @property
    def value_noise(self) -> float:
        """The relative variance of one unit's square."""
        return 0.0 if self.value is None else square_noise(self.value)

    @property
    def slope_noise(self) -> float:
        """The relative variance of one unit's squared gradient."""
        return 0.0 if self.slope is None else slope_noise(self.slope)

    def pair(self, cosine: float, before: Signal) -> float:
        """The cosine of two values behind the activation, from that before it."""
        if not self.second > 0.0 or self.value is None:
            return 1.0
        if isnan(cosine):
            return nan
        c = self._centred(cosine, before)
        return 1.0 if 1.0 - c < _SAME else min(pair_moment(self.act, c, self.q) / self.second, 1.0)

    def slope_pair(self, cosine: float, before: Signal) -> float:
        """``E f'(u) f'(v) / E f'^2``: the same of two slopes."""
        if not self.slope_second > 0.0 or self.slope is None or isnan(cosine):
            return 1.0
        c = self._centred(cosine, before)
        if 1.0 - c < _SAME:
            return 1.0
        return min(pair_moment(self.act, c, self.q, of="slope") / self.slope_second, 1.0)

    def _centred(self, cosine: float, before: Signal) -> float:
        """The correlation about the mean."""
        return max(min((cosine * before.square - (before.square - self.q)) / self.q, 1.0), -1.0)


def mapped(f: str, before: Signal) -> Mapped:
    """The activation on a place's normal numbers, about their mean.

    Raises:
        InitlabError: No such activation, or moments that do not exist.
    """
    act = activation(f)
    mean, q = before.mean, before.square
    if mean * mean > _CENTRED * before.square:
        act, q = _about(act, mean), max(before.square - mean * mean, 0.0)
    if not q > _SAME * before.square:
        return Mapped(act, 0.0)
    return Mapped(act, q, value_moments(act, q), slope_moments(act, q))


@lru_cache(maxsize=256)
def _about(act: Activation, mean: float) -> Activation:
    """``f(x + mean)``."""

    def shifted(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return act(x + mean)

    def slope(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return act.slope(x + mean)

    name, kinks = f"{act.name}(x {mean:+.4g})", tuple(k - mean for k in act.kinks)
    return replace(act, name=name, f=shifted, kinks=kinks, derivative=slope if act.derivative else None, options={})
