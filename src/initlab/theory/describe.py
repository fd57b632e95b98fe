"""What an activation does to signals and gradients, in numbers and in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import log

from initlab.core.calls import OptionValue
from initlab.core.errors import OptionError
from initlab.theory.activations import activation
from initlab.theory.expectations import ActivationLike, moments
from initlab.theory.gains import backward_gain, centered_gain, forward_gain

# Slopes this close to 1 are 1 but for rounding.
_ONE = 1e-9


@dataclass(frozen=True)
class ActivationDescription:
    """An activation's gains and slopes under a standard normal input, and what they mean.

    Attributes:
        name: The activation with its options, e.g. ``"leaky_relu(negative_slope=0.2)"``.
        formula: Its definition.
        source: Where it comes from.
        options: Every option with its value.
        aliases: Other names.
        native: The frameworks' own names.
        kinks: Where it or a derivative jumps.
        mean: ``E f(z)``.
        second_moment: ``E f(z)^2``.
        variance: ``Var f(z)``.
        slope_second_moment: ``E f'(z)^2``.
        forward_gain: ``1 / sqrt(E f^2)``; None where it is infinite.
        centered_gain: ``1 / sqrt(Var f)``; None where it is infinite.
        backward_gain: ``1 / sqrt(E f'^2)``; None where it is infinite.
        chi_1: ``E f'^2 / E f^2``, the factor of a squared gradient per layer at the forward gain.
        variance_slope: ``V'(1)`` at the forward gain.
        signal: What ``variance_slope`` means, in words.
        gradient: What ``chi_1`` means, in words.
    """

    name: str
    formula: str
    source: str
    options: dict[str, OptionValue]
    aliases: tuple[str, ...]
    native: dict[str, str]
    kinks: tuple[float, ...]
    mean: float
    second_moment: float
    variance: float
    slope_second_moment: float
    forward_gain: float | None
    centered_gain: float | None
    backward_gain: float | None
    chi_1: float | None
    variance_slope: float | None
    signal: str
    gradient: str

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON data; infinite gains are null.

        Example:
            >>> d = describe_activation("relu").to_dict()
            >>> d["name"], d["kinks"], round(d["chi_1"], 12)
            ('relu', [0.0], 1.0)
        """
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def describe_activation(f: ActivationLike) -> ActivationDescription:
    """The gains, slopes and their meaning of an activation.

    Args:
        f: A name, an ``Activation``, or any NumPy function of one array.

    Returns:
        The description.

    Raises:
        UnknownNameError: No activation has that name.
        InitlabError: A moment is not finite.

    Example:
        >>> d = describe_activation("gelu")
        >>> round(d.forward_gain, 6), round(d.variance_slope, 6), round(d.chi_1, 6)
        (1.53353, 1.144063, 1.072032)
        >>> "repels" in d.signal
        True
    """
    act = activation(f)
    m = moments(act)
    passes = m.second > 0.0
    slope = m.second_rate / m.second if passes else None
    chi = m.slope_second / m.second if passes else None
    return ActivationDescription(
        name=act.call,
        formula=act.formula,
        source=act.source,
        options=dict(act.options),
        aliases=act.aliases,
        native={name: f if isinstance(f, str) else f.__name__ for name, f in act.native.items()},
        kinks=act.kinks,
        mean=m.mean,
        second_moment=m.second,
        variance=m.variance,
        slope_second_moment=m.slope_second,
        forward_gain=_finite_or_none(forward_gain, act),
        centered_gain=_finite_or_none(centered_gain, act),
        backward_gain=_finite_or_none(backward_gain, act),
        chi_1=chi,
        variance_slope=slope,
        signal="The function is zero: no signal passes." if slope is None else _say_signal(slope),
        gradient="No gradient passes." if not chi else _say_gradient(chi),
    )


def _finite_or_none(gain: Callable[[ActivationLike], float], f: ActivationLike) -> float | None:
    try:
        return gain(f)
    except OptionError:
        return None


def _say_signal(slope: float) -> str:
    head = "At the forward gain q = 1 is a fixed point of the signal's variance"
    if abs(slope - 1.0) < _ONE:
        return f"V'(1) = 1. {head} that neither attracts nor repels: a signal that starts 1 % off stays 1 % off."
    if abs(slope) < _ONE:
        return f"V'(1) = 0. {head} that a signal close to it reaches in one layer."
    side = " from alternating sides" if slope < 0.0 else ""
    size = abs(slope)
    if size > 1.0:
        return (
            f"V'(1) = {slope:.4f}, {'above 1' if slope > 1.0 else 'below -1'}. {head} that repels{side}: a signal that "
            f"starts 1 % off is {size:.3g} % off a layer later, 2 % after {_layers(2.0, size)} and far off after "
            f"{_layers(100.0, size)}, so the gain alone does not hold the signal of a deep net."
        )
    return (
        f"V'(1) = {slope:.4f}, between -1 and 1. {head} that attracts{side}: a signal that starts 1 % off is "
        f"{size:.2g} % off a layer later, and half as far off after {_layers(0.5, size)}."
    )


def _say_gradient(chi: float) -> str:
    if abs(chi - 1.0) < _ONE:
        return "chi_1 = 1: at the forward gain a squared gradient keeps its size from layer to layer."
    verb, goal, factor = ("grows", "doubled", 2.0) if chi > 1.0 else ("shrinks", "halved", 0.5)
    return (
        f"chi_1 = {chi:.4f}: at the forward gain a squared gradient {verb} by this factor each layer on its way back; "
        f"it is {goal} after {_layers(factor, chi)}, and {chi**50:.2g} times what it was after 50."
    )


def _layers(factor: float, per_layer: float) -> str:
    """The layers until a quantity that changes by ``per_layer`` each has changed by ``factor``, in words."""
    count = log(factor) / log(per_layer) if per_layer > 0.0 else 0.0
    return f"{count:.1f} layers" if count > 1.0 else "one layer or less"
