"""What a signal, its gradient and the correlation of two inputs do layer by layer, for a picture.

The same recursion as ``chain_signals`` for equal, infinitely wide layers, by the fixed rule of ``rules``: it takes a
twentieth of the time and is good to about 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import exp, inf, log

from initlab.core.errors import OptionError
from initlab.theory.activations import activation
from initlab.theory.expectations import ActivationLike
from initlab.theory.gains import check_variance
from initlab.theory.overflow import LARGEST_EXPONENT
from initlab.theory.rules import rule_map_moments, rule_pair_moment

_FAINTEST, _LOUDEST = 1e-12, 1e12
_SAME = 1e-12
DEEPEST = 100_000
"""Layers of the deepest network whose every layer is told."""


@dataclass(frozen=True)
class LayerPoint:
    """The state before the activation of one layer.

    Attributes:
        layer: Counted from 1.
        q: ``E z^2``.
        correlation: Of two inputs.
        log_gradient: The natural logarithm of the squared norm of the loss's gradient here over that at the last layer
            of the curve; -infinity where none passes.
    """

    layer: int
    q: float
    correlation: float
    log_gradient: float

    @property
    def gradient(self) -> float:
        """The ratio itself; infinite, or 0, where a float does not hold it."""
        return exp(self.log_gradient) if self.log_gradient < LARGEST_EXPONENT else inf


def layer_curve(
    f: ActivationLike, depth: int, *, sigma_w2: float, sigma_b2: float = 0.0, q: float = 1.0, correlation: float = 0.0
) -> tuple[LayerPoint, ...]:
    """Signal, correlation and gradient before the activations of layers 1 to ``depth``.

    Args:
        f: The activation.
        depth: The number of layers, 1 or more.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        sigma_b2: The variance of a bias, 0 or more.
        q: ``E z^2`` in layer 1, above 0.
        correlation: Of two inputs in layer 1.

    Returns:
        One point a layer, fewer where the signal leaves 1e-12 to 1e12 before.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> curve = layer_curve("relu", 4, sigma_w2=1.0)
        >>> [p.q.__round__(9) for p in curve], [p.gradient.__round__(9) for p in curve]
        ([1.0, 0.5, 0.25, 0.125], [0.125, 0.25, 0.5, 1.0])
    """
    act = activation(f)
    weight, bias = check_variance(sigma_w2, "sigma_w2"), check_variance(sigma_b2, "sigma_b2")
    if depth > DEEPEST:
        told = f"{depth:,} layers are more than {DEEPEST:,}, a row each would take {depth * 4e-7:,.0f} GB of memory"
        raise OptionError(told, where="depth", fix="give fewer; what repeats is told by the fixed point")
    if depth < 1 or not q > 0.0 or not -1.0 <= correlation <= 1.0:
        raise OptionError(f"{depth} layers, q = {q}, correlation {correlation}", fix="give 1 layer or more, q above 0")
    signals, slopes = [(float(q), float(correlation))], list[float]()
    settled_q, second, slope = -1.0, 0.0, 0.0
    for _ in range(depth - 1):
        now, c = signals[-1]
        if abs(now - settled_q) > 1e-15 * now:
            (second, slope), settled_q = rule_map_moments(act, now), now
        grown = weight * second + bias
        if not _FAINTEST < grown < _LOUDEST:
            break
        same = 1.0 - c < _SAME
        signals.append((grown, 1.0 if same else min((weight * rule_pair_moment(act, c, now) + bias) / grown, 1.0)))
        slopes.append(weight * slope)
    # Of the product of the slopes from here on to the last layer.
    steps = (log(slope) if slope > 0.0 else -inf for slope in reversed(slopes))
    gradients = [*accumulate(steps, initial=0.0)][::-1]
    return tuple(
        LayerPoint(layer, now, c, g)
        for layer, ((now, c), g) in enumerate(zip(signals, gradients, strict=True), start=1)
    )
