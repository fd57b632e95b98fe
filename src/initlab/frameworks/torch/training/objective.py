"""What a batch's outputs cost, by how much that changes with each of them, and which rows they classify right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from initlab.core.training.protocol import LossName, Optimizer, TrainingSetup


def total_loss(setup: TrainingSetup, params: Mapping[str, Tensor], outputs: Tensor, y: Tensor) -> Tensor:
    """Data loss plus the L1 and L2 penalties of the weights (not the biases), which Keras reports as ``loss``."""
    return penalised(setup.optimizer, weights_of(setup, params), data_loss(outputs, y, loss=setup.loss))


def penalised(optimizer: Optimizer, weights: Sequence[Tensor], loss: Tensor) -> Tensor:
    """The loss plus the L1 and L2 penalties of the weights."""
    if optimizer.l1:
        loss = loss + optimizer.l1 * torch.stack([w.abs().sum() for w in weights]).sum()
    if optimizer.l2:
        loss = loss + optimizer.l2 * torch.stack([w.square().sum() for w in weights]).sum()
    return loss


def weights_of(setup: TrainingSetup, params: Mapping[str, Tensor]) -> list[Tensor]:
    """Each dense layer's weight."""
    return [params[f"{i}/weight"] for i in range(setup.arch.depth)]


def data_loss(outputs: Tensor, y: Tensor, *, loss: LossName) -> Tensor:
    """The mean over a batch of softmax cross-entropy, or of the squared error's mean over outputs.

    Args:
        outputs: (rows, outputs), logits.
        y: int64 classes (rows,), one-hot for ``mse``; or float32 (rows, outputs).
        loss: Which of the two.
    """
    if loss == "cross_entropy":
        return functional.cross_entropy(outputs, y)
    return (outputs - _target(outputs, y)).square().mean(1).mean()


def data_loss_and_slope(outputs: Tensor, y: Tensor, *, loss: LossName) -> tuple[Tensor, Tensor]:
    """``data_loss``, bit for bit, and its gradient by the outputs; without autograd.

    Args:
        outputs: As in ``data_loss``.
        y: Likewise.
        loss: Likewise.

    Example:
        >>> value, slope = data_loss_and_slope(torch.tensor([[3.0, 1.0]]), torch.zeros(1, 2), loss="mse")
        >>> float(value), slope.tolist()      # (9 + 1) / 2, and 2 (3, 1) / 2
        (5.0, [[3.0, 1.0]])
    """
    if loss == "cross_entropy":
        logarithms = outputs.log_softmax(1)
        slope = (logarithms.exp() - _target(outputs, y)) / len(outputs)
        return functional.nll_loss(logarithms, y), slope
    error = outputs - _target(outputs, y)
    return error.square().mean(1).mean(), error * (2.0 / error.numel())


def _target(outputs: Tensor, y: Tensor) -> Tensor:
    """What the outputs shall be: (rows, outputs)."""
    return y if y.is_floating_point() else (y[:, None] == torch.arange(outputs.shape[1])).to(outputs.dtype)


def hits(outputs: Tensor, y: Tensor, counts: Sequence[int]) -> Tensor:
    """Rows of each batch whose largest output is their class, (batches,); NaN for regression.

    Args:
        outputs: (rows, outputs), of all batches one after another.
        y: (rows,) classes, or (rows, outputs).
        counts: Rows of each batch.
    """
    if y.is_floating_point():
        return torch.full((*outputs.shape[:-2], len(counts)), torch.nan)
    right = (outputs.argmax(-1) == y).cumsum(-1)[..., torch.tensor(counts).cumsum(0) - 1]
    return right.diff(prepend=torch.zeros_like(right[..., :1])).float()
