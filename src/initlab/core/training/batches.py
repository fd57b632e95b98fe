"""The order of the training rows in each epoch, and the dropout key: all that a model's seed decides in training."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import permutation, stream

# Every scheme trains on the same seeds, so a small order is asked for again and again: 50 epochs of 400 seeds are kept,
# in at most 80 MB. A large one is cheap beside the epoch that it orders.
_KEPT_ORDERS = 20_000
_KEPT_ROWS = 1_024


def epoch_order(seed: int, epoch: int, rows: int, batch_size: int) -> NDArray[np.int32]:
    """The rows of each step of one epoch, (steps, batch_size): a permutation from the stream (seed, "batches").

    The places past the end of a partial last batch repeat that batch's first row.

    Args:
        seed: The model's seed.
        epoch: Counted from 1.
        rows: Training rows.
        batch_size: Rows a step.

    Example:
        >>> order = epoch_order(0, 1, 5, 2)
        >>> order.shape, sorted(order.ravel()[:5].tolist()), bool(order[2, 0] == order[2, 1])
        ((3, 2), [0, 1, 2, 3, 4], True)
    """
    if rows <= _KEPT_ROWS:
        return _kept_order(seed, epoch, rows, batch_size)
    return _order(seed, epoch, rows, batch_size)


def _order(seed: int, epoch: int, rows: int, batch_size: int) -> NDArray[np.int32]:
    order = permutation(stream(seed, f"epoch/{epoch}", purpose="batches"), rows).astype(np.int32)
    padding = -rows % batch_size
    first = order[rows - (batch_size - padding)]
    return np.concatenate([order, np.full(padding, first, np.int32)]).reshape(-1, batch_size)


@lru_cache(maxsize=_KEPT_ORDERS)
def _kept_order(seed: int, epoch: int, rows: int, batch_size: int) -> NDArray[np.int32]:
    order = _order(seed, epoch, rows, batch_size)
    order.flags.writeable = False
    return order


def dropout_key(seed: int) -> NDArray[np.uint32]:
    """The two words that key a seed's dropout masks: the key of the stream (seed, "dropout"), lower half first."""
    key = stream(seed, "", purpose="dropout").key
    return np.array([key & 0xFFFFFFFF, key >> 32], np.uint32)
