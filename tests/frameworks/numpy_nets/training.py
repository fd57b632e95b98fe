"""Chains trained by the loop of every trainer: initlab's own networks and the user's, by one function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tests.frameworks.numpy_nets.adapter import ADAPTER, followed
from tests.frameworks.numpy_nets.nets import Dense, Values

from initlab.core.adapter import GivenWeights
from initlab.core.errors import UnsupportedError
from initlab.core.training.loop import Array, State, train_chunk
from initlab.core.training.outcomes import PROBE_ROWS, layer_statistics
from initlab.core.training.protocol import Start, Trained, TrainingSetup, UserTrainingSetup
from initlab.frameworks.reading.loss import Goal


def train(setup: TrainingSetup | UserTrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    o = setup.optimizer
    if o.name not in ("sgd", "adam") or o.l1 or o.l2 or o.clip_norm:
        fix = "take plain sgd or adam"
        raise UnsupportedError(f"NumPy nets train by plain sgd and adam, not by {o}", where="optimizer", fix=fix)
    with np.errstate(all="ignore"):  # of a model that diverged
        return [train_chunk(setup, [start], lambda given: _Chunk(setup, given[0]))[0] for start in starts]


class _Chunk:
    def __init__(self, setup: TrainingSetup | UserTrainingSetup, start: Start) -> None:
        is_own = isinstance(setup, UserTrainingSetup)
        self.setup, self.data, self.count = setup, setup.dataset, 0
        self.model = ADAPTER.build_own(setup.build, start.seed)[0] if is_own else ADAPTER.build(setup.arch)
        for param in ADAPTER.describe(self.model).params:
            ADAPTER.write(self.model, param, GivenWeights(start.weights[param.path], param))
        self.m: dict[str, Values] = {}
        self.v: dict[str, Values] = {}

    def train_epoch(self, orders: Sequence[NDArray[np.int32]], counts: Sequence[int]) -> tuple[Array, Array]:
        seen = np.array([self._step(rows[:n]) for rows, n in zip(orders[0], counts, strict=True)], np.float32)
        return seen[None, :, 0], seen[None, :, 1]

    def _step(self, rows: NDArray[np.int32]) -> tuple[float, float]:
        _, loss, hits, by_name = self._followed(self.data.x_train[rows], self.data.y_train[rows])
        self.count += 1
        for name, g in by_name.items():
            i, _, leaf = name.partition(".")
            held = getattr(self.model.steps[int(i)], leaf)
            held -= self._move(name, g).astype(np.float32)
        return loss, hits

    def _move(self, name: str, g: Values) -> Values:
        """A step of gradient descent, or of Adam, as Keras writes it."""
        o = self.setup.optimizer
        if o.name == "sgd":
            return o.learning_rate * g
        self.m[name] = o.beta_1 * self.m.get(name, 0.0) + (1.0 - o.beta_1) * g
        self.v[name] = o.beta_2 * self.v.get(name, 0.0) + (1.0 - o.beta_2) * g**2
        rate = o.learning_rate * np.sqrt(1.0 - o.beta_2**self.count) / (1.0 - o.beta_1**self.count)
        return rate * self.m[name] / (np.sqrt(self.v[name]) + o.epsilon)

    def _followed(self, x: Values, y: Values) -> tuple[list[Values], float, float, dict[str, Values]]:
        """Every value of a batch, its loss, its rows classified right, and the loss's gradient by every parameter."""
        values, is_classes = self.model.values(x), self.data.kind == "classification"
        goal = np.eye(self.data.outputs)[y] if is_classes and self.setup.loss == "mse" else y
        loss, _, gradient = followed(Goal(self.setup.loss, against=goal), values[-1])
        hits = float((values[-1].argmax(1) == y).sum()) if is_classes else np.nan
        return values, loss, hits, self.model.backward(values, gradient)[1]

    def measure(self) -> State:
        tested, loss, hits, _ = self._followed(self.data.x_test, self.data.y_test)
        values, probe_loss, _, by_name = self._followed(self.data.x_train[:PROBE_ROWS], self.data.y_train[:PROBE_ROWS])
        self.tested, self.layers = tested[-1].astype(np.float32), []
        for i, step in enumerate(self.model.steps):
            if isinstance(step, Dense):
                after = values[min(i + 2, len(values) - 1)]  # the activation's, where one follows
                arrays = (step.weight.T, after, by_name[f"{i}.weight"].T)
                self.layers.append(tuple(a.astype(np.float32) for a in arrays))
        layers = np.stack([layer_statistics(*arrays) for arrays in self.layers], axis=1)[None]
        return State(np.array([[loss, hits]], np.float32), np.array([probe_loss], np.float32), layers)

    def arrays(self) -> list[tuple[Array, Array, Array]]:
        return [tuple(a[None] for a in arrays) for arrays in self.layers]

    def outputs(self) -> Array:
        return self.tested[None]

    def first_weights(self, start: Start) -> Array:
        return self.layers[0][0][None]

    def variables(self) -> dict[str, Array]:
        named = {f"{i}/{leaf}": held for i, step in enumerate(self.model.steps) for leaf, held in vars(step).items()}
        return {name: held[None] for name, held in named.items() if isinstance(held, np.ndarray)}
