"""From one table to a training and a test part: who goes where, and in which units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import DataError, OptionError


def shuffled_split(rows: int, *, test_size: float = 0.2, seed: int = 42) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Training and test rows, in the order of scikit-learn's ``train_test_split(test_size=..., random_state=seed)``.

    NumPy's legacy generator is used because its bits are frozen (NEP 19) and are those of every notebook that
    splits with ``random_state=42``: a permutation of all rows, the first ``ceil(test_size * rows)`` of which are
    the test set.

    Args:
        rows: How many rows there are, 2 or more.
        test_size: Share of the test set, between 0 and 1.
        seed: From 0 to 2**32 - 1.

    Returns:
        Row numbers of the training set and of the test set.

    Raises:
        OptionError: ``test_size`` or ``seed`` is out of its range.
        DataError: So few rows that one of the parts has none.

    Example:
        >>> train, test = shuffled_split(5)
        >>> train.tolist(), test.tolist()
        ([4, 2, 0, 3], [1])
    """
    if not 0 < test_size < 1:
        raise OptionError(f"test_size must be between 0 and 1, got {test_size}", fix="0.2 is a fifth of the rows")
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise OptionError(f"seed must be a whole number from 0 to 2**32 - 1, got {seed}")
    tested = math.ceil(test_size * rows)
    if not 0 < tested < rows:
        raise DataError(f"{rows} rows cannot be split into a training and a test set", fix="give more rows")
    order = np.random.RandomState(seed).permutation(rows)
    return order[tested:], order[:tested]


def grouped_split(
    groups: NDArray[np.intp], *, test_size: float = 0.2, seed: int = 42
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Training and test rows, none of a group in both: ``shuffled_split`` where every group is a row.

    Groups go into the test set in the order in which that split meets them, as long as they find room in it.

    Args:
        groups: The group of each row.
        test_size: As in ``shuffled_split``.
        seed: As in ``shuffled_split``.

    Raises:
        OptionError: As ``shuffled_split``.
        DataError: So few groups that one of the parts has none.

    Example:
        >>> train, test = grouped_split(np.array([0, 1, 0, 3, 4]), test_size=0.4)
        >>> train.tolist(), test.tolist()
        ([2, 0, 3], [1, 4])
    """
    train, test = shuffled_split(len(groups), test_size=test_size, seed=seed)
    sizes = dict(zip(*(part.tolist() for part in np.unique(groups, return_counts=True)), strict=True))
    order, room, tested = np.concatenate([test, train]), len(test), set()
    if len(sizes) == len(groups):
        return train, test
    for group in dict.fromkeys(groups[order].tolist()):
        if sizes[group] <= room:
            tested.add(group)
            room -= sizes[group]
    is_test = np.isin(groups[order], list(tested))
    if not is_test.any() or is_test.all():
        raise DataError(
            "so many rows are copies of each other that no split keeps them together", fix="drop the copies"
        )
    return order[~is_test], order[is_test]


def standardized(
    x_train: NDArray[np.float64], x_test: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both parts with mean 0 and variance 1 of each training column: the test set lends nothing to the scaling.

    The arithmetic is float64 and is rounded once, as with scikit-learn's ``StandardScaler`` fitted on the training
    rows. A column that is constant in training is only centred.

    Args:
        x_train: (rows, features).
        x_test: (rows, features).

    Returns:
        The two parts, scaled.

    Example:
        >>> import numpy as np
        >>> train, test = standardized(np.array([[1.0, 7.0], [3.0, 7.0]]), np.array([[4.0, 8.0]]))
        >>> train.tolist(), test.tolist()
        ([[-1.0, 0.0], [1.0, 0.0]], [[2.0, 1.0]])
    """
    constant = x_train.max(axis=0) == x_train.min(axis=0)
    mean = np.where(constant, x_train[0], x_train.mean(axis=0))
    std = np.where(constant, 1.0, x_train.std(axis=0))
    return ((x_train - mean) / std).astype(np.float32), ((x_test - mean) / std).astype(np.float32)
