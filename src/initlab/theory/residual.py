"""Residual networks: a stream ``x`` to which every block adds a branch, ``x <- s x + alpha (W f(x) + b)``.

Branch and stream are uncorrelated, for the branch's weights are independent of mean 0, so variances add and so do
squared gradients. Sources: Yang & Schoenholz, arXiv 1712.08969; Zhang et al. (Fixup), arXiv 1901.09321; De & Smith,
arXiv 2002.10444; Hayou et al. (stable ResNets), arXiv 2010.12859.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log1p

from initlab.core.errors import InitlabError, OptionError
from initlab.theory.activations import activation
from initlab.theory.expectations import ActivationLike
from initlab.theory.gains import check_variance
from initlab.theory.overflow import exp_within_float
from initlab.theory.rules import rule_map_moments, rule_pair_moment

_SAME = 1e-12


@dataclass(frozen=True)
class StreamGrowth:
    """The stream behind a number of branches.

    Attributes:
        q: ``E x^2``.
        gradient: The squared norm of the loss's gradient at the stream's start over that here.
    """

    q: float
    gradient: float


@dataclass(frozen=True)
class StreamState:
    """The stream behind a number of blocks, for a pair of inputs.

    Attributes:
        q: ``E x^2``.
        gradient: The squared norm of the loss's gradient at the stream's start over that here.
        correlation: Of two inputs.
    """

    q: float
    gradient: float
    correlation: float


def residual_stream(
    f: ActivationLike,
    depth: int,
    *,
    sigma_w2: float,
    sigma_b2: float = 0.0,
    branch_scale: float = 1.0,
    skip_scale: float = 1.0,
    q: float = 1.0,
    correlation: float = 0.0,
) -> tuple[StreamState, ...]:
    """The stream's variance, gradient and correlation after 0 to ``depth`` blocks without norms, to about 1e-8.

    ``q' = s^2 q + alpha^2 V(q)``, gradient factor ``s^2 + alpha^2 chi_1(q)``,
    ``c' = (s^2 q c + alpha^2 (sigma_w^2 E f(u) f(v) + sigma_b^2)) / q'``. For tanh ``q`` grows linearly and gradients
    like ``exp(sqrt(l))``; for ReLU both grow exponentially.

    Args:
        f: The activation that the branch begins with.
        depth: The number of blocks, 0 or more.
        sigma_w2: The variance of a branch's weight times its fan-in, 0 or more.
        sigma_b2: The variance of its bias, 0 or more.
        branch_scale: ``alpha``; ``1 / sqrt(depth)`` keeps the growth below ``e``.
        skip_scale: ``s``; ``s^2 + alpha^2 = 1`` keeps the variance where the branch does (normaliser-free nets).
        q: The stream's variance at its start, above 0.
        correlation: Of two inputs there.

    Returns:
        ``depth + 1`` states.

    Raises:
        OptionError: An argument out of range.
        InitlabError: A variance that a float does not hold.

    Example:
        >>> he = residual_stream("relu", 3, sigma_w2=2.0)
        >>> [round(s.q, 9) for s in he], round(he[-1].gradient, 9)      # (1 + alpha^2)^l
        ([1.0, 2.0, 4.0, 8.0], 8.0)
    """
    act = activation(f)
    weight, bias = check_variance(sigma_w2, "sigma_w2"), check_variance(sigma_b2, "sigma_b2")
    if depth < 0 or not q > 0.0:
        raise OptionError(f"{depth} blocks on a stream of variance {q}", fix="give 0 or more, and a variance above 0")
    skip, branch = skip_scale**2, branch_scale**2
    states = [StreamState(float(q), 1.0, float(correlation))]
    for _ in range(depth):
        now = states[-1]
        second, slope = rule_map_moments(act, now.q)
        pair = second if 1.0 - now.correlation < _SAME else rule_pair_moment(act, now.correlation, now.q)
        grown = skip * now.q + branch * (weight * second + bias)
        if not isfinite(grown):
            what = f"the stream's variance behind {len(states)} blocks is more than a float holds"
            raise InitlabError(what, fix="give a smaller depth, or branch_scale=1/sqrt(depth)")
        shared = skip * now.q * now.correlation
        shared += branch * (weight * pair + bias)
        factor = skip + branch * weight * slope
        states.append(StreamState(grown, now.gradient * factor, min(shared / grown, 1.0)))
    return tuple(states)


def residual_growth(depth: int, *, branch_scale: float = 1.0, branch_gain: float = 1.0) -> float:
    """``(1 + alpha^2 g)^L``: the growth of signal and squared gradient over ``L`` blocks with a homogeneous branch.

    At ``alpha = 1 / sqrt(L)`` it stays below ``e^g`` however deep the net is.

    Args:
        depth: ``L``, 0 or more.
        branch_scale: ``alpha``.
        branch_gain: ``g``, the factor by which the branch alone multiplies a variance: 1 for ReLU at He's weights.

    Returns:
        The factor.

    Raises:
        OptionError: A negative depth or gain.
        InitlabError: A float does not hold it: take ``log_residual_growth``.

    Example:
        >>> residual_growth(10).__round__(9), round(residual_growth(50, branch_scale=50**-0.5), 2)
        (1024.0, 2.69)
    """
    found = log_residual_growth(depth, branch_scale=branch_scale, branch_gain=branch_gain)
    return exp_within_float(found, what=f"the growth over {depth} blocks", twin="log_residual_growth")


def log_residual_growth(depth: int, *, branch_scale: float = 1.0, branch_gain: float = 1.0) -> float:
    """The natural logarithm of ``residual_growth``, which is finite at any depth; raises as that does.

    Example:
        >>> round(log_residual_growth(10**4) / log1p(1.0), 9)
        10000.0
    """
    if depth < 0 or branch_gain < 0.0:
        raise OptionError(f"{depth} blocks of gain {branch_gain}", fix="give 0 or more")
    return depth * log1p(branch_scale**2 * branch_gain)


def pre_norm_stream(
    depth: int, *, branch_variance: float = 1.0, branch_slope: float = 1.0, start: float = 1.0
) -> tuple[StreamGrowth, ...]:
    """The stream of ``x <- x + f(norm(x))`` after 0 to ``depth`` branches: ``q_l = q_0 + v l``.

    The norm divides a branch's slope by ``q``, so the gradient factor is ``1 + chi / q_l`` and the whole product grows
    like ``L^(chi / v)``: a power of depth, and later branches add ever less. Xiong et al., arXiv 2002.04745.

    Args:
        depth: The number of branches: two a block of a transformer.
        branch_variance: ``v``, the variance that each adds.
        branch_slope: ``chi``, the factor of a squared gradient through the branch from its normalised input.
        start: ``q_0``, above 0.

    Returns:
        ``depth + 1`` states.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> [s.q for s in pre_norm_stream(3)], round(pre_norm_stream(3)[-1].gradient, 9)      # 2/1 * 3/2 * 4/3
        ([1.0, 2.0, 3.0, 4.0], 4.0)
    """
    v, chi = check_variance(branch_variance, "branch_variance"), check_variance(branch_slope, "branch_slope")
    if depth < 0 or not start > 0.0:
        raise OptionError(f"{depth} branches on a stream of variance {start}", fix="give 0 or more, and above 0")
    states = [StreamGrowth(float(start), 1.0)]
    for _ in range(depth):
        now = states[-1]
        states.append(StreamGrowth(now.q + v, now.gradient * (1.0 + chi / now.q)))
    return tuple(states)
