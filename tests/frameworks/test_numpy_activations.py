"""Activations of one's own, of a NumPy function alone, on the arrays of all three frameworks."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from importlib import import_module

import numpy as np
import pytest

from initlab.core.errors import OptionError
from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer, Start, TrainingSetup
from initlab.theory import activation as registered
from initlab.theory import register_activation
from initlab.theory.activations import _DEFINITIONS, ACTIVATIONS

os.environ.setdefault("KERAS_BACKEND", "jax")

FRAMEWORKS = ["torch", "keras", "jax"]
Array = np.ndarray


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    for held in ("_items", "_keys"):
        monkeypatch.setattr(ACTIVATIONS, held, dict(getattr(ACTIVATIONS, held)))
    before = dict(_DEFINITIONS)
    yield
    _DEFINITIONS.clear()
    _DEFINITIONS.update(before)
    for framework in FRAMEWORKS:
        import_module(f"initlab.frameworks.{framework}.activations").activation.cache_clear()


def on(framework: str, call: str) -> Callable[[Array], Array]:
    """The framework's function, of NumPy's arrays."""
    pytest.importorskip(framework)
    room = import_module(f"initlab.frameworks.{framework}.activations")
    function = room.activation(call)
    return lambda values: room.ARRAYS.trial(function, values)


X = np.linspace(-7.0, 6.0, 53, dtype=np.float32)
FORMULAS: dict[str, Callable[[Array], Array]] = {
    "where": lambda x: np.where((x > 0.5) | (x < -2.0), x, 0.3 * np.expm1(x)),
    "clip and powers": lambda x: np.clip(x, -1.5, 2.5) ** 3 - 2.0 * np.square(x) / (1.0 + np.abs(x)),
    "bounds": lambda x: np.maximum(x, 0.25) + np.minimum(0.5, x) * (x <= 1.0),
    "waves": lambda x: np.sin(3.0 * x) * np.exp(-(x**2) / 4.0) + np.arctan(x) - np.sign(x),
    "logarithms": lambda x: np.logaddexp(x, 0.25) + np.log1p(np.abs(x)) - np.sqrt(1.0 + x * x),
    "likes": lambda x: np.full_like(x, 0.75) * x + np.zeros_like(x) - np.ones_like(x),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_of_numpy_functions_gives_the_same_numbers(framework: str, name: str) -> None:
    register_activation("own_test", kinks=())(lambda x: FORMULAS[name](x))
    np.testing.assert_allclose(on(framework, "own_test")(X), FORMULAS[name](X.astype(float)), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_changed_in_place_is_changed(framework: str) -> None:
    @register_activation("in_place_test", kinks=())
    def in_place(x: Array) -> Array:
        y = np.tanh(x)
        z = y
        y *= 3.0
        return y + z

    np.testing.assert_allclose(on(framework, "in_place_test")(X), 6.0 * np.tanh(X), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_options_reach_the_formula(framework: str) -> None:
    register_activation("tilted_test", kinks=(0.0,))(lambda x, *, tilt=0.25: np.maximum(x, tilt * x))
    np.testing.assert_allclose(on(framework, "tilted_test(tilt=0.5)")(X), np.maximum(X, 0.5 * X), rtol=1e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("formula", "why"),
    [
        (lambda x: x if np.all(x > 0) else -x, "numpy.all"),
        (lambda x: x if x > 0 else -x, "numpy.where chooses by entry"),
        (lambda x: np.asarray(x, dtype=float) * 2.0, "makes a NumPy array"),
        (lambda x: np.tanh(x) - x.mean(), "asks its argument for .mean"),
        (lambda x: np.cumsum(x), "numpy.cumsum"),
        (lambda x: np.add.accumulate(x), "each entry alone"),
        (lambda x: x * np.linspace(0.0, 1.0, 97), "no number"),
        (lambda x: 0.5, "whatever the entries are"),
        (lambda x: math.tanh(x), ""),
    ],
)
def test_what_cannot_be_expressed_is_refused_in_a_line_that_says_what_to_give(
    framework: str, formula: Callable[[Array], Array], why: str
) -> None:
    register_activation("odd_test", kinks=())(lambda x: formula(x))
    with pytest.raises(
        OptionError, match=f'has no function for .odd_test.*register it with native={{"{framework}"'
    ) as e:
        on(framework, "odd_test")
    assert why in str(e.value)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_formula_that_gives_other_numbers_there_is_refused(framework: str) -> None:
    def other(x: Array) -> Array:  # what it is given, it tells by its type
        return np.tanh(x) * (1.0 if isinstance(x, np.ndarray) else 1.01)

    register_activation("other_test", kinks=())(other)
    with pytest.raises(OptionError, match=r"f\(.*\) is .* arrays and .* on NumPy's"):
        on(framework, "other_test")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_function_of_the_frameworks_arrays_goes_before_the_formula(framework: str) -> None:
    native = {
        "torch": lambda x, *, s: (x * s).tanh(),
        "jax": lambda x, *, s: import_module("jax.numpy").tanh(x * s),
        "keras": lambda x, *, s: import_module("keras").ops.tanh(x * s),
    }
    register_activation("by_hand_test", kinks=(), native=native)(lambda x, *, s=2.0: np.tanh(np.asarray(x) * s))
    np.testing.assert_allclose(on(framework, "by_hand_test(s=0.5)")(X), np.tanh(0.5 * X), rtol=2e-5, atol=1e-6)
    assert registered("by_hand_test").native_call(framework) is None


ARCH = Mlp((5, 9, 7, 3), activation="bent_test(low=-0.6)")


def shared() -> TrainingSetup:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((60, 5)).astype(np.float32)
    y = np.argmax(x[:, :3], axis=1).astype(np.int32)
    data = Dataset("own", x[:40], y[:40], x[40:], y[40:], class_names=("a", "b", "c"))
    return TrainingSetup(ARCH, data, Optimizer("sgd", 0.3), Budget(6, 8))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2
def test_all_frameworks_train_it_alike() -> None:
    for framework in FRAMEWORKS:
        pytest.importorskip(framework)

    @register_activation("bent_test")
    def bent(x: Array, *, low: float = -1.0) -> Array:
        return np.where(x > low, x + 0.2 * np.sin(x), low + 0.2 * np.sin(low) + 0.1 * (x - low))

    rng = np.random.default_rng(4)
    weights = {p.path: rng.normal(0.0, 0.4, p.shape).astype(np.float32) for p in ARCH.spec().params}
    curves = {}
    for framework in FRAMEWORKS:
        train = import_module(f"initlab.frameworks.{framework}.training.train").train
        (result,) = train(shared(), [Start(5, weights)])
        curves[framework] = np.concatenate([result.curves["train_loss"][1:], result.curves["test_loss"]])
    assert np.ptp(curves["jax"]) > 0.05  # it learned
    np.testing.assert_allclose(curves["torch"], curves["jax"], rtol=2e-5)
    np.testing.assert_allclose(curves["keras"], curves["jax"], rtol=2e-5)
