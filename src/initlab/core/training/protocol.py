"""The second protocol: what a trainer is given, and what it gives back; each framework has its own trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import OptionError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.facts.user_model import OwnModel
from initlab.core.training.dataset import Dataset

OptimizerName = Literal["sgd", "momentum", "adam", "adamw"]
LossName = Literal["cross_entropy", "mse"]
Quantity = Literal["weight", "activation", "gradient"]
"""What a layer's histograms and its course over the epochs are of."""


@dataclass(frozen=True)
class Optimizer:
    """An optimiser with its numbers; the defaults are Keras'.

    Attributes:
        name: ``sgd``, ``momentum``, ``adam`` or ``adamw``.
        learning_rate: Step size, above 0.
        momentum: For ``momentum`` alone.
        beta_1: Decay of Adam's first moment.
        beta_2: Decay of Adam's second moment.
        epsilon: Adam's denominator offset.
        weight_decay: Decoupled decay, for ``adamw`` alone.
        clip_norm: Largest global norm of the gradient; None does not clip.
        l1: Weight of the sum of absolute values of the weights in the loss.
        l2: Weight of the sum of squares of the weights in the loss.
    """

    name: OptimizerName = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    weight_decay: float = 0.004
    clip_norm: float | None = None
    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ("sgd", "momentum", "adam", "adamw"):
            raise OptionError(f"unknown optimizer '{self.name}'", fix="sgd, momentum, adam or adamw")
        if not self.learning_rate > 0:
            raise OptionError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise OptionError(f"clip_norm must be above 0, got {self.clip_norm}")


@dataclass(frozen=True)
class Budget:
    """How long to train: passes over the training data, and rows a step.

    Example:
        >>> Budget(epochs=50, batch_size=32).steps(120)      # the last batch of each epoch holds 24 rows
        200
    """

    epochs: int
    batch_size: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"{name} must be a whole number of 1 or more, got {value!r}")

    def steps(self, rows: int) -> int:
        """Optimiser steps of the whole run; a partial last batch is a step."""
        return self.epochs * -(-rows // self.batch_size)


@dataclass(frozen=True, eq=False)
class Start:
    """One model to be trained: its seed (for batches and dropout) and its weights, by canonical path and layout.

    Attributes:
        seed: Of batches and dropout.
        weights: By canonical path.
        init_seed: The seed under which a model of the user's own is built; None: that of batches and dropout.
    """

    seed: int
    weights: Mapping[str, NDArray[np.float32]]
    init_seed: int | None = None

    @property
    def build_seed(self) -> int:
        """The seed under which a model is built."""
        return self.seed if self.init_seed is None else self.init_seed


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of one quantity of one layer at one epoch, in equal bins from ``low`` to ``high``."""

    epoch: int
    layer: str
    quantity: Quantity
    low: float
    high: float
    counts: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Trained:
    """What training one model gave.

    Attributes:
        status: ``ok`` or ``diverged``.
        reason: In words, empty for ``ok``; e.g. ``"loss became nan at step 17 (epoch 2)"``.
        diverged_step: The optimiser step, counted from 1, whose loss was not finite; None for ``ok``.
        curves: By name, float64 of length epochs + 1; index 0 is the state at initialization, where
            ``train_loss`` and ``train_accuracy`` are NaN (they run over an epoch's minibatches).
            Names: ``train_loss train_accuracy test_loss test_accuracy``. After divergence: NaN.
        layers: By name, float64 of shape (epochs + 1, dense layers), on one fixed probe batch. Names:
            ``weight_mean weight_var weight_norm activation_mean activation_var activation_norm gradient_mean
            gradient_var gradient_norm dead``; the activation is the layer's output after its nonlinearity (the logits
            for the last), the gradient that of the loss by the weight, ``dead`` the share of units that are zero
            on the whole probe batch.
        histograms: At the chosen epochs, for every dense layer and quantity.
        predictions: int32 class index of each test row after training (classification), else float32 outputs.
        wall: Seconds of this model's share of its chunk's training time.
        first_weights: Where the rows are images, float32 of shape (2, units, inputs): the weights into the first
            units, at most 25, at initialization and after training (NaN after divergence); else None.
    """

    status: Literal["ok", "diverged"]
    reason: str
    diverged_step: int | None
    curves: Mapping[str, NDArray[np.float64]]
    layers: Mapping[str, NDArray[np.float64]]
    histograms: Sequence[Histogram]
    predictions: NDArray[np.int32] | NDArray[np.float32]
    wall: float
    first_weights: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class TrainingSetup:
    """All that models of one chunk share: architecture, data, optimiser, budget, and what to record."""

    arch: Mlp | Recurrent
    dataset: Dataset
    optimizer: Optimizer
    budget: Budget
    loss: LossName = "cross_entropy"
    histogram_epochs: tuple[int, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class UserTrainingSetup:
    """A setup whose network is the user's: what ``build`` returns, which every run calls anew.

    Attributes:
        build: Returns the framework's model, or a tuple of it and an example; called without arguments.
        arch: What is known of that model.
        dataset: Its rows are flat, as everywhere; the trainer gives them ``arch.row_shape``.
        optimizer: As in ``TrainingSetup``.
        budget: As in ``TrainingSetup``.
        loss: As in ``TrainingSetup``.
        histogram_epochs: As in ``TrainingSetup``.
    """

    build: Callable[[], object]
    arch: OwnModel
    dataset: Dataset
    optimizer: Optimizer
    budget: Budget
    loss: LossName = "cross_entropy"
    histogram_epochs: tuple[int, ...] = ()


class Trainer(Protocol):
    """Trains models of one setup; the bits of a model do not depend on which others are given with it."""

    def __call__(self, setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
        """Train each start; results in the same order."""
        ...


class OwnTrainer(Protocol):
    """Trains the user's own model; the bits of a run do not depend on which others are given with it."""

    def __call__(self, setup: UserTrainingSetup, starts: Sequence[Start]) -> list[Trained]:
        """Train each start; results in the same order.

        A start's weights are those of the plan; what the plan keeps is as ``build`` made it under the start's seed.
        """
        ...
