"""Sequences made from a seed: tasks whose difficulty is known, because it was put in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import stream
from initlab.core.errors import OptionError
from initlab.core.laws import Normal
from initlab.core.memory import check_memory
from initlab.core.training.dataset import Dataset
from initlab.tasks.registry import register_task

TRAIN_ROWS, TEST_ROWS = 1000, 500


@register_task(
    "recall",
    title="Sequences to be told by their first symbol, after steps of noise",
    source="made from a seed, after the latching task of Bengio, Simard and Frasconi (1994), IEEE TNN 5(2), 157-166",
    license="CC0 1.0",
    rows=TRAIN_ROWS + TEST_ROWS,
)
def recall(
    *, data: Path | None = None, steps: int = 50, symbols: int = 4, noise: float = 0.1, seed: int = 0
) -> Dataset:
    """Sequences whose class is the symbol of their first step; all that follows is noise.

    A step is ``symbols`` numbers: a 1 in the place of the symbol at the first step, plus noise N(0, noise^2) at every
    step. A network that forgets its first input guesses, right on one row in ``symbols``.

    Args:
        data: None; the rows are made.
        steps: Length of a sequence, 2 or more; a row holds ``steps * symbols`` numbers, step after step.
        symbols: Number of symbols and classes, 2 or more; every one is in as many rows as any other, but for one.
        noise: Std of the noise, 0 or more.
        seed: Of the noise.

    Raises:
        OptionError: An option out of its range.

    Example:
        >>> clean = recall(steps=3, symbols=2, noise=0.0)
        >>> clean.x_train[:2].tolist(), clean.y_train[:2].tolist()
        ([[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]], [0, 1])
    """
    for name, value in (("steps", steps), ("symbols", symbols)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 2:
            raise OptionError(f"{name} must be a whole number of 2 or more, got {value!r}")
    check_memory(
        f"{TRAIN_ROWS + TEST_ROWS:,} rows of {steps * symbols:,} numbers",
        20 * (TRAIN_ROWS + TEST_ROWS) * steps * symbols,
    )
    if not 0.0 <= noise < float("inf"):
        raise OptionError(f"noise must be 0 or more, got {noise!r}", fix="e.g. 0.1")
    x_train, y_train = _rows(TRAIN_ROWS, "train", steps=steps, symbols=symbols, noise=noise, seed=seed)
    x_test, y_test = _rows(TEST_ROWS, "test", steps=steps, symbols=symbols, noise=noise, seed=seed)
    digest = hashlib.sha256()
    for part in (x_train, y_train, x_test, y_test):
        digest.update(part.tobytes())
    return Dataset(
        "recall",
        x_train,
        y_train,
        x_test,
        y_test,
        class_names=tuple(f"symbol {k}" for k in range(symbols)),
        source=f"made from seed {seed}",
        digest=digest.hexdigest(),
    )


def _rows(
    rows: int, part: str, *, steps: int, symbols: int, noise: float, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    shape = (rows, steps, symbols)
    drawn = Normal(1.0).draw(shape, stream(seed, f"recall/{part}", purpose="data"))
    y = (np.arange(rows) % symbols).astype(np.int32)
    x = np.zeros(shape)
    x[np.arange(rows), 0, y] = 1.0
    x += noise * drawn
    return x.reshape(rows, -1).astype(np.float32), y
