"""Chains trained by plain loops: initlab's own networks and the user's, by one function."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from tests.frameworks.numpy_nets.adapter import ADAPTER, followed
from tests.frameworks.numpy_nets.nets import Chain, Dense, Values

from initlab.core.adapter import GivenWeights
from initlab.core.errors import UnsupportedError
from initlab.core.training.batches import epoch_order
from initlab.core.training.histograms import chunk_histograms
from initlab.core.training.outcomes import PROBE_ROWS, EpochRecord, trained
from initlab.core.training.protocol import Optimizer, Start, Trained, TrainingSetup, UserTrainingSetup
from initlab.frameworks.reading.loss import Goal


def train(setup: TrainingSetup | UserTrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    o = setup.optimizer
    if o.name not in ("sgd", "adam") or o.l1 or o.l2 or o.clip_norm:
        fix = "take plain sgd or adam"
        raise UnsupportedError(f"NumPy nets train by plain sgd and adam, not by {o}", where="optimizer", fix=fix)
    with np.errstate(all="ignore"):  # of a model that diverged
        return [_train_one(setup, start) for start in starts]


def _train_one(setup: TrainingSetup | UserTrainingSetup, start: Start) -> Trained:
    own = isinstance(setup, UserTrainingSetup)
    model = ADAPTER.build_own(setup.build, start.seed)[0] if own else ADAPTER.build(setup.arch)
    assert isinstance(model, Chain)
    for param in ADAPTER.describe(model).params:
        ADAPTER.write(model, param, GivenWeights(start.weights[param.path], param))
    data, batch, began = setup.dataset, min(setup.budget.batch_size, len(setup.dataset.x_train)), time.perf_counter()
    counts = [min(batch, len(data.x_train) - first) for first in range(0, len(data.x_train), batch)]
    records, step = [_measured(setup, model, 0, [])], _Step(setup, model)
    for epoch in range(1, setup.budget.epochs + 1):
        order = epoch_order(start.seed, epoch, len(data.x_train), batch)
        seen = [step(data.x_train[rows[:n]], data.y_train[rows[:n]]) for rows, n in zip(order, counts, strict=True)]
        records.append(_measured(setup, model, epoch, seen))
        if not np.isfinite(records[-1].losses).all():
            break
    outputs, first = model(data.x_test).astype(np.float32), next(s for s in model.steps if isinstance(s, Dense))
    wall = time.perf_counter() - began
    return trained(setup, records, outputs[None], first.weight.T[None], start=start, model=0, counts=counts, wall=wall)


class _Step:
    """One step of Adam, as Keras writes it, or of gradient descent, on a batch: the loss before it, and the hits."""

    def __init__(self, setup: TrainingSetup | UserTrainingSetup, model: Chain) -> None:
        self.setup, self.model, self.count = setup, model, 0
        self.m: dict[str, Values] = {}
        self.v: dict[str, Values] = {}

    def __call__(self, x: Values, y: Values) -> tuple[float, float]:
        values = self.model.values(x)
        loss, _, gradient = followed(_goal(self.setup, y), values[-1])
        self.count += 1
        for name, g in self.model.backward(values, gradient)[1].items():
            i, _, leaf = name.partition(".")
            held = getattr(self.model.steps[int(i)], leaf)
            held -= self._move(self.setup.optimizer, name, g).astype(np.float32)
        return loss, _hits(self.setup, values[-1], y)

    def _move(self, o: Optimizer, name: str, g: Values) -> Values:
        if o.name == "sgd":
            return o.learning_rate * g
        self.m[name] = o.beta_1 * self.m.get(name, 0.0) + (1.0 - o.beta_1) * g
        self.v[name] = o.beta_2 * self.v.get(name, 0.0) + (1.0 - o.beta_2) * g**2
        rate = o.learning_rate * np.sqrt(1.0 - o.beta_2**self.count) / (1.0 - o.beta_1**self.count)
        return rate * self.m[name] / (np.sqrt(self.v[name]) + o.epsilon)


def _goal(setup: TrainingSetup | UserTrainingSetup, y: Values) -> Goal:
    if setup.loss == "mse" and setup.dataset.kind == "classification":
        y = np.eye(setup.dataset.outputs)[y]
    return Goal(setup.loss, against=y)


def _hits(setup: TrainingSetup | UserTrainingSetup, outputs: Values, y: Values) -> float:
    return float((outputs.argmax(1) == y).sum()) if setup.dataset.kind == "classification" else np.nan


def _measured(
    setup: TrainingSetup | UserTrainingSetup, model: Chain, epoch: int, steps: list[tuple[float, float]]
) -> EpochRecord:
    data, outputs = setup.dataset, model(setup.dataset.x_test)
    values = model.values(data.x_train[:PROBE_ROWS])
    probe_loss, _, gradient = followed(_goal(setup, data.y_train[:PROBE_ROWS]), values[-1])
    by_name, layers = model.backward(values, gradient)[1], []
    for i, step in enumerate(model.steps):
        if isinstance(step, Dense):
            after = values[min(i + 2, len(values) - 1)] if isinstance((*model.steps, 0)[i + 1], str) else values[i + 1]
            layers.append(tuple(a.astype(np.float32) for a in (step.weight.T, after, by_name[f"{i}.weight"].T)))
    bars = chunk_histograms([tuple(a[None] for a in arrays) for arrays in layers], epoch=epoch)
    test = [followed(_goal(setup, data.y_test), outputs)[0], _hits(setup, outputs, data.y_test)]
    seen = np.array(steps, np.float32).reshape(-1, 2)
    numbers = [[m for a in arrays for m in (a.mean(), a.var(), np.linalg.norm(a))] for arrays in layers]
    dead = [np.all(arrays[1] == 0.0, axis=0).mean() for arrays in layers]
    return EpochRecord(
        losses=seen[None, :, 0],
        hits=seen[None, :, 1],
        test=np.array([test], np.float32),
        probe_loss=np.array([probe_loss], np.float32),
        layers=np.array([[*row, share] for row, share in zip(numbers, dead, strict=True)], np.float32).T[None],
        histograms=bars if epoch in setup.histogram_epochs else [],
    )
