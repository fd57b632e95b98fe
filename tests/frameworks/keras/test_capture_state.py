"""Taps leave a model as it was, also where they refuse it.

``test_backends.py`` runs this file again on the other back ends.
"""

from __future__ import annotations

import math
import random
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.backend.common import global_state

from initlab.core.errors import DataError, InitlabError, OptionError, ShapeError
from initlab.core.signals.readings import Reading
from initlab.frameworks.keras.adapter import KerasAdapter
from initlab.frameworks.keras.reading.parameters import layers_of
from initlab.frameworks.keras.tensors import to_numpy

X = np.random.default_rng(0).standard_normal((5, 6, 2)).astype(np.float32)


def reading_of(*args: Any, **options: Any) -> Reading:
    return KerasAdapter().capture(*args, **options).reading


class Restless(keras.Model):
    """Changes itself and draws from all generators; ``fail`` says where it goes wrong."""

    def __init__(self) -> None:
        super().__init__(name="restless")
        self.conv, self.norm = layers.Conv1D(4, 3, activation="relu", name="conv"), layers.BatchNormalization()
        self.drop, self.out = layers.Dropout(0.5), layers.Dense(2)
        self.noise = keras.random.SeedGenerator(1)
        self.calls, self.fail = 0, ""

    def call(self, x: Any) -> Any:
        self.calls += 1
        x = ops.mean(self.drop(self.norm(self.conv(x))), axis=1)
        x = x + keras.random.normal(ops.shape(x), seed=self.noise)
        x = x + keras.random.uniform(ops.shape(x)) + random.random() + np.random.rand()  # noqa: NPY002
        if self.fail == "raise":
            raise RuntimeError("no")
        x = self.out(x)
        return ops.stop_gradient(x) if self.fail == "detach" else x


def started(fail: str = "") -> keras.Model:
    """A model with running statistics of its own."""
    model = Restless()
    model(X, training=True)
    model.fail = fail
    return model


def global_numbers() -> tuple[bytes, ...]:
    """The states of all generators that a pass could draw from."""
    states = [repr(random.getstate()).encode(), np.random.get_state()[1].tobytes()]  # noqa: NPY002
    if keras.backend.backend() == "torch":
        import torch

        states.append(torch.get_rng_state().numpy().tobytes())
    return tuple(states)


def snapshot(model: keras.Model) -> tuple[object, ...]:
    """All that a pass could change."""
    generator = global_state.get_global_attribute("global_seed_generator")
    return (
        [to_numpy(v.value).tobytes() for v in model.variables],
        [id(v) for v in model.variables],
        [{k: id(v) for k, v in vars(layer).items()} for layer in layers_of(model)],
        [len(layer._inbound_nodes) for layer in layers_of(model)],
        len(model.losses),
        global_numbers(),
        None if generator is None else to_numpy(generator.state.value).tobytes(),
        [keras.Layer.__call__, keras.src.backend.nn.relu, keras.src.backend.cast],
        global_state.get_global_attribute("stateless_scope"),
        dict(global_state.get_global_attribute("object_name_uids") or {}),
    )


@pytest.mark.parametrize("targets", [None, np.array([0, 1, 1, 0, 1])])
def test_a_pass_changes_nothing(targets: object) -> None:
    model = started()
    before, calls = snapshot(model), model.calls
    reading = reading_of(model, X, targets=targets)
    assert snapshot(model) == before
    assert model.calls == calls
    assert reading.gradients["restless/conv/kernel"].square > 0


def test_the_operators_of_tensors_are_the_back_ends_own_afterwards() -> None:
    x = ops.convert_to_tensor(X)
    kind = type(x)
    before = kind.__add__, kind.__getitem__
    reading_of(started(), X)
    assert (kind.__add__, kind.__getitem__) == before


BAD = {
    "a wrong shape": ("", np.zeros((5, 6, 3)), {}, ShapeError, "does not take the batch"),
    "a batch of one": ("", np.zeros((1, 3, 2)), {}, ShapeError, "two samples or more"),
    "NaN": ("", np.full((5, 6, 2), math.nan), {}, DataError, "60 numbers that are NaN or infinite"),
    "an output without gradient": ("detach", X, {}, OptionError, "no gradient passes the model's output"),
    "a call that raises": ("raise", X, {}, ShapeError, "does not take the batch: no"),
    "a loss that is no scalar": ("", X, {"loss": lambda out: out}, OptionError, "no scalar"),
    "a loss that is no tensor": ("", X, {"loss": lambda out: 1.0}, OptionError, "no scalar, it is a float"),
    "a loss without gradient": ("", X, {"loss": lambda o: ops.mean(ops.stop_gradient(o))}, OptionError, "no gradient"),
    "targets of a wrong shape": ("", X, {"targets": np.zeros(4, int)}, ShapeError, "targets of shape"),
    "a class too many": ("", X, {"targets": np.full(5, 2)}, ShapeError, "below 2"),
    "targets of words": ("", X, {"targets": ["a"] * 5}, OptionError, "give numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_changes_nothing_and_says_the_fix_in_a_line(case: str) -> None:
    fail, x, options, kind, said = BAD[case]
    model = started(fail)
    before = snapshot(model)
    with pytest.raises(kind, match=said) as caught:
        reading_of(model, x, **options)
    assert snapshot(model) == before
    assert "\n" not in str(caught.value)
    assert ": " in str(caught.value)


def test_a_loss_that_raises_changes_nothing() -> None:
    model = started()
    before = snapshot(model)
    with pytest.raises(ZeroDivisionError):
        reading_of(model, X, loss=lambda out: 1 / 0)
    assert snapshot(model) == before


def test_a_model_whose_parameters_are_all_frozen_is_refused() -> None:
    model = started()
    model.trainable = False
    with pytest.raises(OptionError, match="all are frozen"):
        reading_of(model, X)


def test_a_model_that_is_not_built_is_refused_and_stays_so() -> None:
    model = keras.Sequential([layers.Dense(2)])
    with pytest.raises(InitlabError, match="is not built: it has no weights yet"):
        reading_of(model, X)
    assert not model.built


def test_a_layer_that_is_called_in_training_alone_must_have_been_built() -> None:
    class Late(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.early, self.late = layers.Dense(2), layers.Dense(2, name="late")

        def build(self, shape: Any) -> None:
            self.early.build(shape)

        def call(self, x: Any, training: bool = False) -> Any:
            x = self.early(x)
            return self.late(x) if training else x

    model = Late()
    model.build(X.shape)
    with pytest.raises(InitlabError, match="the layer 'late' is not built"):
        reading_of(model, X)
    assert not model.late.built
    assert len(model.variables) == 2


def test_a_frozen_batch_norm_takes_a_batch_of_one() -> None:
    model = started()
    model.norm.trainable = False
    kinds = [place.kind for place in reading_of(model, X[:1, :3]).places]
    assert "norm" not in kinds


def test_something_that_is_no_model_is_refused() -> None:
    with pytest.raises(OptionError, match="int is not a Keras model"):
        reading_of(3, X)
