"""The largest singular value of a matrix, and of what a law draws."""

from __future__ import annotations

from math import prod, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from initlab.core.laws.draw import draw
from initlab.core.laws.orthogonal import Orthogonal
from initlab.core.laws.protocol import Law

_STEPS = 60  # of a Gaussian matrix of 4,096 rows: exact to a millionth, for its values lie 4096^(-2/3) apart at the end


class Largest(NamedTuple):
    """``matrix @ right = value * left``, with vectors of length 1; ``value`` is the largest there is."""

    left: NDArray[np.float64]
    value: float
    right: NDArray[np.float64]


def largest_singular(matrix: NDArray[np.generic]) -> Largest:
    """The largest singular value with its vectors, by Golub and Kahan's method (1965) without restarts.

    Args:
        matrix: Finite numbers.

    Example:
        >>> found = largest_singular(np.diag([3.0, -5.0, 4.0]))
        >>> round(found.value, 9), np.abs(found.right).round(9).tolist()
        (5.0, [0.0, 1.0, 0.0])
    """
    wide = np.asarray(matrix, np.float64)
    start = wide.T @ (wide @ np.cos(np.arange(1.0, wide.shape[1] + 1)))
    basis = np.zeros((0, wide.shape[1]))
    for _ in range(min(_STEPS, *wide.shape)):
        for _ in range(2):  # once more, for the first time leaves what rounding left
            start = start - basis.T @ (basis @ start)
        length = float(np.linalg.norm(start))
        if not length > 1e-12 * float(np.abs(wide).max(initial=0.0)) ** 2:
            break
        basis = np.vstack([basis, start / length])
        start = wide.T @ (wide @ basis[-1])
    if not len(basis):
        return Largest(np.eye(1, wide.shape[0])[0], 0.0, np.eye(1, wide.shape[1])[0])
    left, values, right = np.linalg.svd(wide @ basis.T, full_matrices=False)
    return Largest(left[:, 0], float(values[0]), right[0] @ basis)


def spectral_norm(law: Law, shape: tuple[int, ...]) -> float:
    """The largest singular value of what a law draws of this shape, as a matrix of its first axis by all others.

    Of independent entries with mean 0 it is ``std (sqrt(m) + sqrt(n))`` in the limit of a large matrix (Geman 1980).

    Example:
        >>> from initlab.core.laws import Normal
        >>> spectral_norm(Normal(0.5), (16, 9)), spectral_norm(Orthogonal(2.0), (16, 9))     # 0.5 (4 + 3)
        (3.5, 2.0)
    """
    rows, columns = shape[0], prod(shape[1:])
    if isinstance(law, Orthogonal):
        return law.std(shape) * sqrt(max(rows, columns))
    if law.elementwise and abs(law.mean(shape)) <= 1e-9 * law.std(shape):
        return law.std(shape) * (sqrt(rows) + sqrt(columns))
    return largest_singular(draw(law, shape, seed=0, path="weight").reshape(rows, -1)).value
