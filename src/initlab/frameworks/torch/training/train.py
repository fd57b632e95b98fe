"""The trainer of our own networks on PyTorch: plain tensors and indices, no loader, one thread.

Tiny networks train in chunks under ``torch.func``, all others one after another. Every rule is that of
``initlab.frameworks.jax.training.train``: the same batches, the same dropout masks, the same records.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initlab.core.training.batches import dropout_key
from initlab.core.training.checks import chain_of, check_setup, check_start
from initlab.core.training.dataset import Dataset
from initlab.core.training.forward import initial_moments, running
from initlab.core.training.loop import Array, State, train_chunk
from initlab.core.training.outcomes import PROBE_ROWS
from initlab.core.training.protocol import Start, Trained, TrainingSetup
from initlab.frameworks.torch.activations import activation
from initlab.frameworks.torch.training.chunks import chunk_size
from initlab.frameworks.torch.training.objective import weights_of
from initlab.frameworks.torch.training.optim import new_rule
from initlab.frameworks.torch.training.step import Data, Measured, Models, measured, train_epoch
from initlab.frameworks.torch.training.threads import one_thread

__all__ = ["train"]


def train(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, in the same order; a model's bits do not depend on which others are given with it.

    Models train in chunks of one size, ``chunk_size(setup)``; a chunk that is not full is filled up with copies of its
    last model. MKL rounds a matrix product by where in memory it lies, which in a chunk is the model's place, unless it
    was told ``MKL_CBWR=AUTO,STRICT`` before its first product, as the workers of a study are; else models train alone.

    Args:
        setup: Architecture, data, optimiser, budget and what to record.
        starts: Seeds and weights.

    Returns:
        A record for each start. A model whose loss becomes NaN or infinite is ``diverged``: its curves and layers are
        NaN from that epoch on, its predicted classes -1 (outputs NaN).

    Raises:
        ShapeError: Weights or data that do not fit the architecture.
        OptionError: A loss that does not fit the data, or an activation that torch has not.
        UnknownNameError: An unknown activation.

    Example:
        >>> from initlab.core.facts.arch import Mlp
        >>> from initlab.core.training.protocol import Budget, Optimizer
        >>> one = np.ones((1, 1), np.float32)
        >>> data = Dataset("line", one, one, one, one, kind="regression")
        >>> setup = TrainingSetup(Mlp((1, 1), bias=False), data, Optimizer("sgd", 0.25), Budget(2, 1), loss="mse")
        >>> trained = train(setup, [Start(0, {"0/weight": 0 * one})])[0]
        >>> trained.curves["test_loss"].tolist()      # w = 0, then 0.5, then 0.75: the error halves
        [1.0, 0.25, 0.0625]
    """
    check_setup(setup)
    activation(setup.arch.activation)
    for start in starts:
        check_start(setup.arch, start)
    size = chunk_size(setup) if _is_strict() else 1
    results: list[Trained] = []
    with one_thread():
        data = _tensors(setup.dataset)
        for i in range(0, len(starts), size):
            results += train_chunk(
                setup, starts[i : i + size], lambda filled: _Chunk(setup, data, _models(setup, filled)), size=size
            )
    return results


def _is_strict() -> bool:
    """Whether a matrix product's bits do not depend on where its operands lie."""
    strict = os.environ.get("MKL_CBWR", "").upper().endswith(",STRICT")
    return strict or not torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]


@dataclass(eq=False)
class _Chunk:
    """Models that train together, and what was last measured of them."""

    setup: TrainingSetup
    data: Data
    models: Models
    now: Measured | None = None

    def train_epoch(self, orders: Sequence[NDArray[np.int32]], counts: Sequence[int]) -> tuple[Array, Array]:
        seen = self._host(train_epoch(self.setup, self.data, self.models, _stacked(orders).long(), counts))
        return seen[:, 0], seen[:, 1]

    def measure(self) -> State:
        self.now = measured(self.setup, self.data, self.models)
        return State(*(self._host(tensor) for tensor in self.now[:3]))

    def arrays(self) -> list[tuple[Array, Array, Array]]:
        assert self.now is not None
        weights = weights_of(self.setup, self.models.params)
        kinds = zip(weights, self.now.activations, self.now.gradients, strict=True)
        return [(self._host(weight), self._host(a), self._host(gradient)) for weight, a, gradient in kinds]

    def outputs(self) -> Array:
        assert self.now is not None
        return self._host(self.now.outputs)

    def first_weights(self, start: Start) -> Array:
        return self._host(self.models.params["0/weight"])

    def variables(self) -> dict[str, NDArray[Any]]:
        return {name: self._host(held) for name, held in running(self.models.params, self.models.moments).items()}

    def _host(self, tensor: Tensor) -> Array:
        """The numbers with a first axis of models, which one model alone lacks."""
        array: Array = tensor.detach().numpy()
        return array if self.models.chunk > 1 else array[None]


def _models(setup: TrainingSetup, starts: list[Start]) -> Models:
    weights = {p.path: [np.asarray(s.weights[p.path], np.float32) for s in starts] for p in setup.arch.spec().params}
    params = {path: _stacked(arrays) for path, arrays in weights.items()}
    moments = initial_moments(chain_of(setup), lambda n, value: torch.full((n,), value))
    if len(starts) > 1:
        moments = {n: (m.repeat(len(starts), 1), v.repeat(len(starts), 1)) for n, (m, v) in moments.items()}
    keys = _stacked([dropout_key(start.seed).view(np.int32) for start in starts])
    return Models(params, moments, keys, new_rule(setup.optimizer, list(params.values())), len(starts))


def _stacked(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    """A tensor of its own with a first axis of models; without that axis for one model."""
    return torch.from_numpy(np.stack(arrays) if len(arrays) > 1 else arrays[0].copy())


def _tensors(dataset: Dataset) -> Data:
    """The data set's arrays; those that matrix products read at once in memory that torch aligned."""
    kind = np.int64 if dataset.kind == "classification" else np.float32
    x_train, probe, x_test = (
        np.asarray(x, np.float32) for x in (dataset.x_train, dataset.x_train[:PROBE_ROWS], dataset.x_test)
    )
    y_train, y_test = (torch.tensor(np.asarray(y, kind)) for y in (dataset.y_train, dataset.y_test))
    return Data(_shared(x_train), y_train, torch.tensor(probe), torch.tensor(x_test), y_test)


def _shared(array: NDArray[np.generic]) -> Tensor:
    """The array's own memory where torch may write to it, as it never does; a copy of a read-only one."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
