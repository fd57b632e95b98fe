"""Gains of the network's own activation, by quadrature: the one family that adapts to where a weight stands."""

from __future__ import annotations

from math import sqrt
from typing import Literal

from initlab.core.errors import ShapeError
from initlab.core.facts.fans import Dialect, Mode, fans
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Law, Orthogonal
from initlab.schemes.base import register_scheme
from initlab.schemes.structured import per_group
from initlab.schemes.variance import gaussian, law_of_std
from initlab.theory import backward_gain, centered_gain, forward_gain

Gain = Literal["forward", "backward", "centered"]

_SOURCE = "the condition of He et al. 2015, arXiv:1502.01852, equation 10, with E f(z)^2 of any activation"
_WHEN = "any activation whose gain is not in a table: GELU, SiLU, tanh, your own"
_AVOID = "very deep GELU, SiLU or Mish nets without normalisation: their fixed point repels (initlab theory gelu)"


def gain_of(p: ParamSpec, *, gain: Gain) -> float:
    """The gain that keeps the signal, or the gradient, through the activations around a weight.

    ``forward`` is ``1 / sqrt(E f_in(z)^2)`` of the activation that made the input (1 for the network's input, or
    ``1 / sqrt(in_moment)`` where that is known); ``centered`` the same with the variance; ``backward`` is
    ``1 / sqrt(E f_out'(z)^2)`` of the activation that takes the output (1 where there is none).

    Example:
        >>> round(gain_of(ParamSpec(shape=(8, 8), f_in="relu"), gain="forward") ** 2, 12)      # E relu(z)^2 = 1/2
        2.0
    """
    if gain == "backward":
        return 1.0 if p.f_out is None else backward_gain(p.f_out)
    if gain == "forward" and p.in_moment is not None:
        return 1.0 / sqrt(p.in_moment)
    if p.f_in is None:
        return 1.0
    return centered_gain(p.f_in) if gain == "centered" else forward_gain(p.f_in)


def _std(p: ParamSpec, gain: Gain, mode: Mode | None, dialect: Dialect | None) -> float:
    natural: Mode = "fan_out" if gain == "backward" else "fan_in"
    fan = fans(p, dialect=dialect).of(mode or natural)
    if not fan > 0:
        raise ShapeError(f"{mode or natural} of shape {p.shape} is 0", where=p.path, fix="leave out empty layers")
    factor = 1.0 if gain == "backward" else p.frequency or 1.0
    return gain_of(p, gain=gain) / (factor * sqrt(fan))


@register_scheme(
    family="exact gain",
    formula="W ~ N(0, gain^2 / fan), gain = 1 / sqrt(E f(z)^2)",
    source=_SOURCE,
    when=_WHEN,
    avoid=_AVOID,
)
def exact_gain_normal(
    p: ParamSpec, *, gain: Gain = "forward", mode: Mode | None = None, dialect: Dialect | None = None
) -> Law:
    """Normal with std ``gain / sqrt(fan)``, the gain taken from the network's own activation.

    Args:
        p: A weight that knows ``f_in`` and ``f_out``.
        gain: Keep the signal's power (forward), its variance (centered), or the gradient (backward).
        mode: Which fan; left out, fan_out for backward and fan_in else.
        dialect: Keras and JAX truncate at two sigma and correct the std.

    Example:
        >>> law = exact_gain_normal(ParamSpec(shape=(64, 200), f_in="relu"))      # He: sqrt(2 / 200)
        >>> round(law.std((64, 200)), 12)
        0.1
    """
    return law_of_std(_std(p, gain, mode, dialect), gaussian(dialect))


@register_scheme(
    family="exact gain",
    formula="W ~ U(-l, l), l = sqrt(3) gain / sqrt(fan), gain = 1 / sqrt(E f(z)^2)",
    source=_SOURCE,
    when=_WHEN,
    avoid=_AVOID,
)
def exact_gain_uniform(
    p: ParamSpec, *, gain: Gain = "forward", mode: Mode | None = None, dialect: Dialect | None = None
) -> Law:
    """Uniform with std ``gain / sqrt(fan)``, the gain taken from the network's own activation.

    Args:
        p: A weight that knows ``f_in`` and ``f_out``.
        gain: Keep the signal's power (forward), its variance (centered), or the gradient (backward).
        mode: Which fan; left out, fan_out for backward and fan_in else.
        dialect: Whose fans to count.

    Example:
        >>> law = exact_gain_uniform(ParamSpec(shape=(64, 600), f_in="relu"))      # He: sqrt(6 / 600)
        >>> round(law.bounds((64, 600))[1], 12)
        0.1
    """
    return law_of_std(_std(p, gain, mode, dialect), "uniform")


@register_scheme(
    family="exact gain",
    formula="W = c Q, Q Haar orthogonal, c such that Var W = gain^2 / fan, gain = 1 / sqrt(E f(z)^2)",
    source=_SOURCE + "; Saxe, McClelland & Ganguli 2014, arXiv:1312.6120",
    when=_WHEN + "; deep nets whose singular values shall stay together",
    avoid=_AVOID,
)
def exact_gain_orthogonal(p: ParamSpec, *, gain: Gain = "forward", mode: Mode | None = None) -> Law:
    """Haar orthogonal, scaled so that an entry's std is ``gain / sqrt(fan)``, in widening layers too.

    Args:
        p: A weight that knows ``f_in`` and ``f_out``.
        gain: Keep the signal's power (forward), its variance (centered), or the gradient (backward).
        mode: Which fan; left out, fan_out for backward and fan_in else.

    Example:
        >>> law = exact_gain_orthogonal(ParamSpec(shape=(64, 200), f_in="relu"))      # sqrt(2 / 200)
        >>> round(law.std((64, 200)), 12)
        0.1
    """
    unit = per_group(p, Orthogonal(1.0))
    return per_group(p, Orthogonal(_std(p, gain, mode, None) / unit.std(p.shape)))
