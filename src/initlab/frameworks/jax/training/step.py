"""One model's training as pure functions: an epoch of optimiser steps, and what is measured at its end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.custom_batching import custom_vmap

from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.training.forward import moved
from initlab.core.training.outcomes import PROBE_ROWS
from initlab.core.training.protocol import LossName, Optimizer
from initlab.frameworks.jax.training.dropout import drop
from initlab.frameworks.jax.training.measure import layer_statistics
from initlab.frameworks.jax.training.model import Forward, Moments, Params, forward, initial_moments
from initlab.frameworks.jax.training.optim import transformation

_EVALUATION_BYTES = 4_000_000


@dataclass(frozen=True)
class Layout:
    """All that decides the compiled code, and nothing else.

    Attributes:
        arch: The network.
        optimizer: Its learning rate is not read: it is an argument, so a grid of learning rates compiles once.
        loss: The data loss.
        rows: Training rows.
        batch_size: Rows a step, at most ``rows``.
        chunk: Models trained together.
    """

    arch: Mlp | Recurrent
    optimizer: Optimizer
    loss: LossName
    rows: int
    batch_size: int
    chunk: int

    @property
    def counts(self) -> list[int]:
        """Rows of each step of an epoch; the last may be smaller."""
        full, rest = divmod(self.rows, self.batch_size)
        return [self.batch_size] * full + [rest] * (rest > 0)


class Data(NamedTuple):
    """The data set on the device; ``y`` is int32 classes (rows,) or float32 (rows, outputs)."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


class State(NamedTuple):
    """What one step hands to the next; ``step`` is uint32, the steps done."""

    params: Params
    moments: Moments
    optimizer: optax.OptState
    step: Array


class Losses(NamedTuple):
    """Of each step of an epoch the loss and the rows classified right, both (steps,)."""

    loss: Array
    hits: Array


class Measured(NamedTuple):
    """The state of one model at an epoch's end.

    Attributes:
        test: (2,): test loss, and test rows classified right.
        probe_loss: Of the probe batch.
        layers: (metrics, dense layers), in the order of ``core.training.outcomes.LAYER_METRICS``.
        outputs: (test rows, outputs), logits.
        activations: Of each dense layer on the probe batch.
        gradients: Of the probe batch's loss by each weight.
    """

    test: Array
    probe_loss: Array
    layers: Array
    outputs: Array
    activations: tuple[Array, ...]
    gradients: tuple[Array, ...]


def initial_state(layout: Layout, params: Params) -> State:
    """The state before the first step."""
    rule = transformation(layout.optimizer, learning_rate=1.0, step=1)
    return State(params, initial_moments(layout.arch), rule.init(params), jnp.zeros((), jnp.uint32))


def train_epoch(
    layout: Layout, learning_rate: Array, data: Data, key: Array, order: Array, state: State
) -> tuple[State, Losses]:
    """The state after one pass over the training rows.

    Args:
        layout: What is compiled.
        learning_rate: Scalar.
        data: The data set.
        key: uint32 (2,), the key of the dropout masks.
        order: int32 (steps, batch_size), the rows of each step.
        state: The state before.
    """
    counts = jnp.asarray(layout.counts, jnp.float32)
    step = partial(_train_step, layout, learning_rate, data, key)
    return jax.lax.scan(step, state, (order, counts))


def _train_step(
    layout: Layout, learning_rate: Array, data: Data, key: Array, state: State, batch: tuple[Array, Array]
) -> tuple[State, Losses]:
    rows, count = batch
    x, y = data.x_train[rows], data.y_train[rows]
    full = layout.rows % layout.batch_size == 0
    share = None if full else jnp.where(jnp.arange(layout.batch_size) < count, 1.0 / count, 0.0)
    rate = layout.arch.dropout
    dropped = partial(drop, rate=rate, key=key, step=state.step) if rate else None

    def objective(params: Params) -> tuple[Array, Forward]:
        out = forward(layout.arch, params, x, share=share, drop=dropped)
        return total_loss(layout, params, out.logits, y, share=share), out

    (loss, out), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
    rule = transformation(layout.optimizer, learning_rate=learning_rate, step=state.step + 1)
    updates, optimizer = rule.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    after = State(params, moved(state.moments, out.moments), optimizer, state.step + 1)
    return after, Losses(loss, _hits(out.logits, y, share))


def measured(layout: Layout, data: Data, state: State) -> Measured:
    """Test loss and hits with running moments; layer statistics on the first training rows, without dropout.

    On the probe batch a batch norm uses that batch's own moments, as the gradient of training does.
    """
    arch, params, n = layout.arch, state.params, min(PROBE_ROWS, layout.rows)
    x = _own_copy(data.x_train[:n], state.step)
    outputs = _evaluated(layout, state, data.x_test)
    test_loss = total_loss(layout, params, outputs, data.y_test)
    hits = _hits(outputs, data.y_test, None)

    def objective(params: Params) -> tuple[Array, Forward]:
        out = forward(arch, params, x)
        return total_loss(layout, params, out.logits, data.y_train[:n]), out

    (probe_loss, probe), gradient = jax.value_and_grad(objective, has_aux=True)(params)
    activations = (*probe.activations, probe.logits)
    gradients = tuple(gradient[f"{i}/weight"] for i in range(arch.depth))
    per_layer = [layer_statistics(params[f"{i}/weight"], activations[i], gradients[i]) for i in range(arch.depth)]
    test = jnp.stack([test_loss, jnp.where(jnp.isnan(test_loss), jnp.nan, hits)])
    return Measured(test, probe_loss, jnp.stack(per_layer, axis=1), outputs, activations, gradients)


def _evaluated(layout: Layout, state: State, x: Array) -> Array:
    """The logits of every row, in blocks of rows where a chunk's activations would not stay in cache."""
    block = max(1, _EVALUATION_BYTES // (4 * layout.chunk * sum(layout.arch.widths)))

    def one_block(rows: Array) -> Array:
        own = _own_copy(rows, state.step)
        return forward(layout.arch, state.params, own, running=state.moments).logits

    blocks, rest = divmod(x.shape[0], block)
    if not blocks:
        return one_block(x)
    full = jax.lax.map(one_block, x[: blocks * block].reshape(blocks, block, -1)).reshape(blocks * block, -1)
    return jnp.concatenate([full, one_block(x[blocks * block :])]) if rest else full


@custom_vmap
def _own_copy(x: Array, model: Array) -> Array:
    """``x``, which under ``vmap`` over models becomes one copy a model.

    Rows that all models share would make of their matrix products one wide product, whose kernels at the edges round
    otherwise than those in the middle: a model's bits would depend on its place in the chunk.
    """
    return x


@_own_copy.def_vmap
def _one_copy_each(models: int, mapped: list[bool], x: Array, model: Array) -> tuple[Array, bool]:
    copies = x if mapped[0] else jnp.broadcast_to(x, (models, *x.shape))
    apart: Array = jax.lax.optimization_barrier(copies)  # type: ignore[no-untyped-call]
    return apart, True


def total_loss(layout: Layout, params: Params, outputs: Array, y: Array, *, share: Array | None = None) -> Array:
    """Data loss plus the L1 and L2 penalties of the weights (not the biases), which Keras reports as ``loss``."""
    loss = data_loss(outputs, y, loss=layout.loss, share=share)
    weights = [params[f"{i}/weight"] for i in range(layout.arch.depth)]
    if layout.optimizer.l1:
        loss = loss + layout.optimizer.l1 * sum(jnp.abs(w).sum() for w in weights)
    if layout.optimizer.l2:
        loss = loss + layout.optimizer.l2 * sum(jnp.square(w).sum() for w in weights)
    return loss


def data_loss(outputs: Array, y: Array, *, loss: LossName, share: Array | None = None) -> Array:
    """The mean over a batch of softmax cross-entropy, or of the squared error's mean over outputs.

    Args:
        outputs: (rows, outputs), logits.
        y: int32 classes (rows,), one-hot for ``mse``; or float32 (rows, outputs).
        loss: Which of the two.
        share: (rows,), each row's share of the mean, 0 for padding; None is 1 / rows each.
    """
    classes = jnp.issubdtype(y.dtype, jnp.integer)
    target = y[:, None] == jnp.arange(outputs.shape[1]) if classes else y
    if loss == "cross_entropy":
        rows = jax.nn.logsumexp(outputs, axis=1) - jnp.where(target, outputs, 0.0).sum(1)
    else:
        rows = jnp.square(outputs - target).mean(1)
    return rows.mean() if share is None else (rows * share).sum()


def _hits(outputs: Array, y: Array, share: Array | None) -> Array:
    """Rows whose largest output is their class, padding left out; NaN for regression."""
    if not jnp.issubdtype(y.dtype, jnp.integer):
        return jnp.full((), jnp.nan, jnp.float32)
    hit = jnp.argmax(outputs, axis=1) == y
    return (hit if share is None else hit & (share > 0)).sum().astype(jnp.float32)
