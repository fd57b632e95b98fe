"""The list of data sets, and the one way to load one by its name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from initlab.core.calls import OptionValue
from initlab.core.errors import OptionError, UnknownNameError
from initlab.core.factories import exits_refused
from initlab.core.registry import Registry
from initlab.core.training.dataset import Dataset, Preprocess
from initlab.tasks.preprocess import WORDS, prepared, preprocess_named

Loader = TypeVar("Loader", bound=Callable[..., Dataset])


@dataclass(frozen=True)
class Task:
    """One data set that can be trained on by name.

    Attributes:
        name: As in ``load_task(name)``.
        title: What it is, in a few words.
        source: Who made it, and where it was published.
        license: Under which terms its data are.
        load: A function of ``data`` (a folder, a file or None) and of the task's own options.
        rows: Rows of training and test set together; None if not known before loading.
        features: Numbers in a row.
        classes: How many classes.
        places: Where its files are looked for, in this order, after ``--data PATH`` and ``INITLAB_DATA``;
            empty for a set that travels in the package and reads no file of the user's.
    """

    name: str
    title: str
    source: str
    license: str
    load: Callable[..., Dataset]
    rows: int | None = None
    features: int | None = None
    classes: int | None = None
    places: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that ``load_task`` takes for this task."""
        return tuple(name for name in inspect.signature(self.load).parameters if name != "data")

    @property
    def preprocess(self) -> Preprocess:
        """What is done to the features where ``load_task`` is not told otherwise."""
        key = self.preprocess_option
        return "none" if key is None else preprocess_named(inspect.signature(self.load).parameters[key].default)

    @property
    def preprocess_option(self) -> str | None:
        """The option of ``load`` that says what is done to the features; None: ``load_task`` does it afterwards."""
        parameters = inspect.signature(self.load).parameters
        able = (key for key in ("preprocess", "scale") if key in parameters and parameters[key].default in WORDS)
        return next(able, None)


TASKS = Registry[Task]("data set", listing="initlab list tasks", group="initlab.tasks")


def register_task(
    name: str,
    *,
    title: str,
    source: str,
    license: str,
    rows: int | None = None,
    features: int | None = None,
    classes: int | None = None,
    places: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
) -> Callable[[Loader], Loader]:
    """Make a decorator that adds a loading function to ``TASKS`` and gives it back unchanged.

    Args:
        name: The task's name.
        title: What it is, in a few words.
        source: Who made it, and where it was published.
        license: Under which terms its data are.
        rows: Rows of training and test set together.
        features: Numbers in a row.
        classes: How many classes.
        places: Where its files are looked for; a task with none is never given a ``data`` of the user's.
        aliases: Further names.

    Returns:
        A decorator of functions ``(*, data: Path | None, ...) -> Dataset``.

    Raises:
        OptionError: The name, or an alias, is taken.

    Example::

        @register_task("xor", title="Exclusive or", source="Boole (1854)", license="CC0", rows=4)
        def xor(*, data: Path | None = None, copies: int = 1) -> Dataset:
            x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * copies)
            return from_arrays(x, x[:, 0] ^ x[:, 1], test_size=0.5, name="xor")

        load_task("xor", copies=3).x_train.shape   # (6, 2)
    """

    def add(load: Loader) -> Loader:
        task = Task(name, title, source, license, load, rows, features, classes, places)
        TASKS.add(name, task, aliases=aliases)
        return load

    return add


def load_task(name: str, *, data: str | os.PathLike[str] | None = None, **options: OptionValue) -> Dataset:
    """Training and test arrays of a data set, the same for every call, seed and machine.

    Args:
        name: A name or alias, e.g. ``"iris"``; all of them are in ``TASKS``.
        data: For a set that does not travel in the package: the folder (or ``.npz``) that holds it.
        **options: The task's own, e.g. ``split=7`` for ``"iris"``; and ``preprocess`` of any, what is done to the
            features: ``none``, ``standardise``, ``unit`` or ``signed``.

    Returns:
        The data set: float32 inputs, int32 classes.

    Raises:
        UnknownNameError: No data set, or no option of it, has that name.
        OptionError: An option's value is out of its range, or ``data`` is given to a set that reads no files.
        DataError: The data are missing, torn, or not what their checksum says.

    Example:
        Trained on the rows below, a network that sees no input predicts class 1, and is right on 9 of 30:

        >>> import numpy as np
        >>> iris = load_task("iris")
        >>> np.bincount(iris.y_train).tolist(), np.bincount(iris.y_test).tolist()
        ([40, 41, 39], [10, 9, 11])
    """
    task = TASKS[name]
    how = preprocess_named(options.pop("preprocess")) if "preprocess" in options else None
    if how is not None and task.preprocess_option is not None:
        options[task.preprocess_option] = how
    for option in options:
        if option not in task.options:
            raise _unknown_option(task, option)
    if data is not None and not task.places:
        raise OptionError(
            f"{task.name} travels with initlab and reads no file of yours", where=str(data), fix="leave data out"
        )
    with exits_refused(f"the data set '{task.name}'"):
        found = task.load(data=None if data is None else Path(data).expanduser(), **options)
    if how in (None, "none") or task.preprocess_option is not None:
        return found
    return preprocessed(found, how)


def preprocessed(data: Dataset, how: Preprocess) -> Dataset:
    """The data set with its features preprocessed, as ``prepared`` says."""
    x_train, x_test = prepared(data.x_train.astype(np.float64), data.x_test.astype(np.float64), how)
    return replace(data, x_train=x_train, x_test=x_test, preprocess=how)


def _unknown_option(task: Task, option: str) -> OptionError | UnknownNameError:
    if not task.options:
        return OptionError(f"{task.name} has no options, got '{option}'", fix="leave it out")
    return UnknownNameError(f"option of {task.name}", option, task.options)
