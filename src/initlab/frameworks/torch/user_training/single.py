"""One module of the user's trained alone: plain tensors and indices, no loader, one thread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from initlab.core.adapter import GivenWeights
from initlab.core.training.batches import dropout_key
from initlab.core.training.loop import Array, State, train_chunk
from initlab.core.training.outcomes import PROBE_ROWS
from initlab.core.training.protocol import Start, Trained, UserTrainingSetup
from initlab.frameworks.torch.training.optim import clipped, new_rule, take_step
from initlab.frameworks.torch.user_training.build import device_of
from initlab.frameworks.torch.user_training.measure import Probe, Probed, layer_numbers, layers_of
from initlab.frameworks.torch.user_training.objective import hits, own_data, ready, total_loss
from initlab.frameworks.torch.writing.parameters import write
from initlab.frameworks.torch.writing.state import seeded

_EVALUATED_ROWS = 1_000


def started(setup: UserTrainingSetup, start: Start) -> nn.Module:
    """The module as built under the start's seed, which decides what the plan keeps, with the start's weights."""
    model = ready(setup, start.build_seed)
    for p in setup.arch.params:
        if p.path in start.weights:
            write(model, p, GivenWeights(start.weights[p.path], p))
    return model


def train_alone(setup: UserTrainingSetup, start: Start) -> Trained:
    """The record of one start; the caller has torch compute on one thread.

    Raises:
        InitlabError: The function builds something else than it did when the study was planned.
    """
    dropping = seeded(int(dropout_key(start.seed)[0]))
    return train_chunk(setup, [start], lambda starts: _Run(setup, starts[0]), around=dropping)[0]


def sees_whole_rows(setup: UserTrainingSetup, start: Start) -> bool:
    """Whether each unit of the first layer sees the whole row, and its weights are the start's."""
    first = setup.arch.weights[0]
    return first.role == "dense" and first.shape[1:] == (setup.dataset.features,) and first.path in start.weights


class _Run:
    """One module in training."""

    outputs_of_test: Tensor
    probed: Probed

    def __init__(self, setup: UserTrainingSetup, start: Start) -> None:
        self.setup, self.model, self.step = setup, started(setup, start), 0
        self.params: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.layers = layers_of(self.model, setup.arch.weights)
        self.data = own_data(setup, device_of(self.model))
        self.probe, self.rule = Probe(self.model, self.layers), new_rule(setup.optimizer, self.params)

    def train_epoch(self, orders: Sequence[NDArray[np.int32]], counts: Sequence[int]) -> tuple[Array, Array]:
        order = torch.from_numpy(orders[0].astype(np.int64)).to(self.data.x_train.device)
        losses, right = [], []
        limit = self.setup.optimizer.clip_norm
        self.model.train()
        for i, count in enumerate(counts):
            rows = order[i, :count]
            y = self.data.y_train.index_select(0, rows)
            outputs = self.model(self.data.x_train.index_select(0, rows))
            loss = self._loss(outputs, y)
            gradients = list(torch.autograd.grad(loss, self.params, allow_unused=True, materialize_grads=True))
            self.step += 1
            with torch.no_grad():
                if limit is not None:
                    gradients = clipped(gradients, norm=limit, stacked=False)
                take_step(self.rule, self.params, gradients, step=self.step)
                right.append(hits(outputs, y))
            losses.append(loss.detach())
        return _host(torch.stack(losses)), _host(torch.stack(right))

    def measure(self) -> State:
        self.outputs_of_test = outputs = self._evaluated()
        with torch.no_grad():
            loss = self._loss(outputs, self.data.y_test)
            right = torch.where(torch.isnan(loss), torch.nan, hits(outputs, self.data.y_test))
        x, y = self.data.x_train[:PROBE_ROWS], self.data.y_train[:PROBE_ROWS]
        self.probed = probed = self.probe(x, lambda given: self._loss(given, y))
        kinds = zip(self.layers, probed.activations, probed.gradients, strict=True)
        rows = [layer_numbers(layer.param, layer.weight.detach(), a, gradient) for layer, a, gradient in kinds]
        layers = torch.stack(rows).cpu().numpy().T[None]
        return State(np.array([[float(loss), float(right)]], np.float32), _host(probed.loss), layers)

    def arrays(self) -> list[tuple[Array, Array, Array]]:
        nothing = torch.full((1,), torch.nan)
        kinds = zip(self.layers, self.probed.activations, self.probed.gradients, strict=True)
        return [(_host(la.weight), _host(nothing if a is None else a), _host(g)) for la, a, g in kinds]

    def outputs(self) -> Array:
        return _host(self.outputs_of_test)

    def first_weights(self, start: Start) -> Array | None:
        return _host(self.layers[0].weight) if sees_whole_rows(self.setup, start) else None

    def variables(self) -> dict[str, Array]:
        return {name: _host(held) for name, held in (*self.model.named_parameters(), *self.model.named_buffers())}

    def _evaluated(self) -> Tensor:
        """The outputs for every test row, in evaluation mode."""
        self.model.eval()
        with torch.no_grad():
            return torch.cat([self.model(rows) for rows in torch.split(self.data.x_test, _EVALUATED_ROWS)])

    def _loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return total_loss(self.setup, [layer.weight for layer in self.layers], outputs, y)


def _host(tensor: Tensor) -> Array:
    """The numbers with a first axis of one model."""
    array: Array = tensor.detach().cpu().float().numpy()
    return array[None]
