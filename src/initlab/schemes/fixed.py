"""Random numbers of a fixed scale: the same law in every layer, whatever its size."""

from __future__ import annotations

from math import inf

from initlab.core.errors import OptionError
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Normal, TruncatedNormal, Uniform
from initlab.schemes.base import register_scheme

_WHEN = "embeddings, and networks whose normalisation layers take care of the scale"
_AVOID = "deep nets without normalisation: the right scale depends on the fan-in, and this one does not"


@register_scheme(
    family="fixed scale",
    formula="W ~ N(mean, std^2)",
    source="Krizhevsky, Sutskever & Hinton 2012 (std 0.01); Radford et al. 2019 (std 0.02)",
    when=_WHEN,
    avoid=_AVOID,
    aliases=("RandomNormal", "random_normal", "normal_", "gaussian"),
    named=("std",),
    dialect_defaults={"torch": {"std": 1.0}, "jax": {"std": 0.01}},
)
def normal(p: ParamSpec, *, std: float = 0.05, mean: float = 0.0) -> Normal:
    """Normal with the given std and mean, untruncated.

    Args:
        p: Any parameter.
        std: Standard deviation of an entry, 0 or more. Left out, a dialect's own number: torch 1, jax 0.01.
        mean: Mean of an entry.

    Raises:
        OptionError: ``std`` is below 0, or not finite.

    Example:
        >>> normal(ParamSpec(shape=(3, 4)), std=0.01).std((3, 4))
        0.01
    """
    if not 0 <= std < inf:
        raise OptionError(f"std must be 0 or more and finite, got {std}", where="normal", fix="e.g. std=0.02")
    return Normal(std, mean)


@register_scheme(
    family="fixed scale",
    formula="W ~ U(low, high)",
    source="LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, section 4.6, on small symmetric weights",
    when=_WHEN,
    avoid=_AVOID + "; bounds that are not symmetric give every unit the same push",
    aliases=("RandomUniform", "random_uniform", "uniform_"),
    named=("low", "high"),
    dialect_defaults={"torch": {"low": 0.0, "high": 1.0}, "jax": {"low": 0.0, "high": 0.01}},
)
def uniform(p: ParamSpec, *, low: float = -0.05, high: float = 0.05) -> Uniform:
    """Uniform between two bounds; std is ``(high - low) / sqrt(12)``.

    Args:
        p: Any parameter.
        low: Lower bound. Left out, a dialect's own bounds: torch 0 to 1, jax 0 to 0.01.
        high: Upper bound, above ``low``.

    Example:
        >>> round(uniform(ParamSpec(shape=(3, 4)), low=-3.0, high=3.0).std((3, 4)) ** 2, 12)      # 6^2 / 12
        3.0
    """
    return Uniform(low, high)


@register_scheme(
    family="fixed scale",
    formula="W ~ N(mean, std^2) cut at mean + low std and mean + high std; realised std 0.8796 std for a cut at 2",
    source="Johnson, Kotz & Balakrishnan 1994, Continuous Univariate Distributions 1, section 13.10.1",
    when="transformers and vision transformers, where one far outlier in a large table hurts",
    avoid=_AVOID + "; and where std is meant as the realised std: the cut takes 12 % of it",
    aliases=("trunc_normal", "trunc_normal_", "TruncatedNormal"),
    named=("std",),
    dialect_defaults={"torch": {"std": 1.0}, "jax": {"std": 0.01}},
)
def truncated_normal(
    p: ParamSpec,
    *,
    std: float = 0.05,
    mean: float = 0.0,
    low: float = -2.0,
    high: float = 2.0,
    dialect: Dialect | None = None,
) -> TruncatedNormal:
    """Normal of parent std ``std``, cut at ``low`` and ``high`` counted in units of ``std``.

    The realised std is smaller than ``std``: 0.87962566 of it for the cut at 2.

    Args:
        p: Any parameter.
        std: Standard deviation of the normal before the cut, above 0.
        mean: Its mean.
        low: Lower cut, in units of ``std`` from the mean.
        high: Upper cut, above ``low``.
        dialect: ``"torch"`` takes ``low`` and ``high`` as absolute values, as ``trunc_normal_`` does, so that its
            default cut is 100 sigma away for ``std=0.02``; Keras and JAX mean what initlab means.

    Raises:
        OptionError: ``std`` is not above 0, or the cuts are in the wrong order.

    Example:
        >>> round(truncated_normal(ParamSpec(shape=(3, 4)), std=1.0).std((3, 4)), 8)
        0.87962566
    """
    if not 0 < std < inf:
        raise OptionError(
            f"std must be above 0 and finite, got {std}", where="truncated_normal", fix="use zeros for no spread"
        )
    if dialect == "torch":
        low, high = (low - mean) / std, (high - mean) / std
    return TruncatedNormal(std, mean, low, high)
