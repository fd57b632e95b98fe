"""Studies as data: ready-made ones and files of your own, changed by overrides, expanded into runs."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np

from initlab.core.calls import format_call
from initlab.core.errors import OptionError, UnknownNameError, UnsupportedError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.files import read_file
from initlab.core.memory import check_memory
from initlab.core.training.dataset import Dataset, Preprocess
from initlab.core.training.protocol import Budget
from initlab.frameworks import FRAMEWORKS
from initlab.schemes import scheme
from initlab.study.rates import FIRST_TUNING_SEED, check_rates, planned_runs
from initlab.study.records import Dialect, RunSpec, StudyDesign, Vary
from initlab.study.table import build
from initlab.tasks import TASKS
from initlab.tasks.preprocess import preprocess_named

LARGEST_STUDY = 1 << 20
"""Bytes of the largest TOML of a study that is read."""
MOST_LAYERS = 10_000
RECORD_BYTES = 2048
"""What a record takes beside its curves."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def list_studies() -> list[str]:
    """The names of the ready-made studies, sorted.

    Example:
        >>> list_studies()
        ['digits', 'iris', 'iris-standardised', 'mnist', 'mnist-sgd']
    """
    folder = resources.files("initlab.study") / "studies"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_study(name_or_path: str | Path) -> StudyDesign:
    """A ready-made study by its name, or one's own by the path of its TOML file (``.toml``).

    Raises:
        UnknownNameError: No ready-made study has the name.
        OptionError: The file cannot be read, or has a key or value that a study does not.
        InitlabError: A value outside its range, or an unknown scheme.

    Example:
        >>> load_study("iris").hidden
        (64, 32)
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        try:
            return parse_study(read_file(path, most=LARGEST_STUDY).decode(), where=str(path))
        except FileNotFoundError as error:
            raise OptionError("no such study file", where=str(path), fix="check the path") from error
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise OptionError(f"the study file cannot be read: {reason}", where=str(path)) from error
    if name_or_path not in list_studies():
        raise UnknownNameError("study", name_or_path, list_studies(), listing="initlab list studies")
    file = resources.files("initlab.study") / "studies" / f"{name_or_path}.toml"
    return parse_study(file.read_text(encoding="utf-8"), where=f"{name_or_path}.toml")


def parse_study(text: str, *, where: str) -> StudyDesign:
    """The study that a TOML text describes.

    Args:
        text: TOML whose keys are the fields of ``StudyDesign``.
        where: The file, for errors.

    Raises:
        OptionError: It is no TOML, or has a key or value that a study does not.
        InitlabError: A value outside its range, or an unknown scheme.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise OptionError(f"not a TOML file: {reason}", where=where, fix="see the study format in the docs") from error
    return check_design(build(StudyDesign, table, where), where=where)


def check_design(design: StudyDesign, *, where: str = "") -> StudyDesign:
    """The same design with its schemes spelled canonically, once every value is in its range.

    Args:
        design: A design.
        where: The file or call it comes from, for errors.

    Raises:
        InitlabError: A value outside its range, an unknown scheme, or a scheme given twice.

    Example:
        >>> from initlab.core.training.protocol import Optimizer
        >>> mine = StudyDesign("mine", "iris", (8,), ("RandomNormal", "zeros"), Optimizer(), Budget(1, 32))
        >>> check_design(mine).schemes
        ('normal(std=0.05)', 'zeros')
    """
    if not _NAME.fullmatch(design.name):
        raise OptionError(f"'{design.name}' cannot name a study", where=where, fix="small letters, digits, - and _")
    check_whole("seeds", design.seeds, where=where)
    check_whole("splits", design.splits, where=where)
    _check_splits(design, where)
    check_size(design, where=where)
    if design.bias_scheme not in ("zeros", "native"):
        raise OptionError(f"unknown bias_scheme '{design.bias_scheme}'", where=where, fix="zeros or native")
    framework = FRAMEWORKS.canonical(design.framework)
    _check_model(design, where)
    for epoch in design.histogram_epochs:
        if not -1 <= epoch <= design.budget.epochs:
            raise OptionError(
                f"histogram epoch {epoch} in a run of {design.budget.epochs}", where=where, fix="0 to the last, or -1"
            )
    rates = (design.optimizer.learning_rate, design.optimizer.l1, design.optimizer.l2, design.dropout)
    if not all(math.isfinite(rate) for rate in rates):
        raise OptionError("learning_rate, l1, l2 and dropout must be finite", where=where)
    check_rates(design.learning_rates, where=where)
    if design.model is None:
        architecture(design, inputs=design.steps or 1, outputs=1)
    output = design.output_scheme
    return replace(
        design,
        preprocess=preprocess_of(design, where=where),
        framework=framework,
        hidden=tuple(design.hidden),
        schemes=_canonical(design.schemes, design.dialect, where),
        output_scheme=None if output is None else scheme(output, dialect=design.dialect).label,
    )


def with_overrides(
    design: StudyDesign,
    *,
    schemes: Sequence[str] | None = None,
    seeds: int | None = None,
    splits: int | None = None,
    first_seed: int | None = None,
    vary: Vary | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    learning_rates: Sequence[float] | None = None,
    hidden: Sequence[int] | None = None,
    activation: str | None = None,
    dropout: float | None = None,
    task: str | None = None,
    task_options: Mapping[str, str | int | float | bool] | None = None,
    preprocess: Preprocess | None = None,
    framework: str | None = None,
    histograms_every: int | None = None,
) -> StudyDesign:
    """The design with some of its values replaced, and checked again; None keeps a value.

    Args:
        design: A design.
        schemes: Calls such as ``"normal(std=0.05)"``; aliases are resolved.
        seeds: Number of seeds, 1 or more; of each split where there are several.
        splits: Number of splits: 1, or 3 and more.
        first_seed: The first of the seeds, 0 or more.
        vary: What differs from seed to seed: ``init``, ``data`` or ``both``.
        epochs: Passes over the training data, 1 or more; histograms that were asked of a later epoch are taken
            at the last.
        batch_size: Rows a step, 1 or more.
        learning_rate: Above 0; takes the place of a grid.
        learning_rates: A grid, of which each scheme gets its own best.
        hidden: Widths of the hidden layers.
        activation: Of the hidden layers.
        dropout: In [0, 1).
        task: Another data set; its options are then ``task_options`` alone.
        task_options: Options of the data set.
        preprocess: What is done to the features: ``none``, ``standardise``, ``unit`` or ``signed``; of another data
            set what that one does where it is not told.
        framework: What trains: ``jax``, ``torch`` or ``keras``.
        histograms_every: Epochs from one set of histograms to the next, 1 or more: they are taken at the epochs 0, that
            many, twice as many, ..., and at the last.

    Raises:
        InitlabError: A value outside its range, an unknown scheme, or a scheme given twice.

    Example:
        >>> with_overrides(load_study("iris"), seeds=3, schemes=["kaiming_normal"]).schemes
        ('he_normal',)
    """
    if learning_rate is not None and learning_rates is not None:
        raise OptionError("one learning rate and a grid of them", where="learning_rates", fix="give one of the two")
    budget = Budget(
        design.budget.epochs if epochs is None else epochs,
        design.budget.batch_size if batch_size is None else batch_size,
    )
    check_size(replace(design, budget=budget))  # before every epoch of a histogram is counted up
    rate = design.optimizer.learning_rate if learning_rate is None else float(learning_rate)
    grid = () if learning_rate is not None else learning_rates
    given: dict[str, Any] = {
        "schemes": None if schemes is None else tuple(schemes),
        "seeds": seeds,
        "splits": splits,
        "first_seed": first_seed,
        "vary": vary,
        "hidden": None if hidden is None else tuple(hidden),
        "activation": activation,
        "dropout": None if dropout is None else float(dropout),
        "task": task,
        "framework": framework,
        "task_options": {} if task is not None and task_options is None else task_options,
        "preprocess": None if preprocess is None else preprocess_named(preprocess),
        "learning_rates": None if grid is None else tuple(float(point) for point in grid),
    }
    kept = design.preprocess if task is None and task_options is None else None
    if preprocess is not None:
        known = design.task_options if given["task_options"] is None else given["task_options"]
        given["task_options"] = {key: v for key, v in known.items() if key not in _preprocess_keys(design)}
    changed = replace(
        replace(design, preprocess=kept),
        budget=budget,
        optimizer=replace(design.optimizer, learning_rate=rate),
        histogram_epochs=_histogram_epochs(design, budget, histograms_every),
        **{key: value for key, value in given.items() if value is not None},
    )
    return check_design(changed)


def _histogram_epochs(design: StudyDesign, budget: Budget, every: int | None) -> tuple[int, ...]:
    if every is None:
        return tuple(dict.fromkeys(min(epoch, budget.epochs) for epoch in design.histogram_epochs))
    check_whole("histograms_every", every)
    return *range(0, budget.epochs, every), -1


def expand(design: StudyDesign, dataset: Dataset) -> list[RunSpec]:
    """Every run of a study: each scheme with seeds 0, 1, 2, ..., in the design's order of schemes.

    A grid of learning rates makes a study of each rate, ``study.rates.at_rate``; here the optimiser's rate counts.

    Args:
        design: A checked design.
        dataset: Its data, from which the input and output widths and the digest come.

    Raises:
        OptionError: The loss does not fit the data.

    Example:
        >>> design = with_overrides(load_study("iris"), seeds=2)
        >>> x, y = np.zeros((1, 4), np.float32), np.zeros(1, np.int32)
        >>> data = Dataset("iris", x, y, x, y, class_names=("a", "b", "c"))
        >>> runs = expand(design, data)
        >>> len(runs), runs[0].arch.widths, runs[0].histogram_epochs
        (8, (4, 64, 32, 3), (0, 1, 5, 50))
    """
    if design.loss == "cross_entropy" and dataset.kind != "classification":
        raise OptionError("cross_entropy needs classes", where=f"data set {dataset.name}", fix="use the loss mse")
    last = design.budget.epochs
    common: dict[str, Any] = {
        "task": format_call(design.task, dict(sorted(_identity(design).items()))),
        "data_digest": dataset.digest or digest_of_rows(dataset),
        "arch": design.model or architecture(design, inputs=dataset.features, outputs=dataset.outputs),
        "optimizer": design.optimizer,
        "budget": design.budget,
        "loss": design.loss,
        "output_scheme": design.output_scheme,
        "bias_scheme": design.bias_scheme,
        "dialect": design.dialect,
        "histogram_epochs": tuple(sorted({last if epoch == -1 else epoch for epoch in design.histogram_epochs})),
        "framework": design.framework,
    }
    if design.vary != "both":
        common["data_seed" if design.vary == "init" else "init_seed"] = design.held
    return [RunSpec(scheme=name, seed=seed, **common) for name in design.schemes for seed in design.all_seeds]


def data_options(design: StudyDesign) -> dict[str, str | int | float | bool]:
    """What ``load_task`` is given beside the name: the design's options, and what is done to the features."""
    told = preprocess_of(design)
    others = {key: value for key, value in design.task_options.items() if key not in _preprocess_keys(design)}
    return {**others, "preprocess": told} if told is not None else others


def preprocess_of(design: StudyDesign, *, where: str = "") -> Preprocess | None:
    """What is done to the features of a study, by its own word, an option of its data set, or that one's habit.

    Returns:
        What; None where the data are the user's own, and the design does not say.

    Raises:
        OptionError: The design says one thing and an option of its data set another.

    Example:
        >>> preprocess_of(load_study("iris")), preprocess_of(load_study("mnist-sgd"))
        ('none', 'signed')
    """
    options = [design.task_options[key] for key in _preprocess_keys(design) if key in design.task_options]
    said = {preprocess_named(found) for found in (*options, design.preprocess) if found is not None}
    if len(said) > 1:
        raise OptionError(f"preprocess is {' and '.join(sorted(said))}", where=where, fix="say it once")
    habit = TASKS[design.task].preprocess if design.task in TASKS else None
    return next(iter(said), habit)


def _preprocess_keys(design: StudyDesign) -> set[str]:
    """The options of a study's data set that say what is done to the features."""
    own = TASKS[design.task].preprocess_option if design.task in TASKS else None
    return {"preprocess"} if own is None else {"preprocess", own}


def _identity(design: StudyDesign) -> dict[str, str | int | float | bool]:
    """The options that are part of a run's identity: where the features are as usual, their word is left out."""
    told, said = preprocess_of(design), _preprocess_keys(design) & design.task_options.keys()
    if told is None or said or design.task not in TASKS:
        return dict(design.task_options)
    task = TASKS[design.task]
    if told == task.preprocess:
        return dict(design.task_options)
    return {**design.task_options, task.preprocess_option or "preprocess": told}


def check_size(design: StudyDesign, *, where: str = "") -> None:
    """Nothing, where a study's network, and the curves of all of its runs, find room in this machine's memory.

    Args:
        design: A design, whose numbers may be of any size.
        where: The file or call it comes from, for errors.

    Raises:
        OptionError: They do not; the counts and the memory are told.
    """
    if len(design.hidden) > MOST_LAYERS:
        told = f"{len(design.hidden):,} hidden layers are more than {MOST_LAYERS:,}"
        raise OptionError(told, where=where, fix="give fewer")
    layers = len(design.hidden) + 1 if design.model is None else design.model.depth
    runs = planned_runs(design)
    course = f"{runs:,} runs of {design.budget.epochs:,} epochs"
    check_memory(course, runs * (RECORD_BYTES + (design.budget.epochs + 1) * _numbers(layers) * 8), where=where)
    widths = (1, *design.hidden, 1)
    weights = sum(before * after for before, after in pairwise(widths))
    # A weight, its gradient, and two moments of it.
    check_memory(f"a network of {weights:,} weights", 16 * weights, where=where)


def _numbers(layers: int) -> int:
    """Numbers that a run records an epoch: four curves, and ten statistics of each layer."""
    return 4 + 10 * layers


def check_whole(name: str, value: object, *, where: str = "") -> None:
    """Refuse what is not a whole number of 1 or more.

    Raises:
        OptionError: Such a value.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} must be a whole number of 1 or more, got {value!r}", where=where)


def architecture(design: StudyDesign, *, inputs: int, outputs: int) -> Mlp | Recurrent:
    """The network that a design describes, for data of so many features and outputs.

    Raises:
        OptionError: A size out of its range, or an option that a recurrent net has not.

    Example:
        >>> architecture(load_study("iris"), inputs=4, outputs=3).widths
        (4, 64, 32, 3)
    """
    if design.steps is not None:
        return _recurrent(design, design.steps, inputs=inputs, outputs=outputs)
    return Mlp(
        (inputs, *design.hidden, outputs),
        activation=design.activation,
        dropout=design.dropout,
        norm=design.norm,
        residual=design.residual,
        bias=design.bias,
    )


def _recurrent(design: StudyDesign, steps: int, *, inputs: int, outputs: int) -> Recurrent:
    check_whole("steps", steps)
    if len(design.hidden) != 1 or design.norm != "none" or design.residual or design.dropout:
        raise OptionError("a recurrent net has one hidden size, no norm, skips or dropout", fix="leave steps out")
    if Recurrent not in FRAMEWORKS[design.framework].trains:
        able = [name for name in FRAMEWORKS if Recurrent in FRAMEWORKS[name].trains]
        fix = f"use the framework {' or '.join(able)}"
        raise UnsupportedError(f"{design.framework} trains no recurrent net", where="steps", fix=fix)
    if inputs % steps:
        raise OptionError(f"{inputs} features are no {steps} steps of one size", where="steps", fix="take a divisor")
    sizes = {"inputs": inputs // steps, "width": design.hidden[0], "outputs": outputs, "steps": steps}
    return Recurrent(**sizes, activation=design.activation, bias=design.bias)


def _check_splits(design: StudyDesign, where: str) -> None:
    """Nothing, where there is one split, or enough of them with enough seeds each, of data that can be split."""
    first = design.first_seed
    if isinstance(first, bool) or not isinstance(first, int) or first < 0:
        raise OptionError(f"first_seed must be a whole number of 0 or more, got {first!r}", where=where)
    if design.learning_rates and first + design.runs > FIRST_TUNING_SEED:
        told = f"seeds from {FIRST_TUNING_SEED:,} on are those of the runs that choose a learning rate"
        raise OptionError(told, where=where, fix="give a smaller first_seed")
    _check_vary(design, where)
    if design.splits == 1:
        return
    if design.splits < 3 or design.seeds < 3:
        told = f"{design.splits} splits with {design.seeds} seeds each"
        raise OptionError(f"{told} cannot tell a spread", where=where, fix="3 splits and 3 seeds or more, or 1 split")
    if design.task in TASKS and "split" not in TASKS[design.task].options:
        raise OptionError(f"{design.task} has a test set of its own", where="splits", fix="leave splits out")
    if "split" in design.task_options:
        raise OptionError("one split is named and several are asked for", where="splits", fix="give one of the two")


def _check_vary(design: StudyDesign, where: str) -> None:
    if design.vary not in get_args(Vary):
        raise OptionError(f"unknown vary '{design.vary}'", where=where, fix=f"one of {', '.join(get_args(Vary))}")
    if design.vary == "init" and design.splits > 1:
        raise OptionError("the split is held where the weights vary alone", where="vary", fix="give 1 split, or both")
    if design.vary != "both" and design.learning_rates:
        raise OptionError("seeds apart come with one learning rate", where="vary", fix="leave learning_rates out")


def _check_model(design: StudyDesign, where: str) -> None:
    """Nothing, if the design has no model of the user's own, or nothing beside it that describes another."""
    model = design.model
    if model is None:
        return
    if design.framework != model.framework:
        raise OptionError(
            f"the model is one of {model.framework}, not of {design.framework}", where=where, fix="leave framework out"
        )
    if design.hidden or design.output_scheme is not None:
        raise OptionError("hidden and output_scheme describe initlab's own network", where=where, fix="leave them out")


def _canonical(calls: Sequence[str], dialect: Dialect | None, where: str) -> tuple[str, ...]:
    if not calls:
        raise OptionError("no scheme to compare", where=where, fix="name one; all of them: initlab list schemes")
    labels = [scheme(call, dialect=dialect).label for call in calls]
    for i, label in enumerate(labels):
        if label in labels[:i]:
            first = calls[labels.index(label)]
            twice = f"'{calls[i]}'" if calls[i] == first else f"'{first}' and '{calls[i]}', which are one scheme"
            raise OptionError(f"scheme given twice: {twice}", where=where, fix="give it once")
    return tuple(labels)


def digest_of_rows(dataset: Dataset) -> str:
    """sha256 of a user's own arrays: types, shapes and bytes."""
    digest = hashlib.sha256()
    for array in (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
