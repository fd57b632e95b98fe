"""Python's and NumPy's global generators, from which a user's code may draw."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from initlab.core.draws.seeding import narrowed

_BITS = 32  # of a seed of NumPy's global generator


@contextmanager
def global_generators(seed: int | None = None) -> Iterator[None]:
    """Within it, the two start from a seed, or from where they are; afterwards they are as they were before.

    Args:
        seed: 0 or more; None leaves them where they are.

    Example:
        >>> with global_generators(3):
        ...     first = random.random()
        >>> with global_generators(3):
        ...     random.random() == first
        True
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (user code may draw from it)
    try:
        if seed is not None:
            random.seed(seed)
            np.random.seed(narrowed(seed, _BITS))  # noqa: NPY002
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
