"""A comparison of the user's own model: from a function and arrays to a design and its data."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from initlab.api.tables import CUSTOM, is_table, optimizer_of, read_table, usual_splits
from initlab.core.calls import parse_call
from initlab.core.errors import OptionError, ShapeError
from initlab.core.factories import dotted_name, named
from initlab.core.facts.user_model import OwnModel, RowKind
from initlab.core.identity.walk import Code
from initlab.core.training.dataset import Dataset, Kind, Preprocess
from initlab.core.training.protocol import Budget, LossName, Optimizer, OptimizerName
from initlab.frameworks import FRAMEWORKS
from initlab.study.design import check_design
from initlab.study.identity import BuildCode
from initlab.study.own_models import examine
from initlab.study.records import StudyDesign
from initlab.study.split_runs import SPLIT_SEED
from initlab.tasks import TASKS, from_arrays, from_split, load_task
from initlab.tasks.preprocess import WORDS, preprocess_named
from initlab.tasks.registry import preprocessed

Build: TypeAlias = Callable[[], object]
Data: TypeAlias = str | Path | Dataset | Sequence[ArrayLike]


@dataclass(frozen=True, eq=False)
class OwnStudy:
    """A design of the user's own model, with what it is carried out with.

    Attributes:
        design: The design.
        dataset: Its data.
        build: Builds the model.
        name: The name under which other processes find ``build``; None where they cannot.
        task: The data set's name or the table's path as it was given; None for arrays.
        code: The user's code that ``build`` reaches, and the files that it read.
        split: Gives the data of another split, counted from 0.
    """

    design: StudyDesign
    dataset: Dataset
    build: Build
    name: str | None
    task: str | None
    code: Code
    split: Callable[[int], Dataset]

    def command(self, options: Mapping[str, object]) -> str:
        """What repeats the study: a command line where one can, else the call, arrays and function by name alone.

        Args:
            options: What was given, by the names of ``compare``; None was not.
        """
        given = {key: value for key, value in options.items() if value is not None}
        if self.name is not None and self.task is not None and not _objects(given):
            words = ["initlab", "compare", "--build", self.name, "--data", self.task]
            for key, value in given.items():
                words += [
                    f"--{key.replace('_', '-')}",
                    ",".join(f"{part}" for part in value) if isinstance(value, list | tuple) else f"{value}",
                ]
            return shlex.join(words)
        build = repr(self.name) if self.name is not None else getattr(self.build, "__name__", "build")
        data = "(x, y)" if self.task is None else repr(self.task)
        said = [f"build={'build' if '<' in build else build}", f"data={data}"]
        said += [f"{key}={list(value) if isinstance(value, tuple) else value!r}" for key, value in given.items()]
        return f"initlab.compare({', '.join(said)})"


def _objects(given: Mapping[str, object]) -> list[str]:
    """The options whose values are no text, number or list of texts, and so fit on no command line."""
    return [key for key, value in given.items() if not isinstance(value, str | int | float | list | tuple)]


def own_study(
    build: Build | str,
    data: Data | None,
    *,
    schemes: Sequence[str] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    optimizer: OptimizerName | Optimizer | None = None,
    loss: LossName | None = None,
    test_share: float | None = None,
    target: str | None = None,
    preprocess: Preprocess | None = None,
    splits: int | None = None,
) -> OwnStudy:
    """The design of a comparison of the user's own model; what is left out is said in ``compare``.

    Raises:
        InitlabError: A function that builds no model, data that do not fit it, or a value out of its range.
    """
    function = build if not isinstance(build, str) else named(build)
    if not callable(function):
        raise OptionError(f"{build!r} is no function", where="build", fix="give a function that returns the model")
    preprocess = None if preprocess is None else preprocess_named(preprocess)

    def split(k: int) -> _Given:
        found = _take(
            data, loss=loss, test_share=test_share, target=target, preprocess=preprocess, split=SPLIT_SEED + k
        )
        return found if preprocess is None else _prepared(found, preprocess)

    given = split(0)
    if splits is None:
        splits = usual_splits(given.dataset, seeds) if given.is_table else 1
    if splits > 1 and not given.can_split:
        raise OptionError(
            "the data come with one test set", where="splits", fix="give data=(x, y), or leave splits out"
        )
    called = BuildCode(function)
    model = examine(called, given.dataset, row_shape=given.row_shape, row_kinds=given.row_kinds)
    design = StudyDesign(
        name=f"own-{_slug(model.name)}",
        title=f"{model.name}: a {FRAMEWORKS[model.framework].title} model with {model.parameters:,} parameters",
        task=given.task,
        task_options=given.options,
        preprocess=given.dataset.preprocess,
        hidden=(),
        schemes=tuple(schemes or _default_schemes(model)),
        optimizer=optimizer_of(optimizer, learning_rate),
        budget=Budget(20 if epochs is None else epochs, 32 if batch_size is None else batch_size),
        loss=loss or ("cross_entropy" if given.dataset.kind == "classification" else "mse"),
        bias_scheme="native",
        seeds=(6 if splits == 1 else 3) if seeds is None else seeds,
        splits=splits,
        framework=model.framework,
        model=model,
    )
    if model.tells_two_by_one and design.loss == "mse":
        fix = "use the loss cross_entropy, or give the targets as fractions"
        raise OptionError("one output tells two classes, whose loss is the binary cross-entropy", where="loss", fix=fix)
    name = build if isinstance(build, str) else dotted_name(function)
    task = str(data) if isinstance(data, str | Path) else None
    return OwnStudy(check_design(design), given.dataset, function, name, task, called.code, lambda k: split(k).dataset)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


def _default_schemes(model: OwnModel) -> tuple[str, ...]:
    default = FRAMEWORKS[model.framework].default_scheme
    return ("auto", "he_normal", "glorot_uniform", *([default] if default else []))


# Data


@dataclass(frozen=True, eq=False)
class _Given:
    """A data set, and how its rows may go into a model; ``row_shape`` None: as the model takes them."""

    dataset: Dataset
    row_shape: tuple[int, ...] | None
    row_kinds: tuple[RowKind, ...]
    task: str
    options: Mapping[str, Any]
    is_table: bool = False
    can_split: bool = False


def _take(
    data: Data | None,
    *,
    loss: LossName | None,
    test_share: float | None,
    target: str | None,
    preprocess: Preprocess | None,
    split: int,
) -> _Given:
    if loss not in (None, "cross_entropy", "mse"):
        raise OptionError(f"unknown loss '{loss}'", where="loss", fix="cross_entropy or mse")
    if isinstance(data, str | Path) and is_table(data):
        table = read_table(data, loss=loss, test_share=test_share, target=target, preprocess=preprocess, split=split)
        return _Given(table, None, ("float32",), CUSTOM, {}, is_table=True, can_split=True)
    if target is not None:
        raise OptionError("target names a column of a CSV file", where="target", fix="leave target out")
    if isinstance(data, str | Dataset):
        name, options = parse_call(data) if isinstance(data, str) else (data.name, {})
        if test_share is not None:
            raise OptionError(f"{name} has a test set of its own", where="test_share", fix="leave test_share out")
        if isinstance(data, Dataset):
            return _Given(data, None, ("float32",), CUSTOM, {})
        can_split = "split" in TASKS[name].options and "split" not in options
        if can_split and split != SPLIT_SEED:
            options = {**options, "split": split}
            return _Given(load_task(name, data=None, **options), None, ("float32",), name, options)
        found = load_task(name, data=None, **options)
        return _Given(found, None, ("float32",), name, options, can_split=can_split)
    if not isinstance(data, tuple | list) or len(data) not in (2, 4):
        raise OptionError(
            "the data are missing" if data is None else "data is no pair of arrays",
            where="data",
            fix="give data=(x, y), (x_train, y_train, x_test, y_test), a data set, its name, or a CSV file",
        )
    return _arrays([np.asarray(part) for part in data], loss, test_share, split)


def _prepared(given: _Given, how: Preprocess) -> _Given:
    """The same with other preprocessing, which makes them other data."""
    found = given.dataset
    if how == found.preprocess:
        return given
    if given.task != CUSTOM:
        others = {key: value for key, value in given.options.items() if key != TASKS[given.task].preprocess_option}
        return replace(given, dataset=load_task(given.task, **others, preprocess=how), options=others)
    if found.preprocess != "none":
        told = f"the data come with {WORDS[found.preprocess]}"
        raise OptionError(told, where="preprocess", fix="leave preprocess out, or give the data as they are")
    digest = hashlib.sha256(f"{found.digest} {how}".encode()).hexdigest()
    return replace(given, dataset=replace(preprocessed(found, how), digest=digest), row_kinds=("float32",))


def _arrays(parts: list[np.ndarray], loss: LossName | None, test_share: float | None, split: int) -> _Given:
    x, y = parts[0], parts[1]
    if x.size == 0 or x.ndim == 0:
        raise ShapeError(f"x has shape {x.shape}", where="data", fix="give an array with a row for each example")
    kind = _kind(y, loss)
    rows = [_flat(part) if i % 2 == 0 else part for i, part in enumerate(parts)]
    if len(parts) == 2:
        dataset = from_arrays(rows[0], y, test_size=0.2 if test_share is None else test_share, kind=kind, seed=split)
    elif test_share is not None:
        raise OptionError("the test set is given", where="test_share", fix="leave test_share out")
    elif parts[2].shape[1:] != x.shape[1:]:
        raise ShapeError(f"rows of shape {x.shape[1:]} to train and {parts[2].shape[1:]} to test", where="data")
    else:
        dataset = from_split(*rows, kind=kind)
    kinds: tuple[RowKind, ...] = ("float32", "int64") if x.dtype.kind in "iu" else ("float32",)
    return _Given(dataset, x.shape[1:] or (1,), kinds, CUSTOM, {}, can_split=len(parts) == 2)


def _flat(x: np.ndarray) -> np.ndarray:
    """Rows of numbers; images of one channel stay images, so that a report knows them."""
    image = [n for n in x.shape[1:] if n != 1]
    if x.ndim in (3, 4) and len(image) == 2 and (x.ndim == 3 or 1 in (x.shape[1], x.shape[3])):
        return x.reshape(len(x), *image)
    return x.reshape(len(x), -1) if x.size else x


def _kind(y: np.ndarray, loss: LossName | None) -> Kind:
    """Classes or numbers: as the loss says, and where it does not, as the targets look."""
    is_float = y.dtype.kind == "f"
    if loss is None and y.ndim == 2 and y.shape[1] > 1 and bool((np.sort(y, axis=1)[:, -2:] == (0, 1)).all()):
        raise OptionError("y is one-hot", where="data", fix="give y.argmax(1), the class of each row, or loss='mse'")
    if loss == "cross_entropy":
        return "classification"
    if loss == "mse":
        return "regression" if is_float or y.ndim == 2 else "classification"
    fractions = is_float and not np.array_equal(y, np.rint(y))
    return "regression" if fractions or y.ndim == 2 else "classification"
