"""Tables as people have them, under initlab's networks and the user's own; and one output that tells two classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from tests.real_tables import houses, passengers, wines
from torch import nn

from initlab.api.comparison import Comparison, compare
from initlab.core.errors import OptionError, ShapeError

TABLES = {"wine": (wines, {}), "titanic": (passengers, {"target": "Survived"}), "house": (houses, {})}
RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = np.where(X[:, 0] + 0.5 * X[:, 1] > 0.1, "yes", "no")


def lazy(outputs: int) -> nn.Module:
    return nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(outputs))


def layers(outputs: int) -> keras.Model:
    return keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(outputs)])


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("network", [None, lazy, layers], ids=["ours", "torch", "keras"])
def test_a_table_trains_at_first_try(name: str, network: Callable[[int], object] | None, tmp_path: Path) -> None:
    lines, options = TABLES[name]
    path = tmp_path / f"{name}.csv"
    path.write_text("\n".join(lines()))
    outputs = {"wine": 6, "titanic": 1, "house": 1}[name]
    asked = {"seeds": 1, "splits": 1, "epochs": 2, "schemes": ["he_normal"], "jobs": 1, "out": tmp_path / "out"}
    if network is None:
        found = compare(path, **options, **asked)
    else:
        found = compare(build=lambda: network(outputs), data=path, **options, **asked)
    assert [record.status for record in found.records] == ["ok"]
    assert np.isfinite(found.analysis.rows[0].train_loss.mean)
    assert "Fields are separated by" in found.table()


def test_a_small_table_is_compared_on_five_splits_whose_fillings_differ(tmp_path: Path) -> None:
    (tmp_path / "titanic.csv").write_text("\n".join(passengers()))
    found = compare(
        tmp_path / "titanic.csv", target="Survived", schemes=["he_normal"], epochs=1, jobs=1, out=tmp_path / "out"
    )
    assert (found.design.splits, found.design.seeds, found.design.name) == (5, 3, "table-titanic")
    assert len({record.spec.data_digest for record in found.records}) == 5
    assert "titanic.csv --epochs 1 --target Survived" in found.command.replace("--schemes he_normal ", "")


def torch_logit() -> nn.Module:
    return nn.Linear(3, 1)


def torch_probability() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())


class Squeezed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.expit(self.layer(x)).squeeze()


def keras_logit() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


def keras_probability() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])


def compared(build: Callable[[], object], folder: Path, **options: object) -> Comparison:
    asked = {"schemes": ["ones"], "seeds": 1, "epochs": 3, "learning_rate": 0.05, "jobs": 1, "batch_size": 48}
    return compare(build=build, data=(X, Y), out=folder, **{**asked, **options})


@pytest.mark.parametrize(
    ("build", "gives"),
    [
        (torch_logit, "logit"),
        (torch_probability, "probability"),
        (Squeezed, "probability"),
        (keras_logit, "logit"),
        (keras_probability, "probability"),
    ],
)
def test_one_output_for_two_classes_trains_on_the_binary_cross_entropy(
    build: Callable[[], object], gives: str, tmp_path: Path
) -> None:
    """The oracle is plain NumPy: one full batch a step, Adam by its paper."""
    made = Squeezed if build is Squeezed else build
    found = compared(lambda: made(), tmp_path)
    assert found.design.model is not None
    assert found.design.model.gives == gives
    data = found.dataset
    assert data is not None
    x, y = data.x_train.astype(np.float64), data.y_train
    theta, first, second, losses = np.array([1.0, 1, 1, 0]), np.zeros(4), np.zeros(4), []
    rows = np.hstack([x, np.ones((len(x), 1))])
    for step in range(1, 4):
        z = rows @ theta
        losses.append(np.mean(np.logaddexp(0, z) - y * z))
        slope = rows.T @ (1 / (1 + np.exp(-z)) - y) / len(y)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        theta -= 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-7)
    curves = found.records[0].curves
    assert curves["train_loss"][1:] == pytest.approx(losses, rel=1e-4)
    tested = np.hstack([data.x_test, np.ones((len(data.x_test), 1))]) @ theta
    assert curves["test_loss"][-1] == pytest.approx(np.mean(np.logaddexp(0, tested) - data.y_test * tested), rel=1e-4)
    assert curves["test_accuracy"][-1] == pytest.approx(np.mean((tested > 0) == data.y_test))


def test_one_output_is_refused_where_classes_are_three_or_the_loss_is_squared(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="one output tells two classes"):
        compare(build=torch_logit, data=(X, (Y == "yes").astype(int)), loss="mse", out=tmp_path)
    with pytest.raises(ShapeError, match="do not fit 3 classes"):
        compare(build=torch_logit, data=(X, np.arange(60) % 3), out=tmp_path)
