"""A watch measures the steps of a model's own training and leaves the training as it is.

``test_backends.py`` runs this file again on the other back ends.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import initlab
from initlab.core.errors import InitlabError, OptionError
from initlab.core.signals.readings import Reading
from initlab.frameworks.keras.adapter import KerasAdapter
from initlab.frameworks.keras.tensors import to_numpy

watch = KerasAdapter().watch
X = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)
Y = np.arange(20) % 3
CLASSES = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
JAX, TORCH = (keras.backend.backend() == name for name in ("jax", "torch"))


def reading_of(*args: Any, **options: Any) -> Reading:
    return KerasAdapter().capture(*args, **options).reading


def net(**options: Any) -> keras.Model:
    """Dropout, moving statistics, and a penalty of weights and of outputs; always the same."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, kernel_regularizer="l2", name="first"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.5),
            layers.Dense(3, activity_regularizer="l2", name="last"),
        ],
        name="net",
    )
    return fixed(model, **options)


def fixed(model: keras.Model, **options: Any) -> keras.Model:
    """The model, compiled, on weights that depend on their shapes alone."""
    numbers = np.random.default_rng(2)
    for variable in model.trainable_variables:
        variable.assign(numbers.standard_normal(variable.shape) / 3)
    model.compile(**{"optimizer": keras.optimizers.SGD(0.1, momentum=0.9), "loss": CLASSES, **options})
    return model


def bits(model: keras.Model) -> list[bytes]:
    """All that training changes."""
    return [to_numpy(v.value).tobytes() for v in (*model.variables, *model.optimizer.variables)]


def watched(model: keras.Model, train: Callable[[keras.Model], object], every: int = 1) -> dict[int, Reading]:
    found: dict[int, Reading] = {}
    with watch(model, every=every, on_reading=found.__setitem__):
        train(model)
    return found


def fit(model: keras.Model) -> Any:
    """Two epochs of two steps."""
    keras.utils.set_random_seed(3)
    return model.fit(X, Y, batch_size=10, epochs=2, verbose=0).history


def once(model: keras.Model) -> float:
    """One step; the loss that Keras says it had."""
    keras.utils.set_random_seed(3)
    return float(model.train_on_batch(X[:10], Y[:10], return_dict=True)["loss"])


class Own(keras.Sequential):
    """Counts how often its step is run in Python: for each compilation, or for each step where none is compiled."""

    traces = 0

    def train_step(self, *args: Any) -> Any:
        self.traces += 1
        return super().train_step(*args)


def own(**options: Any) -> keras.Model:
    return fixed(Own([keras.Input((6,)), layers.Dense(3, name="last")], name="own"), **options)


def test_every_nth_step_is_measured_from_the_first_over_all_epochs() -> None:
    assert list(watched(own(), fit, every=3)) == [0, 3]


def test_a_watched_run_has_the_bits_of_an_unwatched_one() -> None:
    plain, ours = net(), net()
    fit(plain)
    assert len(watched(ours, fit, every=2)) == 2
    assert bits(ours) == bits(plain)


def test_training_goes_on_after_a_watch_with_the_bits_of_an_unwatched_run() -> None:
    plain, ours = net(), net()
    fit(plain), fit(plain)
    fit(ours)
    watched(ours, lambda model: None)
    watched(ours, fit)
    assert bits(ours) == bits(plain)


def test_the_loss_is_the_steps_own_with_its_dropout_and_penalties() -> None:
    model, told = net(), []
    found = watched(model, lambda model: told.extend(once(model) for _ in range(3)))
    assert [reading.loss for reading in found.values()] == pytest.approx(told, rel=1e-6)
    assert {reading.loss_kind for reading in found.values()} == {"given"}


def test_the_gradient_is_the_steps_own() -> None:
    model = own(optimizer=keras.optimizers.SGD(1.0))
    before = to_numpy(model.get_layer("last").kernel.value).astype(np.float64)
    found = watched(model, once)
    moved = to_numpy(model.get_layer("last").kernel.value) - before
    assert found[0].gradients["own/last/kernel"].square == pytest.approx(np.mean(moved**2), rel=1e-4)


def test_a_reading_is_handed_over_while_the_weights_are_those_before_the_step() -> None:
    model, seen = net(), []
    weights = [to_numpy(model.get_layer("last").kernel.value).copy()]

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            # Through the callback, Keras puts the weights into the variables first.
            weights.append(np.array(to_numpy(self.model.get_layer("last").kernel.value)))

    with watch(
        model, every=1, on_reading=lambda *_: seen.append(np.array(to_numpy(model.get_layer("last").kernel.value)))
    ):
        model.fit(X, Y, batch_size=10, verbose=0, callbacks=[Keep()])
    assert [np.array_equal(a, b) for a, b in zip(seen, weights[:2], strict=True)] == [True, True]


def test_weights_of_samples_are_weights_of_the_loss() -> None:
    model, told = own(), []
    share = np.linspace(0, 2, 10).astype(np.float32)

    def train(model: keras.Model) -> None:
        told.append(model.train_on_batch(X[:10], Y[:10], sample_weight=share, return_dict=True)["loss"])

    found = watched(model, train)
    assert found[0].loss == pytest.approx(float(told[0]), rel=1e-6)


def test_a_watch_compiles_no_step_anew() -> None:
    plain, ours = own(), own()
    fit(plain)
    watched(ours, fit, every=2)
    assert ours.traces == plain.traces


def test_batches_of_a_generator_of_unknown_length_are_each_trained_on_once() -> None:
    def batches() -> Any:
        yield from ((X[at : at + 5], Y[at : at + 5]) for at in (0, 5, 10))

    def train(model: keras.Model) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras says that the data ran out
            model.fit(batches(), verbose=0)

    plain, ours = own(), own()
    train(plain)
    assert list(watched(ours, train)) == [0, 1, 2]
    assert bits(ours) == bits(plain)


def test_of_steps_that_run_together_the_first_is_measured() -> None:
    if TORCH:
        return  # Keras runs one step at a time there
    plain, ours = net(steps_per_execution=3), net(steps_per_execution=3)
    fit(plain)
    assert list(watched(ours, fit, every=2)) == [0, 3]
    assert bits(ours) == bits(plain)


def test_a_model_that_runs_eagerly_is_watched() -> None:
    plain, ours = own(run_eagerly=True), own(run_eagerly=True)
    once(plain)
    assert list(watched(ours, once)) == [0]
    assert bits(ours) == bits(plain)


def test_losses_of_several_outputs_are_summed_with_their_weights() -> None:
    def two() -> keras.Model:
        x = keras.Input((6,))
        outputs = [layers.Dense(3, name="a")(x), layers.Dense(1, name="b")(x)]
        return fixed(keras.Model(x, outputs), loss=[CLASSES, "mse"], loss_weights=[1.0, 3.0])

    def train(model: keras.Model) -> float:
        return float(model.train_on_batch(X[:10], [Y[:10], X[:10, :1]], return_dict=True)["loss"])

    plain, ours = two(), two()
    wanted = train(plain)
    assert watched(ours, train)[0].loss == pytest.approx(wanted, rel=1e-6)
    assert bits(ours) == bits(plain)


def test_a_loss_of_the_models_own_is_measured() -> None:
    class Guess(keras.Sequential):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
            return 7.0 + ops.mean(ops.square(y_pred))

    model = fixed(Guess([keras.Input((6,)), layers.Dense(2)]), loss=None)
    wanted = float(np.mean(np.square(to_numpy(model(X[:10]))))) + 7
    assert watched(model, once)[0].loss == pytest.approx(wanted, rel=1e-5)


def test_a_step_of_the_models_own_without_a_compiled_loss_is_measured_as_a_capture_does() -> None:
    class Still(keras.Sequential):
        def train_step(self, *args: Any) -> Any:
            return ({}, args[0]) if JAX else {}

    model = fixed(Still([keras.Input((6,)), layers.Dense(3)]), loss=None)
    found = watched(model, lambda model: model.train_on_batch(X[:10], Y[:10]))[0]
    wanted = reading_of(model, X[:10], targets=Y[:10])
    assert (found.loss_kind, found.loss) == ("cross_entropy", pytest.approx(wanted.loss, rel=1e-6))


def test_loss_scaling_of_the_optimiser_is_undone() -> None:
    plain = watched(own(), once)[0]
    scaled = watched(own(optimizer=keras.optimizers.SGD(loss_scale_factor=1024.0)), once)[0]
    assert scaled.loss == pytest.approx(plain.loss, rel=1e-6)
    assert scaled.gradients["own/last/kernel"].square == pytest.approx(
        plain.gradients["own/last/kernel"].square, rel=1e-5
    )


def test_loss_and_gradients_are_divided_by_a_given_scale() -> None:
    plain, found = watched(own(), once)[0], {}
    model = own()
    with watch(model, every=1, on_reading=found.__setitem__, scale=lambda: 4.0):
        once(model)
    assert found[0].loss == plain.loss / 4
    assert found[0].gradients["own/last/bias"].square == plain.gradients["own/last/bias"].square / 16


def test_a_step_that_cannot_be_measured_is_warned_of_and_run() -> None:
    def train(model: keras.Model) -> None:
        keras.utils.set_random_seed(3)
        model.train_on_batch(X[:1], Y[:1])

    plain, ours = net(), net()
    train(plain)
    with pytest.warns(UserWarning, match="step 0 is not measured: a batch norm in training needs more than one value"):
        assert watched(ours, train) == {}
    assert bits(ours) == bits(plain)


def test_numbers_that_are_not_finite_are_counted_and_stop_nothing() -> None:
    broken = X[:10].copy()
    broken[0, 0] = np.nan
    found = watched(own(), lambda model: model.train_on_batch(broken, Y[:10]))
    assert found[0].forward[0].broken == 1


def test_nothing_is_left_of_a_watch() -> None:
    fresh, trained = own(), own()
    fit(trained)
    function, names = trained.train_function, set(vars(trained))
    with watch(fresh, every=1, on_reading=print), watch(trained, every=1, on_reading=print):
        pass
    with pytest.raises(ZeroDivisionError), watch(trained, every=1, on_reading=lambda step, reading: 1 // 0):
        once(trained)
    assert fresh.train_function is None
    assert trained.train_function is function
    assert set(vars(trained)) == names
    assert set(vars(fresh)) <= names


def test_a_model_that_is_compiled_again_inside_is_still_watched() -> None:
    def train(model: keras.Model) -> None:
        once(model)
        model.compile("sgd", CLASSES)
        once(model)

    model = own()
    assert list(watched(model, train)) == [0, 1]
    assert "Held" not in type(model.train_function).__name__


def test_evaluation_and_prediction_are_no_steps() -> None:
    def look(model: keras.Model) -> None:
        model.evaluate(X, Y, verbose=0)
        model.predict(X, verbose=0)
        model(X, training=True)

    assert watched(own(), look) == {}


def test_the_profiles_of_a_watch_are_keyed_by_step_and_name_the_layers() -> None:
    model = own()
    with initlab.watch(model, every=2) as profiles:
        fit(model)
    assert {step: [row.path for row in profile.rows] for step, profile in profiles.items()} == {
        0: ["own/last"],
        2: ["own/last"],
    }


def test_a_model_is_watched_once_at_a_time() -> None:
    model = net()
    first = watch(model, every=1, on_reading=print)
    with first, pytest.raises(OptionError, match="watched already"), watch(model, every=1, on_reading=print):
        pass
    with watch(model, every=1, on_reading=print):
        pass


@pytest.mark.parametrize("every", [0, -1, True, 1.5])
def test_every_is_a_positive_whole_number(every: Any) -> None:
    with pytest.raises(OptionError, match="every"), watch(net(), every=every, on_reading=print):
        pass


def frozen() -> keras.Model:
    model = net()
    model.trainable = False
    return model


BAD = {
    "a layer": (lambda: net().layers[0], OptionError, "watch the model whose fit you call"),
    "a model without weights": (lambda: keras.Sequential([layers.Dense(3)]), InitlabError, "not built"),
    "frozen": (frozen, OptionError, "no parameter takes a gradient"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_watched_is_refused(name: str) -> None:
    make, kind, message = BAD[name]
    with pytest.raises(kind, match=message), watch(make(), every=1, on_reading=print):
        pass
