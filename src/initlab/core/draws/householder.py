"""Random matrices with orthonormal columns, as products of Householder reflections.

Reflections that send normal vectors to an axis, one for each column and each one entry shorter than the last, make up
the orthogonal factor of a matrix of normals, and no matrix is factored. They are applied in panels, by matrix products.

Sources: Stewart, "The efficient generation of random orthogonal matrices", SIAM J. Numer. Anal. 17 (1980), for the law;
Joffrain, Low, Quintana-Orti, van de Geijn, Van Zee, "Accumulating Householder transformations, revisited", ACM Trans.
Math. Softw. 32 (2006), for the panels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.entries import fill
from initlab.core.draws.formulas import EntryFormula
from initlab.core.draws.streams import Stream

PANEL = 192  # reflections a panel
ROWS = 512  # rows of a product at a time, which bounds the memory beside the result
_NORMAL = EntryFormula(normal=True)

Matrix = NDArray[np.float64]


def stiefel(rows: int, columns: int, source: Stream) -> Matrix:
    """A (rows, columns) matrix Q with ``Q^T Q = I``, uniform among all such: Haar where it is square.

    It is the orthogonal factor, with a positive diagonal of the triangular one, of a matrix of independent normals.
    Reflection *j* takes the stream's normals ``j rows - j (j - 1) / 2`` up to ``rows - j`` of them.

    Args:
        rows: Number of rows.
        columns: Number of columns, at most ``rows``.
        source: The stream of the normals.

    Returns:
        The matrix, in float64; ``Q^T Q = I`` to about 1e-14. Its last bit may depend on the BLAS.

    Example:
        >>> from initlab.core.draws.streams import stream
        >>> q = stiefel(5, 3, stream(0, "weight", purpose="weights#1"))
        >>> bool(np.allclose(q.T @ q, np.eye(3), rtol=0, atol=1e-14))
        True
    """
    q = np.eye(rows, columns)
    signs = np.empty(columns)
    for first in range((columns - 1) // PANEL * PANEL, -1, -PANEL):
        last = min(first + PANEL, columns)
        reflectors, signs[first:last] = _reflectors(rows, first, last, source)
        _apply(reflectors, q[first:, first:])
    q *= signs
    return q


def _reflectors(rows: int, first: int, last: int, source: Stream) -> tuple[Matrix, NDArray[np.float64]]:
    """Vectors of norm sqrt(2), the columns of a (rows - first, last - first) trapezoid; signs that make R positive."""
    width = last - first
    start = first * rows - first * (first - 1) // 2
    normals = np.empty(last * rows - last * (last - 1) // 2 - start)
    fill(_NORMAL, source, start, normals)
    transposed = np.zeros((width, rows - first))
    signs = np.empty(width)
    at = 0
    for j in range(width):
        v = transposed[j, j:]
        v[:] = normals[at : at + v.size]
        at += v.size
        signs[j] = -1.0 if v[0] > 0.0 else 1.0
        norm = np.sqrt(v @ v)
        head = abs(v[0])
        v[0] -= signs[j] * norm
        v /= np.sqrt(norm * (norm + head))
    return transposed.T, signs


def _apply(v: Matrix, q: Matrix) -> None:
    """Replace q, which begins with the identity, by ``H_0 H_1 ... q`` with ``H_j = I - v_j v_j^T``.

    That is ``q - V T (V^T q)``, T the inverse of ``triu(V^T V, 1) + I``. The identity needs no product.
    """
    width = v.shape[1]
    inner = np.triu(v.T @ v, 1)
    np.fill_diagonal(inner, 1.0)
    product = np.empty((width, q.shape[1]))
    product[:, :width] = v[:width].T
    np.matmul(v[width:].T, q[width:, width:], out=product[:, width:])
    product = np.linalg.inv(inner) @ product
    buffer = np.empty((min(ROWS, len(q)), q.shape[1]))
    for at in range(0, len(q), ROWS):
        part = q[at : at + ROWS]
        part -= np.matmul(v[at : at + ROWS], product, out=buffer[: len(part)])
