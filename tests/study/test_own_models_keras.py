"""The user's own Keras models compared, on the back end that this process has."""

from __future__ import annotations

import random

import numpy as np
import pytest

import initlab

pytest.importorskip("keras")

from tests.study import own_keras_models

from initlab.api.own_models import own_study
from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.arch import Mlp
from initlab.core.training.outcomes import PROBE_ROWS
from initlab.core.training.protocol import Budget, Optimizer, Start, TrainingSetup, UserTrainingSetup
from initlab.frameworks.keras.training.train import train as train_our_own
from initlab.frameworks.keras.user_training import train as own
from initlab.study.design import expand
from initlab.study.run import initial_weights

# Keras 3 converts variables and torch's tensors in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

IRIS = initlab.load_task("iris")
CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def prepared(build, *, epochs: int = 3, data: str = "iris", seeds: int = 1) -> tuple[UserTrainingSetup, list[Start]]:
    made = own_study(build, data, schemes=["he_normal"], seeds=seeds, epochs=epochs)
    specs = expand(made.design, made.dataset)
    setup = UserTrainingSetup(build, made.design.model, made.dataset, Optimizer(), Budget(epochs, 32))
    return setup, [Start(spec.seed, initial_weights(spec)) for spec in specs]


def test_a_network_with_batch_norm_dropout_and_softmax_learns_the_digits(tmp_path):
    result = initlab.compare(
        build=lambda: own_keras_models.digits(),
        data="digits",
        schemes=["he_normal"],
        seeds=1,
        epochs=4,
        learning_rate=0.01,
        out=tmp_path,
    )
    record = result.records[0]
    assert (record.status, record.reason) == ("ok", "")
    assert record.final("test_accuracy") > 0.8
    assert result.design.model.gives == "probabilities"
    assert result.to_dict()["model"]["layers"] == ["sequential/dense", "sequential/dense_1"]
    assert "Sequential: a Keras model with" in (tmp_path / "report.html").read_text()


def test_the_twin_of_our_network_has_its_curves():
    setup, starts = prepared(own_keras_models.twin)
    mine = own.train(setup, starts)[0]
    theirs = train_our_own(TrainingSetup(Mlp((4, 16, 3)), IRIS, setup.optimizer, setup.budget), starts)[0]
    for name in CURVES:
        np.testing.assert_allclose(mine.curves[name], theirs.curves[name], rtol=1e-5, err_msg=name)
    for name in ("weight_var", "activation_var", "gradient_norm", "dead"):
        np.testing.assert_allclose(mine.layers[name], theirs.layers[name], rtol=1e-4, err_msg=name)


def test_a_function_that_gives_an_example_trains_as_one_that_gives_the_model_alone():
    def with_example():
        return own_keras_models.subclassed(), np.zeros((2, 4), np.float32)

    trained = []
    for build in (own_keras_models.subclassed, with_example):
        setup, starts = prepared(build)
        trained.append(own.train(setup, starts)[0])
    assert all(np.array_equal(trained[0].curves[c], trained[1].curves[c], equal_nan=True) for c in CURVES)


def test_an_example_that_does_not_fit_is_refused_in_one_line():
    with pytest.raises(ShapeError, match="the model does not take") as raised:
        prepared(lambda: (own_keras_models.twin(), np.zeros((2, 5), np.float32)))
    assert "\n" not in str(raised.value)


def test_a_run_does_not_depend_on_the_run_before_it():
    setup, starts = prepared(own_keras_models.subclassed, seeds=2)
    both = own.train(setup, starts)
    alone = own.train(setup, starts[1:])[0]
    assert all(np.array_equal(both[1].curves[c], alone.curves[c], equal_nan=True) for c in CURVES)


def test_an_activation_that_is_a_function_is_the_layers_activation():
    setup, starts = prepared(own_keras_models.subclassed, epochs=1)
    trained = own.train(setup, starts)[0]
    norm, mean = (trained.layers[name][0, 0] for name in ("activation_norm", "activation_mean"))
    # Of a ReLU's outputs none is negative, so the mean of 120 * 16 of them is at least their norm by their number.
    assert mean >= norm / (120 * 16) > 0
    assert trained.layers["dead"][0, 0] < 1


@pytest.mark.parametrize(
    ("build", "f"),
    [
        (own_keras_models.silu_written_out, lambda z: z / (1 + np.exp(-z))),
        (own_keras_models.gelu_written_out, lambda z: z / 2 * (1 + np.tanh(0.7978845608 * (z + 0.044715 * z**3)))),
    ],
)
def test_the_activation_of_a_layer_is_what_its_whole_formula_makes(build, f):
    setup, starts = prepared(build, epochs=1)
    trained = own.train(setup, starts)[0]
    (first,) = (w for w in starts[0].weights.values() if w.shape == (16, 4))
    x = np.asarray(IRIS.x_train[:PROBE_ROWS], np.float64)
    made = f(x @ first.T.astype(np.float64))
    assert trained.layers["activation_mean"][0, 0] == pytest.approx(made.mean(), rel=1e-4)
    assert trained.layers["activation_var"][0, 0] == pytest.approx(made.var(), rel=1e-4)


def test_a_run_leaves_the_generators_and_the_counter_of_names_as_they_were():
    from keras.src.backend.common import global_state

    state, names = random.getstate(), dict(global_state.get_global_attribute("object_name_uids") or {})
    setup, starts = prepared(own_keras_models.subclassed, epochs=1)
    own.train(setup, starts)
    assert random.getstate() == state
    now = dict(global_state.get_global_attribute("object_name_uids") or {})
    assert {k: n for k, n in now.items() if k in ("dense", "subclassed")} == {
        k: n for k, n in names.items() if k in ("dense", "subclassed")
    }


def test_a_layer_alone_is_refused():
    import keras

    with pytest.raises(OptionError, match=r"build returned a Dense.*return a keras\.Model"):
        own_study(lambda: keras.layers.Dense(3), "iris")
