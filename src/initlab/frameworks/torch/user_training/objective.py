"""What a user's module is trained on and for: its data as tensors, its loss, and the rows it classifies right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from initlab.core.training.protocol import UserTrainingSetup
from initlab.frameworks.torch.training.objective import penalised
from initlab.frameworks.torch.user_training.build import built, device_of, made_whole

_SMALLEST = 1e-7  # probabilities below it count as this much, as in Keras' cross-entropy


class OwnData(NamedTuple):
    """The data set's arrays, rows in the model's own shape; ``y`` as int64 classes or float32 (rows, outputs)."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


_EXAMPLE_ROWS = 4


def ready(setup: UserTrainingSetup, seed: int) -> nn.Module:
    """The module as it trains: built under a seed, lazy parameters made, and an output for each of two classes.

    Raises:
        InitlabError: The function builds something else than it did when the study was planned.
    """
    model = built(setup.build, seed)
    arch, rows = setup.arch, setup.dataset.x_train[:_EXAMPLE_ROWS]
    kind = torch.int64 if arch.row_kind == "int64" else torch.float32
    x = torch.tensor(rows, dtype=kind, device=device_of(model)).reshape(len(rows), *arch.row_shape)
    made_whole(model, x, seed)
    if arch.tells_two_by_one:
        model.register_forward_hook(_both_probabilities if arch.gives == "probability" else _both_logits)
    return model


def _both_logits(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    """Logits 0 and o, of which the cross-entropy is the binary one of the logit o."""
    one = output.reshape(-1, 1)
    return torch.cat([torch.zeros_like(one), one], 1)


def _both_probabilities(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    one = output.reshape(-1, 1)
    return torch.cat([1 - one, one], 1)


def own_data(setup: UserTrainingSetup, device: torch.device) -> OwnData:
    """The data set as tensors, in memory that torch aligned: products round by where their operands lie."""
    data, arch = setup.dataset, setup.arch
    x_kind = torch.int64 if arch.row_kind == "int64" else torch.float32
    y_kind = torch.int64 if data.kind == "classification" else torch.float32

    def tensor(array: NDArray[np.generic], kind: torch.dtype, *shape: int) -> Tensor:
        return torch.tensor(array, dtype=kind).reshape(len(array), *shape).to(device)

    targets = () if data.kind == "classification" else (data.outputs,)
    return OwnData(
        tensor(data.x_train, x_kind, *arch.row_shape),
        tensor(data.y_train, y_kind, *targets),
        tensor(data.x_test, x_kind, *arch.row_shape),
        tensor(data.y_test, y_kind, *targets),
    )


def total_loss(setup: UserTrainingSetup, weights: Sequence[Tensor], outputs: Tensor, y: Tensor) -> Tensor:
    """Data loss plus the L1 and L2 penalties of the weights (not of biases and norms).

    Args:
        setup: What is trained.
        weights: Those of the layers.
        outputs: (rows, outputs).
        y: (rows,) classes, or (rows, outputs).
    """
    return penalised(setup.optimizer, weights, _data_loss(setup, outputs, y))


def _data_loss(setup: UserTrainingSetup, outputs: Tensor, y: Tensor) -> Tensor:
    """The mean of cross-entropy, or of the squared error's mean over outputs; classes count as one-hot rows there."""
    if setup.loss == "mse":
        classes = torch.arange(setup.arch.outputs, device=y.device)
        target = y if y.is_floating_point() else (y[:, None] == classes).to(outputs.dtype)
        return (outputs - target).square().mean()
    if setup.arch.gives in ("probabilities", "probability"):
        return functional.nll_loss(outputs.clamp_min(_SMALLEST).log(), y)
    return functional.cross_entropy(outputs, y)


def hits(outputs: Tensor, y: Tensor) -> Tensor:
    """Rows whose largest output is their class; NaN for regression."""
    if y.is_floating_point():
        return torch.full((), torch.nan)
    return (outputs.argmax(-1) == y).sum().float()
