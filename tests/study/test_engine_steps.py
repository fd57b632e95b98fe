"""The trainer's arithmetic beside NumPy's: losses, gradients, update rules, penalties, clipping."""

from collections.abc import Callable

import numpy as np
import pytest

from initlab.core.facts.arch import Mlp
from initlab.core.training.batches import epoch_order
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer, Start, Trained, TrainingSetup
from initlab.frameworks.jax.training.train import train

ROWS, FEATURES, OUTPUTS, BATCH, EPOCHS, SEED = 20, 3, 2, 8, 3, 7
LAYER = Mlp((FEATURES, OUTPUTS))
RNG = np.random.default_rng(1)
X, X_TEST = RNG.standard_normal((ROWS, FEATURES), np.float32), RNG.standard_normal((9, FEATURES), np.float32)
W, B = RNG.standard_normal((OUTPUTS, FEATURES), np.float32), RNG.standard_normal(OUTPUTS, np.float32)
CLASSES, CLASSES_TEST = (np.int32(x[:, 0] > 0) for x in (X, X_TEST))
PLANES = Dataset("planes", X, CLASSES, X_TEST, CLASSES_TEST, class_names=("left", "right"))
LINE = Dataset("line", X, X[:, :2] ** 2, X_TEST, X_TEST[:, :2] ** 2, kind="regression")

# The gradient of a batch's loss by the outputs, and that loss; both by hand, in float64.
Slope = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float, float]]


def softmax_slope(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float, float]:
    share = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    right = np.arange(len(y)), y
    slope = share.copy()
    slope[right] -= 1
    return slope / len(y), float(-np.log(share[right]).mean()), float((z.argmax(1) == y).mean())


def squares_slope(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float, float]:
    return 2 * (z - y) / z.size, float(((z - y) ** 2).mean()), np.nan


class Adam:
    """Algorithm 1 of arXiv:1412.6980 in the order of its section 2.1, whose epsilon stands beside sqrt(v)."""

    def __init__(self, rate: float, decay: float = 0.0) -> None:
        self.rate, self.decay, self.t, self.m, self.v = rate, decay, 0, 0.0, 0.0

    def __call__(self, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        self.t += 1
        self.m, self.v = 0.9 * self.m + 0.1 * g, 0.999 * self.v + 0.001 * g * g
        rate = self.rate * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        return p - rate * self.m / (np.sqrt(self.v) + 1e-7) - self.rate * self.decay * p


class Momentum:
    """Polyak's heavy ball: v <- 0.9 v - rate g, p <- p + v; with 0 instead of 0.9 plain gradient descent."""

    def __init__(self, rate: float, momentum: float) -> None:
        self.rate, self.momentum, self.v = rate, momentum, 0.0

    def __call__(self, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        self.v = self.momentum * self.v - self.rate * g
        return p + self.v


RULES: dict[str, Callable[[float], Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "sgd": lambda rate: Momentum(rate, 0.0),
    "momentum": lambda rate: Momentum(rate, 0.9),
    "adam": lambda rate: Adam(rate),
    "adamw": lambda rate: Adam(rate, decay=0.004),
}


def by_hand(data: Dataset, slope: Slope, name: str, rate: float) -> dict[str, list[float]]:
    """The curves of one linear layer, with the shuffled batches of ``epoch_order`` and a smaller last batch."""
    w, b = W.astype(float), B.astype(float)
    rules = RULES[name](rate), RULES[name](rate)
    curves: dict[str, list[float]] = {"train_loss": [], "train_accuracy": [], "test_loss": [], "test_accuracy": []}
    for epoch in range(1, EPOCHS + 1):
        order, losses, accuracies = epoch_order(SEED, epoch, ROWS, BATCH).ravel()[:ROWS], [], []
        for rows in (order[:8], order[8:16], order[16:]):
            dz, loss, accuracy = slope(data.x_train[rows] @ w.T + b, data.y_train[rows])
            losses.append(loss * len(rows) / ROWS)
            accuracies.append(accuracy * len(rows) / ROWS)
            w, b = rules[0](w, dz.T @ data.x_train[rows]), rules[1](b, dz.sum(0))
        _, loss, accuracy = slope(data.x_test @ w.T + b, data.y_test)
        for curve, value in zip(curves.values(), (sum(losses), sum(accuracies), loss, accuracy), strict=True):
            curve.append(value)
    return curves


def trained(setup: TrainingSetup, *, w: np.ndarray = W, b: np.ndarray = B) -> Trained:
    weights = {"0/weight": w, "0/bias": b} if setup.arch.bias else {"0/weight": w}
    return train(setup, [Start(SEED, weights)])[0]


def test_softmax_regression_follows_gradient_descent_done_by_hand() -> None:
    ours = trained(TrainingSetup(LAYER, PLANES, Optimizer("sgd", 0.5), Budget(EPOCHS, BATCH)))
    for name, curve in by_hand(PLANES, softmax_slope, "sgd", 0.5).items():
        np.testing.assert_allclose(ours.curves[name][1:], curve, rtol=2e-6, err_msg=name)


@pytest.mark.parametrize("name", RULES)
def test_an_optimizer_follows_its_formula(name: str) -> None:
    ours = trained(TrainingSetup(LAYER, LINE, Optimizer(name, 0.05), Budget(EPOCHS, BATCH), loss="mse"))
    wanted = by_hand(LINE, squares_slope, name, 0.05)
    for curve in ("train_loss", "test_loss"):
        # In float32, 1 - 0.999^t is off by 3e-8 of 1e-3 at the first step: 1.5e-5 of that step.
        np.testing.assert_allclose(ours.curves[curve][1:], wanted[curve], rtol=1.5e-5, err_msg=curve)


def test_a_clipped_step_is_as_long_as_the_norm_allows() -> None:
    arch = Mlp((FEATURES, OUTPUTS), bias=False)
    setup = TrainingSetup(arch, PLANES, Optimizer("sgd", 0.5, clip_norm=1e-3), Budget(1, ROWS))
    ours = trained(setup, w=np.zeros_like(W))
    assert ours.layers["gradient_norm"][0, 0] > 1e-3
    np.testing.assert_allclose(ours.layers["weight_norm"][1, 0], 0.5 * 1e-3, rtol=1e-6)


def test_the_penalties_are_sums_over_weights_without_biases() -> None:
    plain, l1, l2 = (
        trained(TrainingSetup(LAYER, PLANES, Optimizer("sgd", 0.1, **option), Budget(1, ROWS)))
        for option in ({}, {"l1": 0.01}, {"l2": 0.02})
    )
    # One batch holds all rows, so the training loss is that of the weights given.
    for curve, index in (("train_loss", 1), ("test_loss", 0)):
        free = plain.curves[curve][index]
        np.testing.assert_allclose(l1.curves[curve][index], free + 0.01 * np.abs(W).sum(), rtol=1e-6)
        np.testing.assert_allclose(l2.curves[curve][index], free + 0.02 * np.square(W).sum(), rtol=1e-6)


def test_a_zero_initialised_relu_net_learns_its_output_bias_alone() -> None:
    data = Dataset("planes", X, np.int32(np.arange(ROWS) % 4 == 0), X_TEST, CLASSES_TEST, class_names=("a", "b"))
    arch = Mlp((FEATURES, 5, 4, OUTPUTS))
    zeros = {p.path: np.zeros(p.shape, np.float32) for p in arch.spec().params}
    ours = train(TrainingSetup(arch, data, Optimizer("sgd", 2.0), Budget(30, ROWS)), [Start(0, zeros)])[0]
    assert not ours.layers["weight_norm"].any()
    assert set(ours.predictions) == {0}
    # The best that a bias can do is the classes' shares, 3/4 and 1/4: a loss of their entropy.
    np.testing.assert_allclose(ours.curves["train_loss"][-1], -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), rtol=1e-3)


def test_a_batch_larger_than_the_data_is_one_step_of_all_rows() -> None:
    two = [trained(TrainingSetup(LAYER, PLANES, Optimizer("sgd", 0.1), Budget(2, size))) for size in (ROWS, 10 * ROWS)]
    np.testing.assert_array_equal(two[0].curves["train_loss"], two[1].curves["train_loss"])
