"""What the trainer records: layer statistics, histograms, divergence, errors."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from initlab.core.errors import InitlabError, OptionError, ShapeError, UnknownNameError
from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.histograms import bin_counts
from initlab.core.training.protocol import Budget, Optimizer, Start, Trained, TrainingSetup
from initlab.frameworks.jax.training.train import train

RNG = np.random.default_rng(2)
ROWS = 30
X, X_TEST = RNG.standard_normal((ROWS, 4), np.float32), RNG.standard_normal((11, 4), np.float32)
DATA = Dataset("planes", X, np.int32(X[:, 0] > 0), X_TEST, np.int32(X_TEST[:, 0] > 0), class_names=("a", "b"))
ARCH = Mlp((4, 6, 2))
RECIPE = TrainingSetup(ARCH, DATA, Optimizer("adam", 0.01), Budget(4, 8), histogram_epochs=(0, 4))


def weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {p.path: rng.standard_normal(p.shape, np.float32) for p in ARCH.spec().params}


def same_bits(a: Trained, b: Trained) -> bool:
    pairs = [(a.curves[k], b.curves[k]) for k in a.curves] + [(a.layers[k], b.layers[k]) for k in a.layers]
    return all(x.tobytes() == y.tobytes() for x, y in [*pairs, (a.predictions, b.predictions)])


@pytest.fixture(scope="module")
def healthy() -> Trained:
    return train(RECIPE, [Start(1, weights(1))])[0]


def forward(w: Mapping[str, np.ndarray], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hidden = np.maximum(x @ w["0/weight"].T + w["0/bias"], 0)
    return hidden, hidden @ w["1/weight"].T + w["1/bias"]


def test_layer_statistics_at_the_start_are_numpys(healthy: Trained) -> None:
    w = weights(1)
    hidden, logits = forward(w, X.astype(float))
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    share[np.arange(ROWS), DATA.y_train] -= 1
    slope = share / ROWS
    gradients = ((slope @ w["1/weight"]) * (hidden > 0)).T @ X, slope.T @ hidden
    for layer in (0, 1):
        quantities = {"weight": w[f"{layer}/weight"], "activation": (hidden, logits)[layer]}
        for name, values in {**quantities, "gradient": gradients[layer]}.items():
            for statistic, value in (
                ("mean", values.mean(dtype=float)),
                ("var", values.var(dtype=float)),
                ("norm", np.linalg.norm(values)),
            ):
                found = healthy.layers[f"{name}_{statistic}"][0, layer]
                np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-7, err_msg=f"{name} {statistic} {layer}")


def test_the_test_curve_starts_with_the_given_weights(healthy: Trained) -> None:
    _, logits = forward(weights(1), X_TEST)
    assert healthy.curves["test_accuracy"][0] == pytest.approx((logits.argmax(1) == DATA.y_test).mean(), rel=1e-6)
    assert np.isnan([healthy.curves["train_loss"][0], healthy.curves["train_accuracy"][0]]).all()
    assert np.isfinite(healthy.curves["train_loss"][1:]).all()


def test_dead_is_the_share_of_units_that_are_silent_on_the_whole_probe_batch() -> None:
    given = weights(1)
    given["0/bias"] = np.array([-1e3, 1e3, -1e3, 1e3, 1e3, 1e3], np.float32)
    ours = train(RECIPE, [Start(1, given)])[0]
    np.testing.assert_allclose(ours.layers["dead"][0], [2 / 6, 0])


def test_histograms_come_at_the_chosen_epochs_for_every_layer_and_quantity(healthy: Trained) -> None:
    places = {(h.epoch, h.layer, h.quantity) for h in healthy.histograms}
    assert places == {(e, k, q) for e in (0, 4) for k in "01" for q in ("weight", "activation", "gradient")}
    assert len(healthy.histograms) == len(places)


def test_a_histogram_counts_every_value_between_the_lowest_and_the_highest(healthy: Trained) -> None:
    first = next(h for h in healthy.histograms if (h.epoch, h.layer, h.quantity) == (0, "0", "weight"))
    counts, edges = np.histogram(weights(1)["0/weight"].astype(float), bins=64)
    np.testing.assert_array_equal(first.counts, counts)
    assert (first.low, first.high) == (edges[0], edges[-1])


def test_a_histogram_of_equal_values_is_one_bin() -> None:
    low, high, counts = bin_counts(np.full((1, 9), 3.0, np.float32))
    assert (low[0], high[0], counts[0].max(), counts[0].sum()) == (2.5, 3.5, 9, 9)


def test_values_that_are_not_finite_are_not_counted() -> None:
    _, high, counts = bin_counts(np.array([[0.0, 1.0, np.inf, np.nan]], np.float32))
    assert (high[0], counts.sum()) == (1.0, 2)


@pytest.mark.parametrize(("value", "word"), [(1e30, "nan"), (np.nan, "nan"), (np.inf, "nan")])
def test_a_model_that_starts_broken_diverges_at_its_first_step(value: float, word: str) -> None:
    given = weights(1)
    given["0/weight"] = given["0/weight"] * np.float32(value)
    given["1/weight"] = given["1/weight"] * np.float32(1e30)
    ours = train(RECIPE, [Start(1, given)])[0]
    assert (ours.status, ours.diverged_step) == ("diverged", 1)
    assert ours.reason in (f"loss became {word} at step 1 (epoch 1)", "loss became inf at step 1 (epoch 1)")


def test_a_nan_in_a_hidden_weight_is_not_swallowed_by_relu() -> None:
    given = weights(1)
    given["0/weight"][0, 0] = np.nan
    assert train(RECIPE, [Start(1, given)])[0].status == "diverged"


def test_divergence_ends_the_curves_and_leaves_the_neighbour_bit_for_bit(healthy: Trained) -> None:
    given = weights(2)
    given["0/weight"] *= np.float32(1e20)
    given["1/weight"] *= np.float32(1e20)
    sick, well = train(RECIPE, [Start(2, given), Start(1, weights(1))])
    assert sick.diverged_step is not None
    ended = (sick.diverged_step - 1) // 4 + 1
    assert all(np.isnan(curve[ended:]).all() for curve in (*sick.curves.values(), *sick.layers.values()))
    assert set(sick.predictions) == {-1}
    assert same_bits(well, healthy)


def test_a_huge_learning_rate_diverges_with_its_step_and_epoch() -> None:
    arch = Mlp((4, 6, 6, 2))
    rng = np.random.default_rng(0)
    given = {p.path: rng.standard_normal(p.shape, np.float32) for p in arch.spec().params}
    ours = train(TrainingSetup(arch, DATA, Optimizer("sgd", 1e15), Budget(6, 8)), [Start(1, given)])[0]
    assert ours.status == "diverged"
    assert ours.diverged_step is not None
    epoch = (ours.diverged_step - 1) // 4 + 1
    assert ours.reason.endswith(f"step {ours.diverged_step} (epoch {epoch})")
    assert np.isfinite(ours.curves["train_loss"][1:epoch]).all()


def test_dropout_is_off_at_evaluation(healthy: Trained) -> None:
    dropped = train(replace(RECIPE, arch=replace(ARCH, dropout=0.5)), [Start(1, weights(1))])[0]
    for name in ("test_loss", "test_accuracy"):
        np.testing.assert_allclose(dropped.curves[name][0], healthy.curves[name][0], rtol=1e-6)
    np.testing.assert_allclose(dropped.layers["activation_var"][0], healthy.layers["activation_var"][0], rtol=1e-6)
    assert dropped.curves["train_loss"][1] != healthy.curves["train_loss"][1]


def broken(**change: object) -> TrainingSetup:
    return replace(RECIPE, **change)


@pytest.mark.parametrize(
    ("setup", "error", "text"),
    [
        (broken(arch=Mlp((4, 6, 2), activation="rellu")), UnknownNameError, "Did you mean 'relu'"),
        (broken(arch=Mlp((4, 6, 2), activation="relu(slope=1)")), OptionError, "no option 'slope'"),
        (broken(arch=Mlp((5, 6, 2))), ShapeError, "5 inputs for 4 features"),
        (broken(arch=Mlp((4, 6, 3))), ShapeError, "3 outputs"),
        (broken(arch=Mlp((4, 6, 2), bias=False)), ShapeError, "'0/bias', which the network has not"),
        (broken(arch=Mlp((4, 7, 2))), ShapeError, "not the shape"),
        (broken(arch=Mlp((4, 6, 6, 2))), ShapeError, "not the shape"),
    ],
)
def test_what_does_not_fit_is_one_line(setup: TrainingSetup, error: type[InitlabError], text: str) -> None:
    with pytest.raises(error, match=r"^[^\n]*$") as caught:
        train(setup, [Start(1, weights(1))])
    assert text in str(caught.value)


def test_cross_entropy_of_a_regression_is_refused() -> None:
    line = Dataset("line", X, X[:, :2], X_TEST, X_TEST[:, :2], kind="regression")
    with pytest.raises(OptionError, match="use mse"):
        train(broken(dataset=line), [Start(1, weights(1))])


def test_no_start_gives_no_record() -> None:
    assert train(RECIPE, []) == []
