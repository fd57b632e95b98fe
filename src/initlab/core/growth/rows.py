"""Rows added to a matrix that is there: drawn like the rows that it has."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from initlab.core.laws import Normal
from initlab.core.laws.draw import draw

_CHUNK = 1 << 22  # normal numbers drawn at a time: 32 MB
Matrix = NDArray[np.float64]


def rows_like(rows: Matrix, count: int, *, scale: float, seed: int, path: str) -> Matrix:
    """New rows with the mean of the old ones and ``scale`` times their covariance, jointly normal.

    A new row is ``mean + sqrt(scale / m) sum_i z_i (row_i - mean)`` over the *m* old rows, with independent normal
    *z*: its covariance is exactly that of the old rows, however few they are, and no matrix is factorised. The *i*-th
    new row takes the *z* from ``m i`` on, so it is the same however many are added. The sum goes through BLAS, whose
    builds may differ in the last bit of float64.

    Args:
        rows: The old rows, of shape (m, columns).
        count: How many are added.
        scale: The factor of the covariance, 0 or more: 0 makes every new row the mean.
        seed: Of the draw.
        path: What names the stream.

    Returns:
        Of shape (count, columns).

    References:
        Hewitt 2021, Initializing New Word Embeddings for Pretrained Language Models: the covariance is that of the
        rows about their mean, divided by their number.

    Example:
        >>> made = rows_like(np.array([[1.0, 5.0], [3.0, 5.0]]), 20_000, scale=1.0, seed=1, path="wte/weight#new")
        >>> bool(abs(made[:, 0].std() - 1.0) < 0.03), bool((made[:, 1] == 5.0).all())      # 1 away from 2
        (True, True)
    """
    mean = rows.mean(axis=0)
    made = np.tile(mean, (count, 1))
    if scale == 0.0:
        return made
    away, step = (rows - mean) * sqrt(scale / len(rows)), max(_CHUNK // len(rows), 1)
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        shape = (count, len(rows))
        made[part] += draw(Normal(1.0), shape, seed=seed, path=path, dtype="float64", index=(part,)) @ away
    return made
