"""One loss in three frameworks: the same value, the same prediction, and the same targets refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import initlab
from initlab import Mlp
from initlab.core.errors import ShapeError
from initlab.frameworks import adapter_for
from initlab.probing.profile import Profile

ROWS = np.random.default_rng(1).standard_normal((24, 6)).astype(np.float32)
NUMBERS = np.random.default_rng(2).normal(0.7, 1.3, (24, 3)).astype(np.float32)
NET = Mlp((6, 40, 30, 3), activation="tanh")


def in_torch() -> Any:
    pytest.importorskip("torch")
    from initlab.frameworks.torch import zoo

    return zoo.build_mlp(NET)


def in_keras() -> Any:
    pytest.importorskip("keras")
    from initlab.frameworks.keras import zoo

    return zoo.build_mlp(NET)


def in_jax() -> Any:
    pytest.importorskip("flax")
    from initlab.frameworks.jax import zoo

    return zoo.build_mlp(NET)


MAKERS: dict[str, Callable[[], Any]] = {"torch": in_torch, "keras": in_keras, "jax": in_jax}


def profile(framework: str, targets: np.ndarray[Any, Any]) -> Profile:
    model = MAKERS[framework]()
    initlab.initialize(model, "glorot_normal", seed=3)
    return initlab.probe(model, ROWS, targets)


@pytest.mark.parametrize("framework", MAKERS)
def test_the_squared_error_at_the_start_is_predicted(framework: str) -> None:
    """E (l - y)^2 = E l^2 + E y^2 of an output that knows nothing of its target."""
    found = profile(framework, NUMBERS)
    evidence = found.evidence
    assert evidence.reading.target_square == pytest.approx(np.mean(NUMBERS.astype(np.float64) ** 2), rel=1e-6)
    output = evidence.expected[evidence.reading.outputs[0]].square
    assert evidence.loss == pytest.approx(output + evidence.reading.target_square, rel=1e-12)


def test_the_squared_error_is_one_number_in_all_frameworks() -> None:
    found = [profile(framework, NUMBERS) for framework in MAKERS]
    losses = [one.evidence.reading.loss for one in found]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    expected = [one.evidence.loss for one in found]
    assert expected == pytest.approx([expected[0]] * 3, rel=1e-6)


@pytest.mark.parametrize("framework", MAKERS)
@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_target_that_is_no_class_is_refused_in_one_line(framework: str, wrong: int) -> None:
    classes = np.arange(24) % 3
    classes[5] = wrong
    said = rf"a target is {wrong}, and there are 3 classes \(targets\): give classes from 0 and below 3"
    with pytest.raises(ShapeError, match=said) as caught:
        profile(framework, classes)
    assert "\n" not in str(caught.value)


def test_torch_leaves_out_what_its_cross_entropy_leaves_out_and_says_so() -> None:
    torch = pytest.importorskip("torch")
    classes = np.arange(24) % 3
    classes[[2, 7]] = -100
    found = profile("torch", classes).evidence.reading
    assert "2 of 24 targets are -100 and are left out of the loss" in found.notes
    model = in_torch()
    initlab.initialize(model, "glorot_normal", seed=3)
    wanted = torch.nn.functional.cross_entropy(model(torch.from_numpy(ROWS)), torch.from_numpy(classes))
    assert found.loss == pytest.approx(float(wanted.detach()), rel=1e-6)


@pytest.mark.parametrize("framework", ["keras", "jax"])
def test_frameworks_that_leave_no_class_out_refuse_the_target_that_torch_leaves_out(framework: str) -> None:
    with pytest.raises(ShapeError, match="a target is -100"):
        profile(framework, np.where(np.arange(24) == 2, -100, np.arange(24) % 3))


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_classes_may_stand_on_the_second_axis(framework: str) -> None:
    """(n, classes, places), as torch's cross entropy takes it: 2 classes at 3 places."""
    model = MAKERS[framework]()
    initlab.initialize(model, "glorot_normal", seed=3)
    wide, goal = np.stack([ROWS, ROWS[::-1]], 1), np.arange(72).reshape(24, 3) % 2
    torch = pytest.importorskip("torch")
    outputs = _same_in_torch()(torch.from_numpy(wide)).detach().numpy()
    logs = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
    wanted = -np.take_along_axis(logs, goal[:, None], axis=1).mean()
    assert adapter_for(model).capture(model, wide, targets=goal).reading.loss == pytest.approx(wanted, rel=1e-5)


def _same_in_torch() -> Any:
    model = in_torch()
    initlab.initialize(model, "glorot_normal", seed=3)
    return model


def test_an_activation_layer_of_keras_is_known_in_training_mode() -> None:
    """A layer is told of the mode, its function is not."""
    model = in_keras()
    found = adapter_for(model).capture(model, ROWS)
    assert [place.f for place in found.reading.places if place.kind == "activation"] == ["tanh", "tanh"]
    assert [param.f_in for param in found.spec.params if param.is_weight] == [None, "tanh", "tanh"]
