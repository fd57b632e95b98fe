"""Pools of neighbours: what the mean or the largest of several correlated values of an activation is like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np

from initlab.core.erf import Array
from initlab.theory.activations import activation

_POINTS = 256  # quantiles of what neighbours share, and of what each has of its own


@dataclass(frozen=True)
class Pooled:
    """A value behind a pool.

    Attributes:
        second: ``E y^2``.
        mean: ``E y``.
        common: ``E y y' / E y^2`` of two pools that share no entry.
        near: The same of two neighbours that share some of their entries.
    """

    second: float
    mean: float
    common: float
    near: float


@lru_cache(maxsize=512)
def pooled(f: str, size: int, *, correlation: float, how: Literal["mean", "max"], shared: int = 0) -> Pooled:
    """What a pool makes of ``f(z_1), ..., f(z_size)``, for normal ``z`` of variance 1 that are all correlated alike.

    ``z_i = sqrt(c) u + sqrt(1 - c) e_i``: given ``u`` the entries are independent, so their mean and the distribution
    of the largest are known (David & Nagaraja, Order Statistics, section 5.3); what remains is an integral over ``u``.
    To about 1 %.

    Args:
        f: The activation; ``"identity"`` where there is none.
        size: Entries of a pool.
        correlation: Of two entries, from 0 to 1.
        how: ``"mean"`` or ``"max"``.
        shared: Entries that a neighbour has too.

    Example:
        >>> round(pooled("identity", 4, correlation=0.0, how="mean").second, 2)      # 1 / 4
        0.25
        >>> round(pooled("relu", 4, correlation=0.0, how="max").mean, 2)      # E max(0, z_1, ..., z_4)
        1.05
    """
    quantiles = _quantiles()
    c = min(max(correlation, 0.0), 1.0)
    z = np.sqrt(c) * quantiles[:, None] + np.sqrt(1.0 - c) * quantiles[None, :]
    y = np.sort(activation(f)(z.reshape(-1)).reshape(z.shape), axis=1)
    if how == "mean":
        first, square = y.mean(axis=1), (y**2).mean(axis=1)
        spread = square - first**2
        second, far = first**2 + spread / size, first**2
        near = first**2 + shared * spread / size**2
    else:
        whole = _largest_of(size)
        first, second = y @ whole, y**2 @ whole
        far = first**2
        near = far if not 0 < shared < size else _of_neighbours(y, _largest_of(size - shared), _largest_of(shared))
    return Pooled(
        float(second.mean()), float(first.mean()), float(far.mean() / second.mean()), float(near.mean() / second.mean())
    )


@lru_cache(maxsize=1)
def _quantiles() -> Array:
    """Quantiles of a standard normal number, of mean square 1."""
    normal = NormalDist()
    points = np.array([normal.inv_cdf((n + 0.5) / _POINTS) for n in range(_POINTS)])
    return np.asarray(points / np.sqrt(np.mean(points**2)))


def _largest_of(size: int) -> Array:
    """The probability of each of the sorted quantiles to be the largest of so many."""
    edges = np.arange(_POINTS + 1) / _POINTS
    return np.asarray(np.diff(edges**size))


def _of_neighbours(y: Array, own: Array, same: Array) -> Array:
    """``E[max(a, s) max(b, s)]``: the largest of what both share, with the largest of each one's own."""
    below, above = np.cumsum(own), np.cumsum((y * own)[:, ::-1], axis=1)[:, ::-1]
    beyond = np.concatenate([above[:, 1:], np.zeros((len(y), 1))], axis=1)
    return np.asarray(((y * below + beyond) ** 2) @ same)
