"""The share of the seeds' variance that comes from the weights, by runs in which one part of the seed is held.

A run y(w, d) depends on its weights w and on d: batches, dropout and split. With one of both held, its companion has
the other the same: cov(y(w_i, d_0), y(w_i, d_i)) is the variance that the weights make in the mean over d, the
first-order index of Sobol (1993, Math. Model. Comput. Exp. 1, 407-414); what both make together counts for neither.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from initlab.study.records import Vary

DRAWS, FEWEST = 2000, 6
"""Bootstrap draws of the interval; pairs of runs from which on a share is told."""


class Share(NamedTuple):
    """The share of the variance that one part of the seed makes, from 0 to 1, with its 95 % interval."""

    of: Vary
    share: float
    low: float
    high: float


def share_of(held: NDArray[np.float64], free: NDArray[np.float64], *, of: Vary) -> Share | None:
    """The share of the part that varies in the held runs, pooled over schemes; None where runs are few or all alike.

    Args:
        held: (schemes, seeds), scores of the runs in which the other part is held; NaN where there is none.
        free: As ``held``, of the runs with the same seeds in which all varies.
        of: The part that varies in the held runs.

    Example:
        Where the held part makes no difference, all of the variance is the other's:

        >>> scores = np.array([[1.0, 2.0, 4.0, 3.0, 6.0, 5.0]])
        >>> share_of(scores, scores, of="init").share
        1.0
    """
    rng, whole, draws = np.random.default_rng(0), np.zeros(2), np.zeros((2, DRAWS))
    for a, b in zip(held, free, strict=True):
        known = np.isfinite(a) & np.isfinite(b)
        if known.sum() >= FEWEST:
            whole += _products(a[known][None], b[known][None])[:, 0]
            rows = rng.integers(0, known.sum(), (DRAWS, known.sum()))
            draws += _products(a[known][rows], b[known][rows])
    if not whole[1] > 0:
        return None
    low, high = np.quantile(draws[0] / np.where(draws[1] > 0, draws[1], np.inf), [0.025, 0.975])
    return Share(of, *(float(np.clip(one, 0.0, 1.0)) for one in (whole[0] / whole[1], low, high)))


def _products(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, rows): of each row the products about the means, of a with b and of b with itself."""
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return np.stack([(a * b).sum(1), (b * b).sum(1)])
