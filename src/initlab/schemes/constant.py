"""One number everywhere: what biases and norm layers start from, and what hidden weights must not."""

from __future__ import annotations

from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Constant
from initlab.schemes.base import register_scheme

_SYMMETRY = "hidden weights: all units of a layer stay equal, whatever the number of steps"


@register_scheme(
    family="constant",
    formula="W = 0",
    source="Rumelhart, Hinton & Williams 1986, on breaking symmetry",
    when="biases; the last layer of a residual branch; the output layer of a centred regression",
    avoid=_SYMMETRY + "; with ReLU no gradient reaches them at all",
    aliases=("zero", "zeros_"),
)
def zeros(p: ParamSpec) -> Constant:
    """Every entry is 0.

    Example:
        >>> zeros(ParamSpec(shape=(3, 4))).std((3, 4))
        0.0
    """
    return Constant(0.0)


@register_scheme(
    family="constant",
    formula="W = 1",
    source="used for the scales of norm layers: Ioffe & Szegedy 2015, arXiv:1502.03167",
    when="scales of norm layers",
    avoid=_SYMMETRY + "; the signal also grows by the square of the fan-in a layer",
    aliases=("one", "ones_"),
)
def ones(p: ParamSpec) -> Constant:
    """Every entry is 1.

    Example:
        >>> ones(ParamSpec(shape=(3, 4))).mean((3, 4))
        1.0
    """
    return Constant(1.0)


@register_scheme(
    family="constant",
    formula="W = value",
    source="Rumelhart, Hinton & Williams 1986, on breaking symmetry",
    when="biases with a meaning, such as an LSTM's forget gate at 1",
    avoid=_SYMMETRY,
    aliases=("constant_", "full"),
    named=("value",),
)
def constant(p: ParamSpec, *, value: float = 0.0) -> Constant:
    """Every entry is ``value``.

    Args:
        p: Any parameter.
        value: The number, finite.

    Example:
        >>> constant(ParamSpec(shape=(4,), role="bias"), value=0.5).mean((4,))
        0.5
    """
    return Constant(value)
