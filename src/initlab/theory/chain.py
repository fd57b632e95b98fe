"""A chain of layers at its own depth and widths: what becomes of its signal, gradient and correlation.

Layer by layer, without a fixed point: the variance map gives ``q_l``, ``chi_1`` the gradient and the correlation map
``c_l`` (Poole et al., arXiv 1606.05340; Schoenholz et al., arXiv 1611.01232). A net of finite width strays from these
means; how far is told to first order in 1 / width (Hanin & Rolnick, arXiv 1803.01719, for any activation).
Between layers, layer normalisation multiplies the gradient by ``E f'^2 / E f^2`` and batch normalisation by
``E f'^2 / Var f``, which is above 1 for all but linear activations (Yang et al. 2019, arXiv 1902.08129).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from statistics import NormalDist
from typing import Literal

from initlab.core.errors import InitlabError
from initlab.theory.activations import Activation, activation
from initlab.theory.expectations import ActivationLike, slope_moments, value_moments
from initlab.theory.fluctuation import slope_noise, square_elasticity, square_noise
from initlab.theory.maps import pair_moment

Quantity = Literal["signal", "signal scatter", "gradient", "gradient scatter", "correlation"]
SCATTERED: tuple[Quantity, ...] = ("signal scatter", "gradient scatter")
"""Those that hold on average, and leave their limits in some draws."""

# Beyond these a signal is gone for every purpose, and integrals over it lose their digits.
_FAINTEST, _LOUDEST = 1e-12, 1e12
_SAME = 1e-12


@dataclass(frozen=True)
class ChainLayer:
    """One weight of a chain with its bias.

    Attributes:
        f_in: The activation between the layer before and this one; None for the chain's first layer.
        sigma_w2: The variance of a weight times its fan-in.
        sigma_b2: The variance of a bias.
        fan_in: Terms in one sum: the fewer, the further one net strays from the mean of all.
        share: For the first layer E[x^2] of its input; for the others the part of ``E f(z)^2`` that arrives, below 1
            behind a pooling.
        normalised: Whether a norm layer takes the output and brings its variance back to 1.
        centered: Whether that norm takes each unit's mean over the rows off first, as batch normalisation does: what
            the mean of ``f(z)`` adds to every row is lost.
    """

    f_in: ActivationLike | None
    sigma_w2: float
    sigma_b2: float = 0.0
    fan_in: float = inf
    share: float = 1.0
    normalised: bool = False
    centered: bool = False


@dataclass(frozen=True)
class LayerSignal:
    """The state of a chain before the activation of one layer.

    Attributes:
        q: ``E[z^2]``, over draws of the net.
        gradient: The squared norm of the loss's gradient at the first layer over that at this one.
        correlation: Of two inputs.
        scatter: Std of ``ln(q / q of the first layer)`` from draw to draw; 0 for infinite widths.
        gradient_scatter: Std of ``ln(gradient)``.
    """

    q: float
    gradient: float
    correlation: float
    scatter: float
    gradient_scatter: float


@dataclass(frozen=True)
class Limits:
    """What a chain must keep from its first layer to its last.

    Attributes:
        ratio: The signal and the squared gradient stay within ``1 / ratio`` and ``ratio`` times what they were.
        separation: ``1 - c`` of two different inputs stays above it.
        deviations: Of the scatter that must fit within ``ratio`` as well: 2 hold 19 draws of 20.
        shallow: Chains of so few layers may lose the separation: what is left is still learnt from.
    """

    ratio: float = 10.0
    separation: float = 1e-3
    deviations: float = 2.0
    shallow: int = 3


@dataclass(frozen=True)
class Breach:
    """The first layer at which a limit does not hold.

    Attributes:
        layer: Counted from 1.
        quantity: What leaves its limits.
        value: The ratio of a signal or gradient, or ``1 - c``; infinite where the signal itself is lost.
    """

    layer: int
    quantity: Quantity
    value: float


@dataclass(frozen=True)
class Course:
    """How a chain fares.

    Attributes:
        signals: A record a layer, up to the breach where there is one.
        breach: The first limit that does not hold; None where all do.
    """

    signals: tuple[LayerSignal, ...]
    breach: Breach | None


def share_off(mean: float, scatter: float, *, ratio: float) -> float:
    """The share of draws in which a quantity lies beyond ``1 / ratio`` and ``ratio``.

    Over draws of deep nets it is log-normal, and so in most of them below its mean (Hanin and Nica 2020,
    arXiv:1812.05994): its logarithm has the mean ``ln mean - scatter^2 / 2``.

    Args:
        mean: Over draws, above 0.
        scatter: Std of its logarithm.
        ratio: Above 1.

    Example:
        >>> round(share_off(1.0, 2.0, ratio=exp(2.0)), 4)      # P(|2 z - 2| > 2) = P(z < 0) + P(z > 2)
        0.5228
    """
    if scatter == 0.0:
        return float(abs(log(mean)) > log(ratio))
    over = NormalDist(log(mean) - 0.5 * scatter**2, scatter)
    return over.cdf(-log(ratio)) + 1.0 - over.cdf(log(ratio))


def chain_signals(layers: Iterable[ChainLayer], *, correlation: float = 0.0) -> Iterator[LayerSignal]:
    """The signal, gradient, correlation and scatter before the activation of each layer, one at a time.

    Args:
        layers: From the input on.
        correlation: Of the two inputs; standardised inputs that have nothing in common have 0.

    Yields:
        A record a layer; it ends early where the signal dies out or explodes.

    Raises:
        UnknownNameError: No activation has that name.

    Example:
        >>> he = [ChainLayer(None, 1.0), ChainLayer("relu", 2.0), ChainLayer("relu", 2.0)]
        >>> [round(s.q, 9) for s in chain_signals(he)]
        [1.0, 1.0, 1.0]
        >>> lecun = [ChainLayer(None, 1.0), ChainLayer("relu", 1.0), ChainLayer("relu", 1.0)]
        >>> [(round(s.q, 9), round(s.gradient, 9)) for s in chain_signals(lecun)]
        [(1.0, 1.0), (0.5, 0.5), (0.25, 0.25)]
    """
    state: _State | None = None
    for layer in layers:
        act = activation("identity" if layer.f_in is None else layer.f_in)
        try:
            state = _first(layer, correlation) if state is None else _next(layer, act, state)
        except InitlabError:
            # The moments of fast-growing functions (exp, powers) have no value long before q overflows.
            return
        if not _FAINTEST < state.q < _LOUDEST:
            return
        yield LayerSignal(state.q, state.gradient, state.correlation, state.scatter, sqrt(state.gradient_noise))


def follow_chain(layers: Sequence[ChainLayer], *, limits: Limits | None = None) -> Course:
    """How a chain fares, for inputs that have nothing in common, up to its end or the first limit that does not hold.

    Args:
        layers: From the input on.
        limits: Those of the signal, gradient and correlation.

    Returns:
        The layers that were passed, and the breach.

    Raises:
        UnknownNameError: No activation has that name.

    Example:
        >>> breach = follow_chain([ChainLayer(None, 1.0), *[ChainLayer("relu", 1.0)] * 9]).breach
        >>> breach.layer, breach.quantity, round(breach.value, 9)      # (1/2)^4 < 1/10
        (5, 'signal', 0.0625)
    """
    bounds = limits or Limits()
    signals: list[LayerSignal] = []
    for signal in chain_signals(layers):
        signals.append(signal)
        found = _breach(signal, signals[0].q, len(signals), bounds, is_deep=len(layers) > bounds.shallow)
        if found is not None:
            return Course(tuple(signals), found)
    lost = None if len(signals) == len(layers) else Breach(len(signals) + 1, "signal", inf)
    return Course(tuple(signals), lost)


def _breach(signal: LayerSignal, start: float, layer: int, limits: Limits, *, is_deep: bool) -> Breach | None:
    ratio, room = signal.q / start, log(limits.ratio)
    if abs(log(ratio)) > room:
        return Breach(layer, "signal", ratio)
    if signal.gradient == 0.0 or abs(log(signal.gradient)) > room:
        return Breach(layer, "gradient", signal.gradient)
    if is_deep and 1.0 - signal.correlation < limits.separation:
        return Breach(layer, "correlation", 1.0 - signal.correlation)
    spread = abs(log(ratio)) + limits.deviations * signal.scatter
    if spread > room:
        return Breach(layer, "signal scatter", exp(spread))
    spread = abs(log(signal.gradient)) + limits.deviations * signal.gradient_scatter
    return Breach(layer, "gradient scatter", exp(spread)) if spread > room else None


@dataclass(frozen=True)
class _State:
    """What a layer hands on: ``pull`` is d ln q_l / d ln q_1, ``noise`` the variance of ln q_l that arose since."""

    q: float
    gradient: float
    correlation: float
    start_noise: float
    pull: float
    noise: float
    gradient_noise: float

    @property
    def scatter(self) -> float:
        return sqrt((self.pull - 1.0) ** 2 * self.start_noise + self.noise)


def _first(layer: ChainLayer, correlation: float) -> _State:
    weighted = layer.sigma_w2 * layer.share
    q = weighted + layer.sigma_b2
    if not q > 0.0:
        return _State(q, 1.0, correlation, 0.0, 1.0, 0.0, 0.0)
    c = (weighted * correlation + layer.sigma_b2) / q
    if layer.normalised:
        return _State(1.0, 1.0, c, 0.0, 1.0, 0.0, 0.0)
    # The mean square of n normal inputs has a relative variance of 2 / n.
    return _State(q, 1.0, c, 2.0 / layer.fan_in * (weighted / q) ** 2, 1.0, 0.0, 0.0)


def _next(layer: ChainLayer, act: Activation, before: _State) -> _State:
    value, slope = value_moments(act, before.q), slope_moments(act, before.q)
    weighted = layer.sigma_w2 * layer.share
    q = weighted * value.second + layer.sigma_b2
    if not q > 0.0:
        return _State(q, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    chi = weighted * slope.second
    c = 1.0
    if 1.0 - before.correlation > _SAME:
        c = min((weighted * pair_moment(act, before.correlation, before.q) + layer.sigma_b2) / q, 1.0)
    # A sum of fan_in terms (f'(z) w d)^2, the w normal.
    rough = slope_noise(slope) / layer.fan_in
    if layer.normalised:
        if layer.centered:
            shared = weighted * value.mean**2 + layer.sigma_b2
            # Rows that have nothing in common share the mean alone, so the norm leaves them uncorrelated.
            c, q = max(c * q - shared, 0.0) / (q - shared), q - shared
        return _State(1.0, before.gradient * chi / q, c, 0.0, 0.0, 0.0, before.gradient_noise + rough)
    share = weighted * value.second / q
    elasticity = share * square_elasticity(value, before.q)
    fresh = share**2 * square_noise(value) / layer.fan_in
    return _State(
        q=q,
        gradient=before.gradient * chi,
        correlation=c,
        start_noise=before.start_noise,
        pull=before.pull * elasticity,
        noise=before.noise * elasticity**2 + fresh,
        gradient_noise=before.gradient_noise + rough,
    )
