"""Gradient factors of layers with a norm between weights and activation: ``W -> norm -> f``.

A norm makes the signal's variance 1 whatever the weights' scale, and divides the gradient by that scale on its way
back. The factor is that of a squared gradient from one layer to the one before it, in a wide network.
"""

from __future__ import annotations

from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.expectations import ActivationLike, slope_moments, value_moments


def layer_norm_factor(f: ActivationLike) -> float:
    """``E f'(z)^2 / E f(z)^2``: the gradient factor of a layer with layer norm or RMS norm before its activation.

    It is ``chi_1`` at the forward gain, which the norm restores in every layer.

    Args:
        f: The activation.

    Returns:
        1 for homogeneous activations; above 1 for tanh, GELU and SiLU, so that their gradients grow backwards.

    Raises:
        OptionError: The activation is zero.

    Example:
        >>> round(layer_norm_factor("relu"), 12), round(layer_norm_factor("tanh"), 3)
        (1.0, 1.178)
    """
    act = activation(f)
    return slope_moments(act, 1.0).second / _above_zero(act, value_moments(act, 1.0).second)


def batch_norm_factor(f: ActivationLike, *, batch: int | None = None) -> float:
    """``E f'(z)^2 / Var f(z)``, times ``(B - 2) / (B - 3)`` for a batch of ``B``: the gradient factor of batch norm.

    A weight's sum over a batch has the batch variance ``sigma_w^2 Var f``, for the mean is taken off. By the Gaussian
    Poincare inequality ``Var f <= E f'^2``: the factor is at least 1, and 1 for straight lines only, so gradients
    explode with depth (Yang et al., arXiv 1902.08129). The finite batch: the backward pass removes 2 of ``B``
    directions and divides by a variance of ``B - 1`` degrees of freedom, ``(B - 2) / B * E[B / chi^2_(B - 1)]``; exact
    for a linear layer whose inputs are independent, within 1 % for ReLU from ``B = 16`` on.

    Args:
        f: The activation.
        batch: ``B``, 4 or more; without it a large one.

    Returns:
        The factor.

    Raises:
        OptionError: The activation is constant, or the batch is below 4.

    Example:
        >>> round(batch_norm_factor("relu"), 6)          # pi / (pi - 1)
        1.466942
        >>> batch_norm_factor("identity", batch=5).__round__(12)
        1.5
    """
    if batch is not None and batch < 4:
        raise OptionError(f"a batch of {batch}", fix="give 4 or more: below, the expected factor is infinite")
    act = activation(f)
    wide = slope_moments(act, 1.0).second / _above_zero(act, value_moments(act, 1.0).variance)
    return wide if batch is None else wide * (batch - 2) / (batch - 3)


def post_norm_factor(*, branch_variance: float = 1.0, branch_slope: float = 1.0) -> float:
    """``(1 + chi_f) / (1 + v_f)``: the gradient factor of one sublayer ``x -> LayerNorm(x + f(x))``.

    The stream of variance 1 grows to ``1 + v_f`` and the norm divides the gradient by as much. With ``v_f = 1`` the
    skip path alone passes 1/2 of the squared gradient a sublayer: what reaches the first layers through it vanishes
    like ``2^-L`` (Xiong et al., arXiv 2002.04745).

    Args:
        branch_variance: ``v_f``, the variance that the branch adds.
        branch_slope: ``chi_f``, the factor of a squared gradient through the branch alone.

    Returns:
        The factor.

    Raises:
        OptionError: A negative argument.

    Example:
        >>> post_norm_factor(branch_slope=0.0), post_norm_factor()
        (0.5, 1.0)
    """
    if branch_variance < 0.0 or branch_slope < 0.0:
        raise OptionError(f"branch of variance {branch_variance}, slope {branch_slope}", fix="give 0 or more")
    return (1.0 + branch_slope) / (1.0 + branch_variance)


def _above_zero(act: Activation, moment: float) -> float:
    if not moment > 0.0:
        raise OptionError(
            f"'{act.call}' passes no signal to normalise", fix="choose an activation that is not constant"
        )
    return moment
