"""The neural tangent kernel of an infinitely wide network at initialization.

``Theta_1 = K_1``, ``Theta_(l+1) = K_(l+1) + Theta_l * K'_(l+1)``, with
``K_(l+1) = sigma_w^2 E f(u) f(v) + sigma_b^2`` and ``K'_(l+1) = sigma_w^2 E f'(u) f'(v)``.
Source: Jacot, Gabriel & Hongler, arXiv 1806.07572, theorem 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from initlab.core.errors import OptionError
from initlab.theory.activations import activation
from initlab.theory.expectations import ActivationLike, slope_moments, value_moments
from initlab.theory.gains import check_variance
from initlab.theory.maps import pair_moment


@dataclass(frozen=True)
class TangentKernel:
    """Both kernels before the activation of one layer, for one input and for a pair of equal norms.

    Attributes:
        q: The covariance kernel of an input with itself, ``E z^2``.
        k: That of the pair.
        theta: The tangent kernel of an input with itself.
        theta_pair: That of the pair.
    """

    q: float
    k: float
    theta: float
    theta_pair: float


def tangent_kernels(
    f: ActivationLike, depth: int, *, sigma_w2: float, sigma_b2: float = 0.0, q: float = 1.0, correlation: float = 0.0
) -> tuple[TangentKernel, ...]:
    """The covariance and tangent kernels before the activations of layers 1 to ``depth``, in the NTK parametrisation.

    Args:
        f: The activation.
        depth: The number of layers with weights, 1 or more.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        sigma_b2: The variance of a bias, 0 or more.
        q: ``E z^2`` in the first layer, above 0.
        correlation: Of the pair there.

    Returns:
        One record a layer.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> [round(t.theta, 9) for t in tangent_kernels("relu", 4, sigma_w2=2.0)]      # L q
        [1.0, 2.0, 3.0, 4.0]
    """
    act = activation(f)
    weight, bias = check_variance(sigma_w2, "sigma_w2"), check_variance(sigma_b2, "sigma_b2")
    if depth < 1 or not q > 0.0 or not -1.0 <= correlation <= 1.0:
        raise OptionError(f"{depth} layers, q = {q}, correlation {correlation}", fix="give 1 layer or more, q above 0")
    now = TangentKernel(float(q), q * correlation, float(q), q * correlation)
    kernels = [now]
    for _ in range(depth - 1):
        c = max(-1.0, min(now.k / now.q, 1.0))
        own = weight * value_moments(act, now.q).second + bias
        pair = weight * pair_moment(act, c, now.q) + bias
        slope = weight * slope_moments(act, now.q).second
        slope_pair = weight * pair_moment(act, c, now.q, of="slope")
        now = TangentKernel(own, pair, own + now.theta * slope, pair + now.theta_pair * slope_pair)
        kernels.append(now)
    return tuple(kernels)
