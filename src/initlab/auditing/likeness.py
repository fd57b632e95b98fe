"""What numbers look like, whatever was declared: the scheme that fits them, else the nearest family and its std."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from initlab.auditing.evidence import Level, is_random, misses
from initlab.auditing.grids import Grid, Values
from initlab.auditing.measures import (
    MOST,
    Moments,
    Sample,
    broken_entries,
    moments,
    orthogonal_tolerance,
    orthogonality,
    std_errors,
)
from initlab.core.errors import InitlabError
from initlab.core.facts.fans import Dialect
from initlab.core.facts.garbage import LARGEST
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Constant, Law, Normal, Orthogonal, TruncatedNormal, Uniform
from initlab.schemes import scheme

FIRST_NAMED = 64  # entries below which several schemes fit, and none is named
_NEAR = 4.0  # standard errors within which a scheme fits
_NEVER = 1e-6  # the probability below which a normal law is out of the question
_CLEAR = 3.0  # how much better than a normal another family must fit, in standard errors, to be named


@dataclass(frozen=True)
class Known:
    """A scheme that numbers are compared with, in the words of those who meet it; of an embedding, in others."""

    call: str
    words: str
    dialect: Dialect | None = None
    embedding: str = ""


# In the order in which they are met: of two that fit alike, the first is named.
_KNOWN = (
    Known("torch_default", "torch's default, kaiming_uniform(a=sqrt(5))", embedding="torch's default, N(0, 1)"),
    Known("keras_default", "Keras' default, glorot_uniform", embedding="Keras' default, U(-0.05, 0.05)"),
    Known("lecun_normal", "Flax' default, lecun_normal cut at 2 sigma", "jax"),
    Known("normal(std=0.02)", "normal(std=0.02)"),
    Known("normal(std=1.0)", "normal(std=1)"),
    Known("he_normal", "he_normal"),
    Known("he_uniform", "he_uniform"),
    Known("he_normal(mode=fan_out)", "he_normal(mode=fan_out)"),
    Known("glorot_normal", "glorot_normal"),
    Known("glorot_uniform", "glorot_uniform"),
    Known("glorot_uniform", "glorot_uniform by torch's fans", "torch"),
    Known("lecun_normal", "lecun_normal"),
    Known("lecun_uniform", "lecun_uniform"),
    Known("he_normal", "he_normal cut at 2 sigma, as Keras and JAX draw it", "keras"),
    Known("glorot_normal", "glorot_normal cut at 2 sigma, as Keras and JAX draw it", "keras"),
    Known("truncated_normal(std=0.02)", "truncated_normal(std=0.02)"),
    Known("uniform(low=0.0, high=1.0)", "uniform(low=0, high=1)"),
    Known("normal(std=0.05)", "normal(std=0.05)"),
    Known("uniform(low=-0.05, high=0.05)", "uniform(low=-0.05, high=0.05)"),
    Known("normal(std=0.01)", "normal(std=0.01)"),
)


def looks_like(values: Values, p: ParamSpec, *, grid: Grid) -> str:
    """What the numbers look like, in words: a scheme by name where one fits, else a law.

    Args:
        values: In the canonical layout; any numbers.
        p: The parameter.
        grid: The type they are stored in.

    Example:
        >>> from initlab.core.laws.draw import draw
        >>> from initlab.auditing.grids import grid_of
        >>> p = ParamSpec(shape=(64, 64))
        >>> x = draw(Uniform(-0.125, 0.125), p.shape, seed=0)      # 1 / sqrt(64)
        >>> looks_like(x, p, grid=grid_of(x))
        "looks like torch's default, kaiming_uniform(a=sqrt(5))"
    """
    if not values.size:
        return "empty"
    if broken_entries(values):
        return "NaN or infinities"
    found = moments(values)
    if found.low == found.high:
        return "all zero" if found.low == 0 else f"constant {found.low:.4g}"
    if max(-found.low, found.high) > LARGEST:
        return f"looks like memory that nobody initialised: from {found.low:.2g} to {found.high:.2g}"
    named = _scheme_of(values, p, grid, found) if values.size >= FIRST_NAMED else ""
    return named or str(nearest_law(values, grid=grid))


def _scheme_of(values: Values, p: ParamSpec, grid: Grid, found: Moments) -> str:
    """The scheme whose law fits; empty where none does."""
    for known in _KNOWN:
        law = _law(known, p)
        if law is None or not is_random(law, p.shape):
            continue
        # Cheap, and enough to leave out most: a scheme's mean is 0, but for U(0, 1) whose square is right all the same.
        std = math.hypot(law.std(p.shape), law.mean(p.shape))
        if abs(std_errors(found, std)) < 2.0 * _NEAR and not misses(values, law, grid=grid, level=Level(_NEAR)):
            return f"looks like {known.words if p.role != 'embedding' else known.embedding or known.words}"
    return ""


def _law(known: Known, p: ParamSpec) -> Law | None:
    try:
        return scheme(known.call, dialect=known.dialect)(p)
    except InitlabError:
        return None  # the scheme cannot take such a parameter


def nearest_law(values: Values, *, grid: Grid) -> Law:
    """The law of the nearest family with the numbers' own mean and std.

    Constant, orthogonal, uniform, normal cut at two sigma, or normal: the normal where no other is clearly nearer.

    Args:
        values: Finite numbers.
        grid: The type they are stored in.

    Example:
        >>> import numpy as np
        >>> from initlab.auditing.grids import GRIDS
        >>> print(nearest_law(np.ones((2, 2), np.float32), grid=GRIDS["float32"]))
        constant 1
    """
    flat = values.reshape(-1)
    first = moments(values)
    if not flat.size or first.low == first.high:
        return Constant(first.low if flat.size else 0.0)
    gain = _gain(values, first, grid)
    if gain is not None:
        return Orthogonal(gain)
    centred = moments(values, first.mean)
    std = math.sqrt(centred.square)
    # A mean that chance explains is none.
    mean = first.mean if abs(first.mean) > _NEAR * std / math.sqrt(first.n) else 0.0
    return _nearest(values, mean, std, grid)


def _nearest(values: Values, mean: float, std: float, grid: Grid) -> Law:
    half = math.sqrt(3.0) * std
    normal = Normal(std, mean)
    if not mean - half < mean + half:
        return normal
    sample = Sample(values, grid)
    fits = {law: sample.distance(law, values.shape) for law in _cut_laws(mean, std, half)}
    best = min(fits, key=fits.__getitem__)
    if _is_cut(values, mean, std):
        return best
    margin = _CLEAR / 2.0 / math.sqrt(min(values.size, MOST))
    return best if fits[best] + margin < sample.distance(normal, values.shape) else normal


def _is_cut(values: Values, mean: float, std: float) -> bool:
    """Whether the tails are missing: ``P(max |z| <= m) = erf(m / sqrt(2))^n`` of as many normal numbers."""
    largest = max(float(values.max()) - mean, mean - float(values.min())) / std
    inside = math.erf(largest / math.sqrt(2.0))
    return inside < 1.0 and values.size * math.log(inside) < math.log(_NEVER)


def _cut_laws(mean: float, std: float, half: float) -> Iterator[Uniform | TruncatedNormal]:
    yield Uniform(mean - half, mean + half)
    yield TruncatedNormal.with_std(std, mu=mean)


def _gain(values: Values, found: Moments, grid: Grid) -> float | None:
    """The norm that orthogonal rows or columns share; None where they are not orthogonal, or there is but one."""
    if values.ndim < 2 or min(values.shape[0], values.size // values.shape[0]) < 2:
        return None
    matrix = values.reshape(values.shape[0], -1)
    gain = math.sqrt(found.square * found.n / min(matrix.shape))
    first = matrix[:2] if matrix.shape[0] <= matrix.shape[1] else matrix[:, :2]
    # Two lines tell most others apart before the whole product is made.
    if orthogonality(first / gain) > orthogonal_tolerance(grid):
        return None
    return gain if orthogonality(matrix / gain) <= orthogonal_tolerance(grid) else None
