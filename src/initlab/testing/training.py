"""The checks of a framework's trainers, on one small chain and rows of three classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from initlab.api.planning import plan
from initlab.core.adapter import Adapter
from initlab.core.errors import ShapeError, UnsupportedError
from initlab.core.facts.user_model import OwnModel
from initlab.core.training.dataset import Dataset
from initlab.core.training.outcomes import LAYER_METRICS
from initlab.core.training.protocol import Budget, Optimizer, Start, Trained, TrainingSetup, UserTrainingSetup
from initlab.frameworks import FRAMEWORKS
from initlab.testing.chains import CHAIN, batch, cross_entropy, held, sums
from initlab.testing.holding import hold, hold_near, hold_refusal, hold_refused

_Setup: TypeAlias = TrainingSetup | UserTrainingSetup

_BUDGET = Budget(epochs=2, batch_size=7)  # the last batch of an epoch holds 3 of 24 rows


def check_training(adapter: Adapter) -> None:
    """Initlab's own networks train as the records say: from the given weights, alone or together, to the end."""
    _check(adapter, TrainingSetup(CHAIN, _data(), Optimizer("sgd", 0.05), _BUDGET), own=False)


def check_own_training(adapter: Adapter) -> None:
    """The user's models do too, where the framework trains them; what it builds, runs and tells of them holds."""
    data = _data()
    try:
        model, example = adapter.build_own(lambda: adapter.build(CHAIN, seed=3), 5)
    except UnsupportedError as error:
        return hold_refusal(adapter, error)
    hold(example is None, "an example that the function does not give")
    found, wanted = adapter.outputs(model, data.x_test), sums(held(adapter, model), data.x_test)[-1]
    hold_near(found, wanted, "the outputs")
    hold_refused(ShapeError, lambda: adapter.outputs(model, data.x_test[:, :4]), "a batch of other rows")
    wide = replace(CHAIN, widths=(5, 8, 4, 3))
    first, again, other = (
        adapter.digest(adapter.build(arch, seed=seed), _three) for arch, seed in ((CHAIN, 3), (CHAIN, 4), (wide, 3))
    )
    hold(first == again != other, "the digest follows the numbers, or not the structure")
    spec = adapter.describe(model, example=data.x_test)
    arch = OwnModel(adapter.framework, type(model).__name__, spec.params, 3, (5,), digest=first)
    setup = UserTrainingSetup(lambda: adapter.build(CHAIN, seed=3), arch, data, Optimizer("sgd", 0.05), _BUDGET)
    _check(adapter, setup, own=True)


def _check(adapter: Adapter, setup: _Setup, *, own: bool) -> None:
    train: Callable[..., list[Trained]] = FRAMEWORKS[adapter.framework].trainer(own=own)
    hold(FRAMEWORKS[adapter.framework].together(setup)[0] >= 1, "no model trains at a time")
    drawn = plan(CHAIN, "he_normal")
    starts = [Start(s, {path: w.astype(np.float32) for path, w in drawn.draw(s).items()}) for s in (5, 6)]
    both, (alone,) = train(setup, starts), train(setup, starts[1:])
    hold([t.status for t in both] == ["ok", "ok"], "training ends otherwise", [t.reason for t in both])
    for name, curve in alone.curves.items():
        hold(np.array_equal(curve, both[1].curves[name], equal_nan=True), f"{name} depends on the company")
    for start, one in zip(starts, both, strict=True):
        _check_record(setup, start, one)
    (lost,) = train(replace(setup, loss="mse", optimizer=Optimizer("sgd", 1e30)), starts[:1])
    hold(lost.status == "diverged" and bool(lost.diverged_step), "steps of 1e30 do not diverge", lost.status)


def _check_record(setup: _Setup, start: Start, one: Trained) -> None:
    data, epochs = setup.dataset, setup.budget.epochs
    weights = {path: np.asarray(w, np.float64) for path, w in start.weights.items()}
    wanted = cross_entropy(sums(weights, data.x_test)[-1], np.asarray(data.y_test, np.int32))
    hold_near(one.curves["test_loss"][0], wanted, "the loss at the given weights")
    hold(one.curves["train_loss"][-1] < one.curves["train_loss"][1], "the loss did not fall", one.curves)
    curves = {name: curve.shape for name, curve in one.curves.items()}
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    hold(curves == dict.fromkeys(names, (epochs + 1,)), "the curves are others", curves)
    layers = {name: values.shape for name, values in one.layers.items()}
    hold(layers == dict.fromkeys(LAYER_METRICS, (epochs + 1, CHAIN.depth)), "the layers' numbers are others", layers)
    hold_near(one.layers["weight_var"][0, 1], weights["1/weight"].var(), "the variance of the second layer's weights")
    hold(one.predictions.shape == (len(data.x_test),), "a prediction is missing")


def _data() -> Dataset:
    x, y = batch()
    return Dataset("three classes", x, y, x[:10], y[:10], class_names=("a", "b", "c"))


def _three() -> int:
    """A function with a source, as a user's is."""
    return 3
