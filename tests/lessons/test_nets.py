"""The lessons' own NumPy nets against finite differences and against the trainer that studies use."""

from __future__ import annotations

import numpy as np
import pytest

from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer, Start, TrainingSetup
from initlab.lessons.nets import backward, drawn, forward, noise, profile
from initlab.lessons.streams import stream_of
from initlab.lessons.training import Descent, Rows, digits, loss_and_accuracy, softmax_pull, train


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("act", ["tanh", "gelu"])
def test_back_propagation_agrees_with_finite_differences(act: str, norm: str) -> None:
    net = Mlp((5, 7, 6, 3), activation=act, norm=norm)  # type: ignore[arg-type]
    weights = {p: w + 0.3 * noise(w.shape, p) for p, w in drawn(net, "lecun_normal").items()}
    x, pull = noise((9, 5), "x"), noise((9, 3), "pull")
    masks = [1.0 + 0.5 * noise((9, width), f"mask {width}") for width in (7, 6)]
    found = backward(net, weights, forward(net, weights, x, masks=masks), pull, masks=masks).weights
    for path, w in weights.items():
        step = 1e-6 * noise(w.shape, f"step {path}")
        ends = [forward(net, {**weights, path: w + sign * step}, x, masks=masks).outputs for sign in (1.0, -1.0)]
        difference = float(((ends[0] - ends[1]) * pull).sum()) / 2.0
        assert float((found[path] * step).sum()) == pytest.approx(difference, rel=1e-5, abs=1e-12), path


def test_the_softmax_pull_is_the_derivative_of_the_cross_entropy() -> None:
    logits, y = noise((8, 4), "logits"), np.arange(8) % 4
    net, step = Mlp((4, 4), bias=False), 1e-6 * noise((8, 4), "step")
    weights = {"0/weight": np.eye(4)}
    ends = [loss_and_accuracy(net, weights, logits + sign * step, y)[0] for sign in (1.0, -1.0)]
    assert float((softmax_pull(logits, y) * step).sum()) == pytest.approx((ends[0] - ends[1]) / 2.0, rel=1e-6)


def test_training_agrees_with_the_studies_own_trainer() -> None:
    from initlab.frameworks.jax.training.train import train as studied

    few, net = digits(), Mlp((64, 16, 10), activation="tanh")
    rows = Rows(few.x_test, few.y_test, few.x_test, few.y_test, few.classes)
    weights, l1, l2 = drawn(net, "glorot_normal", seed=3), 1e-4, 1e-3
    mine = train(net, rows, weights, Descent(rate=0.1, epochs=3, l1=l1, l2=l2, clip=0.7, seed=3))
    x, y = rows.x.astype(np.float32), rows.y.astype(np.int32)
    data = Dataset("digits", x, y, x, y, class_names=tuple("0123456789"))
    optimizer = Optimizer("sgd", 0.1, clip_norm=0.7, l1=l1, l2=l2)
    start = Start(3, {path: w.astype(np.float32) for path, w in weights.items()})
    theirs = studied(TrainingSetup(net, data, optimizer, Budget(3, 32)), [start])[0]
    penalty = sum(
        l1 * np.abs(w).sum() + l2 * (w**2).sum() for path, w in mine.weights.items() if path.endswith("/weight")
    )
    # float32 rounds each of 36 steps to 6e-8.
    assert mine.losses[-1] + penalty == pytest.approx(theirs.curves["test_loss"][-1], rel=1e-5)


def test_the_same_training_twice_gives_the_same_bits() -> None:
    net = Mlp((64, 16, 10))
    runs = [train(net, digits(), drawn(net, "he_normal"), Descent(epochs=2, dropout=0.2)) for _ in range(2)]
    assert runs[0].losses == runs[1].losses


def test_training_leaves_the_weights_it_was_given_as_they_are() -> None:
    net = Mlp((64, 16, 10))
    weights = drawn(net, "he_normal")
    before = {path: w.copy() for path, w in weights.items()}
    train(net, digits(), weights, Descent(epochs=1))
    assert all((weights[path] == before[path]).all() for path in before)


def test_a_loss_that_overflows_is_told_with_its_step() -> None:
    net = Mlp((64, 16, 16, 10))
    run = train(
        net, digits(), {path: 1e160 * w for path, w in drawn(net, "normal(std=1.0)").items()}, Descent(epochs=2)
    )
    assert run.diverged_at == 1
    assert np.isnan(run.losses[1:]).all()
    assert len(run.losses) == 3


def test_a_stream_without_a_skip_path_is_a_plain_chain() -> None:
    bare = stream_of("he_normal", depth=4, skip_scale=0.0, draws=8)
    assert bare.signal[-1] == pytest.approx(1.0, rel=5 * (5 * 4 / 100 / 8) ** 0.5)


@pytest.mark.parametrize("normed", [False, True])
def test_a_streams_gradient_agrees_with_finite_differences(normed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from initlab.lessons import streams

    monkeypatch.setattr(streams, "NORM_EPSILON", 0.0)
    x, pull = noise((2, 6), "inputs"), noise((2, 6), "pull")
    matrices = [noise((6, 6), f"w{i}") / 6**0.5 for i in range(3)]

    def ends(start: np.ndarray) -> float:
        h = start
        for w in matrices:
            unit = (h - h.mean(axis=1, keepdims=True)) / h.std(axis=1, keepdims=True) if normed else h
            h = 0.9 * h + 0.5 * np.tanh(unit) @ w.T
        return float((h * pull).sum())

    steps = 1e-6 * np.eye(12).reshape(12, 2, 6)
    slope = np.array([(ends(x + step) - ends(x - step)) / 2e-6 for step in steps])
    _, gradient = streams._one_stream(matrices, "tanh", 0.5, 0.9, normed, 0, 2)
    assert gradient[0] == pytest.approx(float(np.mean(slope**2)), rel=1e-5)


def test_a_profile_measures_the_variance_that_one_layer_has() -> None:
    means = profile(Mlp((100, 400, 10), activation="relu"), "he_normal", draws=8, rows=50)
    assert means.signal[0] == pytest.approx(2.0, rel=5 * (2 / 50 / 8 / 100 + 2 / 400 / 8) ** 0.5)
    assert means.output[0] == pytest.approx(means.signal[0] / 2, rel=0.05)
    assert means.gradient == (1.0,)
