"""How the mean squares of one layer's units stray, which makes a net of finite width stray from the mean of all nets.

A mean over ``n`` units has ``1 / n`` of a unit's relative variance. To first order in ``1 / width``: Hanin & Rolnick,
arXiv 1803.01719, for any activation.
"""

from __future__ import annotations

from initlab.theory.expectations import SlopeMoments, ValueMoments


def square_elasticity(value: ValueMoments, q: float) -> float:
    """``d ln E f(u)^2 / d ln q``: the power with which a stray variance goes on through an activation; 0 at ``f = 0``.

    Args:
        value: Moments of ``f(u)``.
        q: The variance of ``u``.

    Example:
        >>> from initlab.theory.activations import activation
        >>> from initlab.theory.expectations import value_moments
        >>> round(square_elasticity(value_moments(activation("relu"), 3.0), 3.0), 12)
        1.0
    """
    return value.second_rate * q / value.second if value.second > 0.0 else 0.0


def square_noise(value: ValueMoments) -> float:
    """``Var f(u)^2 / (E f(u)^2)^2``: the relative variance of one unit's square; 0 at ``f = 0``.

    Example:
        >>> from initlab.theory.activations import activation
        >>> from initlab.theory.expectations import value_moments
        >>> round(square_noise(value_moments(activation("relu"), 1.0)), 12)      # (3/2) / (1/2)^2 - 1
        5.0
    """
    return max(value.fourth / value.second**2 - 1.0, 0.0) if value.second > 0.0 else 0.0


def slope_noise(slope: SlopeMoments) -> float:
    """``3 E f'(u)^4 / (E f'(u)^2)^2 - 1``: that of ``(f'(u) w)^2`` with a normal ``w``, a gradient on its way back.

    Example:
        >>> from initlab.theory.activations import activation
        >>> from initlab.theory.expectations import slope_moments
        >>> round(slope_noise(slope_moments(activation("relu"), 1.0)), 12)       # 3 (1/2) / (1/2)^2 - 1
        5.0
    """
    return 3.0 * slope.fourth / slope.second**2 - 1.0 if slope.second > 0.0 else 0.0
