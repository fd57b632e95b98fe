"""The conformance suite of a data set: arrays of the right kind, the same at every call, and what people ask of it."""

from __future__ import annotations

import os

import numpy as np

from initlab.core.calls import OptionValue
from initlab.core.training.dataset import Dataset
from initlab.tasks import TASKS, load_task
from initlab.testing.holding import hold


def check_task(name: str, *, data: str | os.PathLike[str] | None = None, **options: OptionValue) -> None:
    """Holds a registered data set to what every data set keeps.

    Args:
        name: Its name.
        data: Its folder or file, where it does not travel in its package.
        **options: The task's own.

    Raises:
        AssertionError: What the data set does otherwise.
        UnknownNameError: No data set has the name.

    Example:
        >>> check_task("iris")
    """
    task, first = TASKS[name], load_task(name, data=data, **options)
    hold(bool(task.title and task.source and task.license), f"{name}: no title, no source or no licence")
    for said, x, y in (("training", first.x_train, first.y_train), ("test", first.x_test, first.y_test)):
        hold(x.ndim == 2 and len(x) == len(y) > 0, f"{name}: the {said} rows and their targets are", (x.shape, y.shape))
        hold(x.dtype == np.float32, f"{name}: the {said} inputs are not float32", x.dtype)
        hold(bool(np.isfinite(x).all() and np.isfinite(y).all()), f"{name}: a number of the {said} rows is not finite")
        _check_targets(name, first, y)
    rows = len(first.x_train) + len(first.x_test)
    hold(
        task.rows is None or bool(options) or task.rows == rows,
        f"{name}: registered with {task.rows} rows, loaded",
        rows,
    )
    hold(first.x_train.shape[1] == first.x_test.shape[1], f"{name}: the parts have rows of two lengths")
    _check_same(name, first, load_task(name, data=data, **options))


def _check_targets(name: str, found: Dataset, y: np.ndarray) -> None:
    if found.kind == "regression":
        hold(y.dtype == np.float32 and y.ndim == 2, f"{name}: targets of a regression are float32, (rows, outputs)")
        return
    classes = len(found.class_names)
    hold(y.dtype == np.int32 and y.ndim == 1, f"{name}: classes are int32, (rows,)", (y.dtype, y.shape))
    hold(classes > 1 and y.min() >= 0 and y.max() < classes, f"{name}: a class has no name", (y.min(), y.max()))


def _check_same(name: str, first: Dataset, second: Dataset) -> None:
    """Two calls give the same arrays, of their own."""
    for part in ("x_train", "y_train", "x_test", "y_test"):
        hold(np.array_equal(getattr(first, part), getattr(second, part)), f"{name}: two calls give two", part)
