"""A data set as plain arrays: what a task yields and a trainer takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["classification", "regression"]
Preprocess = Literal["none", "standardise", "unit", "signed"]
"""What is done to the features: nothing; mean 0 and variance 1 over the training rows; 0 to 1; -1 to 1."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test arrays of one task.

    Attributes:
        name: The task's name, e.g. ``"iris"``.
        x_train: float32, (rows, features).
        y_train: int32 class indices (rows,), or float32 (rows, outputs) for regression.
        x_test: As ``x_train``.
        y_test: As ``y_train``.
        kind: Classification or regression.
        class_names: The classes in order of their index; empty for regression.
        image_shape: (height, width) where a row is a flattened image, else None.
        source: Where the data come from, for the report.
        digest: sha256 of the raw data, hex; part of a run's identity.
        preprocess: What was done to the features.
        notes: What a reader of its table should know, in sentences: how it was read, what was dropped.
    """

    name: str
    x_train: NDArray[np.float32]
    y_train: NDArray[np.int32] | NDArray[np.float32]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int32] | NDArray[np.float32]
    kind: Kind = "classification"
    class_names: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    source: str = ""
    digest: str = field(default="")
    preprocess: Preprocess = "none"
    notes: str = ""

    @property
    def features(self) -> int:
        """Numbers in a row of the input."""
        return int(self.x_train.shape[1])

    @property
    def outputs(self) -> int:
        """Classes, or numbers predicted."""
        return len(self.class_names) if self.kind == "classification" else int(self.y_train.shape[1])
