"""What is done to the features before a network sees them, fitted on the training rows alone."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import OptionError
from initlab.core.training.dataset import Preprocess
from initlab.tasks.split import standardized

WORDS: dict[str, str] = {
    "none": "features as they are",
    "standardise": "features standardised over the training rows",
    "unit": "features scaled to 0 to 1",
    "signed": "features scaled to -1 to 1",
}
"""How each is told in a table's caption."""


def preprocess_named(name: object) -> Preprocess:
    """The preprocessing of a name; the American spelling is one too.

    Raises:
        OptionError: Another name.

    Example:
        >>> preprocess_named("standardize")
        'standardise'
    """
    known: tuple[Preprocess, ...] = get_args(Preprocess)
    for found in known:
        if name in (found, found.replace("ise", "ize")):
            return found
    raise OptionError(f"unknown preprocess {name!r}", fix=f"one of {', '.join(known)}")


def prepared(
    x_train: NDArray[np.float64], x_test: NDArray[np.float64], how: Preprocess, *, largest: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both parts preprocessed, in float64 and rounded once.

    Args:
        x_train: (rows, features).
        x_test: (rows, features).
        how: ``none``; ``standardise`` as ``standardized``; ``unit``: columns from 0 to 1 over the training rows, or
            all divided by ``largest``; ``signed``: ``2 x - 1`` of that. One that is constant in training becomes 0.
        largest: What a feature can be at most, where all run from 0 to it, as pixels do.

    Returns:
        The two parts.

    Example:
        >>> train, test = prepared(np.array([[2.0], [6.0]]), np.array([[8.0]]), "unit")
        >>> train.tolist(), test.tolist()
        ([[0.0], [1.0]], [[1.5]])
        >>> prepared(np.array([[4.0], [16.0]]), np.array([[8.0]]), "signed", largest=16)[0].tolist()
        [[-0.5], [1.0]]
    """
    if how == "none":
        return x_train.astype(np.float32), x_test.astype(np.float32)
    if how == "standardise":
        return standardized(x_train, x_test)
    low = x_train.min(axis=0) if largest is None else np.zeros(x_train.shape[1])
    span = x_train.max(axis=0) - low if largest is None else np.full(x_train.shape[1], float(largest))
    span = np.where(span > 0, span, np.inf)
    parts = ((part - low) / span for part in (x_train, x_test))
    train, test = ((2 * part - 1 if how == "signed" else part).astype(np.float32) for part in parts)
    return train, test
