"""Training of small networks in plain NumPy: stochastic gradient descent on a cross entropy, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from initlab.core.draws.streams import stream
from initlab.core.facts.arch import Mlp
from initlab.core.training.batches import epoch_order
from initlab.lessons.nets import Array, Weights, backward, forward
from initlab.tasks import load_task

# Products so small that BLAS keeps to one thread: many threads on small matrices wait more than they work.
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs and class indices for training and for testing; inputs of mean 0 and mean square 1."""

    x: Array
    y: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    x_test: Array
    y_test: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    classes: int


@cache
def digits() -> Rows:
    """The 8 x 8 digits, all pixels shifted and scaled alike."""
    data = load_task("digits")
    middle, width = data.x_train.mean(), data.x_train.std()
    x, x_test = ((np.float64(part) - middle) / width for part in (data.x_train, data.x_test))
    return Rows(x, data.y_train.astype(np.int64), x_test, data.y_test.astype(np.int64), data.outputs)


@dataclass(frozen=True)
class Descent:
    """Stochastic gradient descent.

    Attributes:
        rate: Size of a step.
        epochs: Passes over the rows.
        batch: Rows a step.
        clip: Largest norm of the gradient of all parameters; None does not clip.
        l1: Weight of the sum of absolute values of the weights in the loss.
        l2: Weight of the sum of their squares.
        dropout: Share of a hidden layer's outputs dropped.
        seed: Of the batches and of what is dropped.
    """

    rate: float = 0.05
    epochs: int = 10
    batch: int = 32
    clip: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gave.

    Attributes:
        losses: Cross entropy over the training rows, before training and after each epoch; NaN once it diverged.
        accuracy: Share of training rows that are right, after training.
        test_accuracy: Share of test rows.
        diverged_at: The step, counted from 1, that made the loss no finite number; 0 where none did.
        weights: After training.
    """

    losses: tuple[float, ...]
    accuracy: float
    test_accuracy: float
    diverged_at: int
    weights: Weights


def train(arch: Mlp, rows: Rows, weights: Weights, descent: Descent) -> Trained:
    """A network trained from given weights; the same arguments give the same numbers.

    Args:
        arch: A chain of dense layers, without skip connections.
        rows: What to learn.
        weights: By path; they are left as they are.
        descent: How.
    """
    now: dict[str, Array] = {path: w.copy() for path, w in weights.items()}
    with np.errstate(over="ignore", invalid="ignore"):
        losses, step = [loss_and_accuracy(arch, now, rows.x, rows.y)[0]], 0
        for epoch in range(1, descent.epochs + 1):
            order = epoch_order(descent.seed, epoch, len(rows.x), descent.batch).ravel()[: len(rows.x)]
            for start in range(0, len(order), descent.batch):
                batch, step = order[start : start + descent.batch], step + 1
                if not _step(arch, now, rows.x[batch], rows.y[batch], descent, step):
                    rest = [float("nan")] * (descent.epochs + 1 - len(losses))
                    chance = 1.0 / rows.classes
                    return Trained((*losses, *rest), chance, chance, step, now)
            losses.append(loss_and_accuracy(arch, now, rows.x, rows.y)[0])
    accuracy = loss_and_accuracy(arch, now, rows.x, rows.y)[1]
    return Trained(tuple(losses), accuracy, loss_and_accuracy(arch, now, rows.x_test, rows.y_test)[1], 0, now)


def loss_and_accuracy(
    arch: Mlp, weights: Weights, x: Array, y: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> tuple[float, float]:
    """The mean cross entropy in nats, and the share of rows whose largest output is their class; 32 rows at a time."""
    logits = np.concatenate([forward(arch, weights, x[i : i + _BLOCK]).outputs for i in range(0, len(x), _BLOCK)])
    shifted = logits - logits.max(axis=1, keepdims=True)
    loss = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]
    return float(loss.mean()), float((logits.argmax(axis=1) == y).mean())


def softmax_pull(logits: Array, y: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Array:
    """The derivative of the mean cross entropy by the logits: probabilities less the truth, over the rows."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    pull: Array = raised / raised.sum(axis=1, keepdims=True)
    pull[np.arange(len(y)), y] -= 1.0
    return pull / len(y)


def _step(
    arch: Mlp,
    weights: dict[str, Array],
    x: Array,
    y: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    descent: Descent,
    step: int,
) -> bool:
    """One step, in place; whether every number stayed finite."""
    masks = _masks(arch, len(x), descent, step)
    done = forward(arch, weights, x, masks=masks)
    gradients = backward(arch, weights, done, softmax_pull(done.outputs, y), masks=masks).weights
    whole = {path: g + _penalty(path, weights[path], descent) for path, g in gradients.items()}
    norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in whole.values())))
    if not np.isfinite(norm):
        return False
    factor = 1.0 if descent.clip is None or norm <= descent.clip else descent.clip / norm
    for path, g in whole.items():
        weights[path] -= descent.rate * factor * g
    return True


def _penalty(path: str, weight: Array, descent: Descent) -> Array | float:
    if not path.endswith("/weight") or not (descent.l1 or descent.l2):
        return 0.0
    return descent.l1 * np.sign(weight) + 2.0 * descent.l2 * weight


def _masks(arch: Mlp, rows: int, descent: Descent, step: int) -> Sequence[Array]:
    if not descent.dropout:
        return ()
    keep = 1.0 - descent.dropout
    source = stream(descent.seed, f"step/{step}", purpose="dropout")
    masks, start = [], 0
    for width in arch.widths[1:-1]:
        kept = source.uniforms(rows * width, start=start).reshape(rows, width) < keep
        masks.append(kept / keep)
        start += rows * width
    return masks
