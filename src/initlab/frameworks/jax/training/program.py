"""A setup's compiled functions and its data on the device, each made once in a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeAlias, TypeVar

import jax
import numpy as np
from jax import Array

from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import TrainingSetup
from initlab.frameworks.jax.training.chunks import chunk_size
from initlab.frameworks.jax.training.model import Params
from initlab.frameworks.jax.training.step import (
    Data,
    Layout,
    Losses,
    Measured,
    State,
    initial_state,
    measured,
    train_epoch,
)

T = TypeVar("T")
Axes: TypeAlias = tuple[int | None, ...]

# Of the same code, XLA rounds a sum cut among threads otherwise than a sum made by one: one thread, so that a model's
# bits do not depend on the number of cores.
_COMPILER_OPTIONS: dict[str, bool | str] = {"xla_cpu_multi_thread_eigen": False, "xla_cpu_enable_fast_min_max": False}


@dataclass(frozen=True)
class Program:
    """The compiled functions of one layout; each argument and result but the data has a leading axis of models.

    Attributes:
        start: Weights to the state before training.
        epoch: (learning rate, data, dropout keys, orders, state) to the state after an epoch; consumes the state.
        measure: (data, state) to what is recorded.
    """

    start: Callable[[Params], State]
    epoch: Callable[[Array, Data, Array, Array, State], tuple[State, Losses]]
    measure: Callable[[Data, State], Measured]


def layout_of(setup: TrainingSetup) -> Layout:
    """What of a setup decides the compiled code; the learning rate does not."""
    rows = len(setup.dataset.x_train)
    return Layout(
        arch=setup.arch,
        optimizer=replace(setup.optimizer, learning_rate=1.0),
        loss=setup.loss,
        rows=rows,
        batch_size=min(setup.budget.batch_size, rows),
        chunk=chunk_size(setup),
    )


@lru_cache(maxsize=64)
def program(layout: Layout) -> Program:
    """The compiled functions of a layout, over ``layout.chunk`` models."""
    compiled = partial(jax.jit, compiler_options=_COMPILER_OPTIONS)
    over = _mapped if layout.chunk > 1 else _single
    return Program(
        start=compiled(over(partial(initial_state, layout), (0,))),
        epoch=compiled(over(partial(train_epoch, layout), (None, None, 0, 0, 0)), donate_argnums=4),
        measure=compiled(over(partial(measured, layout), (None, 0))),
    )


def _mapped(function: Callable[..., T], axes: Axes) -> Callable[..., T]:
    return jax.vmap(function, in_axes=axes)


def _single(function: Callable[..., T], axes: Axes) -> Callable[..., T]:
    """As ``vmap`` over one model, without the batched matrix products that it makes."""

    def one(*arguments: object) -> T:
        bare = (a if axis is None else jax.tree.map(lambda x: x[0], a) for a, axis in zip(arguments, axes, strict=True))
        lifted: T = jax.tree.map(lambda x: x[None], function(*bare))
        return lifted

    return one


@lru_cache(maxsize=2)
def device_data(dataset: Dataset) -> Data:
    """The data set's arrays on the CPU device, copied there once."""
    kind = np.int32 if dataset.kind == "classification" else np.float32
    arrays = (
        dataset.x_train.astype(np.float32, copy=False),
        dataset.y_train.astype(kind, copy=False),
        dataset.x_test.astype(np.float32, copy=False),
        dataset.y_test.astype(kind, copy=False),
    )
    return Data(*jax.device_put(arrays, cpu()))


def cpu() -> jax.Device:
    """The device that small networks train on, whatever others there are."""
    return jax.devices("cpu")[0]
