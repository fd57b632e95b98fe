"""Watching a training loop, which cannot be done in JAX: its step is compiled, and the model in it is a copy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from initlab.core.errors import OptionError
from initlab.core.signals.readings import Reading


def watch(
    model: object,
    *,
    every: int,
    on_reading: Callable[[int, Reading], None],
    scale: Callable[[], float] | None = None,
) -> AbstractContextManager[None]:
    """Nothing of a Flax model's training loop can be seen from outside.

    Raises:
        OptionError: Always.
    """
    raise OptionError(
        "a training step of Flax is compiled, and nothing of it can be watched",
        where=type(model).__name__,
        fix="call initlab.probe(model, batch) every so many steps",
    )
