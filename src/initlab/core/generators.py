"""Generators of Python, NumPy and a framework, global ones and a model's own, from which a user's code may draw."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

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


@contextmanager
def own_generators(held: Iterable[object], *kinds: type) -> Iterator[None]:
    """After it, the generators among these objects, and in lists and mappings among them, are where they were.

    Args:
        held: What a model's parts hold.
        kinds: A framework's own kinds of generator, with ``get_state`` and ``set_state``.

    Example:
        >>> here = np.random.default_rng(3)
        >>> with own_generators([[here], "a word"]):
        ...     first = here.random()
        >>> here.random() == first
        True
    """
    known = (random.Random, np.random.Generator, np.random.RandomState, *kinds)
    found = [one for value in held for one in _members(value) if isinstance(one, known)]
    restored = [_restoring(one) for one in found]
    try:
        yield
    finally:
        for restore in restored:
            restore()


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else (value,)


def _restoring(generator: Any) -> Callable[[], None]:
    """What puts a generator back to where it is."""
    if isinstance(generator, random.Random):
        return partial(generator.setstate, generator.getstate())
    if isinstance(generator, np.random.Generator):
        return partial(setattr, generator.bit_generator, "state", generator.bit_generator.state)
    return partial(generator.set_state, generator.get_state())
