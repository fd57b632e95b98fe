"""A comparison of initlab's own networks on a table of the user's: from a CSV file to a design and its data."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from initlab.core.training.dataset import Dataset, Kind, Preprocess
from initlab.core.training.protocol import Budget, LossName, Optimizer, OptimizerName
from initlab.study.design import check_design
from initlab.study.records import StudyDesign
from initlab.study.split_runs import SPLIT_SEED
from initlab.tasks import from_csv
from initlab.tasks.preprocess import preprocess_named
from initlab.tasks.registry import preprocessed

USUAL_SPLITS, SMALL_TABLE = 5, 2000
CUSTOM = "custom"
"""What stands for a data set's name in the design of a study of the user's own rows."""
HIDDEN, EPOCHS, BATCH_SIZE = (64, 32), 50, 32
SCHEMES = ("zeros", "normal(std=0.05)", "glorot_normal", "he_normal")
"""Where they are left out: the network, the budget and the schemes of the study iris."""

_TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_RATES = {"sgd": 0.01, "momentum": 0.01, "adam": 0.001, "adamw": 0.001}  # Keras' defaults


def is_table(place: object) -> bool:
    """Whether a text or path is that of a table.

    Example:
        >>> is_table("fruit.csv"), is_table("iris")
        (True, False)
    """
    return isinstance(place, str | os.PathLike) and str(place).lower().endswith(_TABLES)


def read_table(
    path: str | os.PathLike[str],
    *,
    loss: LossName | None,
    test_share: float | None,
    target: str | None,
    preprocess: Preprocess | None,
    split: int,
) -> Dataset:
    """The data set of a table, as ``compare`` takes it.

    Args:
        path: The file.
        loss: Says whether the target is of classes or of numbers; None: as it looks.
        test_share: Share of the test rows, 0.2 where left out.
        target: The column to be told, the last where left out.
        preprocess: Of the features; None: ``standardise``.
        split: Seed of the split.

    Raises:
        InitlabError: As ``from_csv``.
    """
    kind: Kind | None = None if loss is None else "classification" if loss == "cross_entropy" else "regression"
    how = "standardise" if preprocess is None else preprocess_named(preprocess)
    share = 0.2 if test_share is None else test_share
    found = from_csv(path, target=target, test_size=share, kind=kind, standardize=how == "standardise", seed=split)
    if how in ("none", "standardise"):
        return found
    digest = hashlib.sha256(f"{found.digest} {how}".encode()).hexdigest()
    return replace(preprocessed(found, how), digest=digest)


def usual_splits(data: Dataset, seeds: int | None) -> int:
    """Splits where they are left out: several where a table has so few rows that its split says much of the answer."""
    is_small = len(data.x_train) + len(data.x_test) < SMALL_TABLE
    return USUAL_SPLITS if is_small and (seeds is None or seeds >= 3) else 1


def optimizer_of(given: OptimizerName | Optimizer | None, rate: float | None) -> Optimizer:
    """The optimiser, with Keras' learning rate where it is left out."""
    if isinstance(given, Optimizer):
        return given if rate is None else replace(given, learning_rate=float(rate))
    name = given or "adam"
    return Optimizer(name, learning_rate=_RATES.get(name, 0.001) if rate is None else float(rate))


@dataclass(frozen=True, eq=False)
class TableStudy:
    """A design on a table, with its data.

    Attributes:
        design: The design.
        dataset: Its data.
        split: Gives the data of another split, counted from 0.
    """

    design: StudyDesign
    dataset: Dataset
    split: Callable[[int], Dataset]


def table_study(
    path: str | os.PathLike[str],
    *,
    schemes: Sequence[str] | None,
    seeds: int | None,
    splits: int | None,
    optimizer: OptimizerName | Optimizer | None,
    loss: LossName | None,
    test_share: float | None,
    target: str | None,
    preprocess: Preprocess | None,
) -> TableStudy:
    """The design of a comparison of a dense network on a table; what is left out is said in ``compare``.

    Raises:
        InitlabError: A table that cannot be read, or a value out of its range.
    """

    def split(k: int) -> Dataset:
        return read_table(
            path, loss=loss, test_share=test_share, target=target, preprocess=preprocess, split=SPLIT_SEED + k
        )

    data = split(0)
    splits = usual_splits(data, seeds) if splits is None else splits
    slug = re.sub(r"[^a-z0-9]+", "-", data.name.lower()).strip("-") or "data"
    design = StudyDesign(
        name=f"table-{slug}",
        title=f"{Path(path).name}: a dense network of {' and '.join(map(str, HIDDEN))} hidden units",
        task=CUSTOM,
        preprocess=data.preprocess,
        hidden=HIDDEN,
        schemes=tuple(schemes or SCHEMES),
        optimizer=optimizer_of(optimizer, None),
        budget=Budget(EPOCHS, BATCH_SIZE),
        loss=loss or ("cross_entropy" if data.kind == "classification" else "mse"),
        seeds=(6 if splits == 1 else 3) if seeds is None else seeds,
        splits=splits,
    )
    return TableStudy(check_design(design), data, split)
