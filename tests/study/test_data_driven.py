"""Data-driven schemes in a comparison: the same training rows for all of one seed, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.study.tiny_study import dataset as tiny_data
from tests.study.tiny_study import design, trainer
from torch import nn

from initlab.core.errors import OptionError
from initlab.core.facts.arch import Mlp, Norm
from initlab.core.facts.recurrent import Recurrent
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer
from initlab.study.calibration import ROWS, calibration_rows
from initlab.study.own_models import examine
from initlab.study.records import RunSpec
from initlab.study.run import initial_weights, run_study
from initlab.theory import activation

RNG = np.random.default_rng(8)
X = RNG.normal(2.0, 5.0, (700, 6)).astype(np.float32)
DATA = Dataset("custom", X, (X[:, 0] > 0).astype(np.int32), X[:3] * 1e6, np.zeros(3, np.int32), class_names=("n", "y"))


def spec(arch: Mlp | Recurrent, scheme: str = "lsuv", seed: int = 5) -> RunSpec:
    return RunSpec(scheme, "custom", "", arch, Optimizer(), Budget(1, 8), seed=seed)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("residual", [False, True])
def test_every_layer_of_initlabs_own_net_has_std_1_on_its_batch(norm: Norm, residual: bool) -> None:
    arch = Mlp((6, 9, 9, 4), activation="tanh", norm=norm, residual=residual, dropout=0.2)
    run = spec(arch)
    weights = {path: w.astype(np.float64) for path, w in initial_weights(run, DATA).items()}
    h = calibration_rows(run, DATA).astype(np.float64)
    for i in range(3):
        z = h @ weights[f"{i}/weight"].T
        assert z.std(ddof=1) == pytest.approx(1.0, abs=0.01)
        if norm != "none":
            axis = 1 if norm == "layer" else 0
            z = (z - z.mean(axis, keepdims=True)) / np.sqrt(z.var(axis, keepdims=True) + 1e-3)
        h = activation("tanh")(z) + (h if arch.has_skip(i) else 0.0)


def test_the_batch_is_one_of_training_rows_for_all_schemes_of_a_seed() -> None:
    arch = Mlp((6, 4, 2))
    rows = calibration_rows(spec(arch), DATA)
    assert len(np.unique(rows, axis=0)) == ROWS
    assert all((row == X).all(axis=1).any() for row in rows)
    assert np.array_equal(rows, calibration_rows(spec(arch, "lsuv(base=he_normal)"), DATA))
    assert not np.array_equal(rows, calibration_rows(spec(arch, seed=6), DATA))
    others = replace(DATA, x_test=DATA.x_test * 3, y_train=1 - DATA.y_train)
    one, other = initial_weights(spec(arch), DATA), initial_weights(spec(arch), others)
    assert all(np.array_equal(one[path], other[path]) for path in one)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


def test_a_model_of_the_users_own_is_scaled_as_it_is_built_for_its_run() -> None:
    run = replace(spec(Mlp((6, 2)), "lsuv"), arch=examine(net, DATA), framework="torch")
    weights = {path: torch.from_numpy(w) for path, w in initial_weights(run, DATA, net).items()}
    x = torch.from_numpy(calibration_rows(run, DATA))
    first = x @ weights["0/weight"].T
    assert first.std().item() == pytest.approx(1.0, abs=0.01)
    assert (first.relu() @ weights["1/weight"].T).std().item() == pytest.approx(1.0, abs=0.01)


def test_a_study_trains_it_and_one_of_a_recurrent_net_is_refused_before_a_run(tmp_path: Path) -> None:
    records = run_study(design(schemes=("lsuv", "zeros"), seeds=2), tiny_data(), tmp_path, trainer=trainer("fast"))
    assert [record.status for record in records] == ["ok"] * 4
    run = spec(Recurrent(inputs=2, width=4, outputs=2, steps=3))
    with pytest.raises(OptionError, match="a recurrent network"):
        initial_weights(run, DATA)
