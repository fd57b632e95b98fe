"""Weights and data varied apart, and the share of the variance that each makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from tests.study.tiny_study import dataset, design
from torch import nn

from initlab.api.comparison import compare
from initlab.core.errors import OptionError
from initlab.study.codec import spec_from_json
from initlab.study.design import expand, with_overrides
from initlab.study.records import RunSpec
from initlab.study.run import initial_weights
from initlab.study.shares import share_of

X = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
Y = (X[:, 0] > 0.2).astype(int)


def specs(vary: str) -> list[RunSpec]:
    return expand(with_overrides(design(seeds=3), schemes=["he_normal"], vary=vary, first_seed=4), dataset())


def test_init_varies_the_weights_alone_and_data_the_batches_alone() -> None:
    for vary, weights, orders in (("init", 3, 1), ("data", 1, 3), ("both", 3, 3)):
        runs = specs(vary)
        assert len({initial_weights(run)["0/weight"].tobytes() for run in runs}) == weights
        assert len({run.order_seed for run in runs}) == orders
        assert [run.seed for run in runs] == [4, 5, 6]


def test_runs_whose_seed_is_whole_keep_their_names_and_others_have_their_own() -> None:
    whole, apart = specs("both")[0], specs("init")[0]
    assert "data_seed" not in whole.to_json()
    assert "init_seed" not in whole.to_json()
    assert replace(apart, data_seed=None).run_id == whole.run_id != apart.run_id
    assert spec_from_json(apart.to_json()) == apart


@pytest.mark.parametrize("truth", [0.0, 0.3, 0.9])
def test_the_share_is_that_of_the_planted_variances(truth: float) -> None:
    rng, hits, found = np.random.default_rng(int(10 * truth) + 1), 0, []
    for _ in range(60):
        weights, other, more = rng.normal(size=(3, 4, 20))
        held = np.sqrt(truth) * weights + 0.3 * more
        free = np.sqrt(truth) * weights + np.sqrt(1 - truth) * other
        share = share_of(held, free, of="init")
        assert share is not None
        found.append(share.share)
        hits += share.low - 1e-9 <= truth <= share.high + 1e-9
    assert np.mean(found) == pytest.approx(truth, abs=0.05)
    assert hits >= 50


def test_no_share_is_told_of_few_seeds_or_of_runs_that_are_all_alike() -> None:
    assert share_of(np.eye(5)[:1], np.eye(5)[:1], of="data") is None
    assert share_of(np.ones((2, 9)), np.ones((2, 9)), of="data") is None


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.Dropout(0.5), nn.Linear(4, 2, bias=False)),
        lambda: keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, use_bias=False),
                keras.layers.Dropout(0.5),
                keras.layers.Dense(2, use_bias=False),
            ]
        ),
    ],
    ids=["torch", "keras"],
)
def test_a_model_of_ones_trains_alike_from_any_weights_and_otherwise_from_other_batches(
    build: Callable[[], object], tmp_path: Path
) -> None:
    """With all weights ones and no biases, runs differ by batches and dropout alone."""
    asked = {"build": build, "data": (X, Y), "schemes": ["ones"], "seeds": 3, "epochs": 2, "jobs": 1}
    for vary, different in (("init", 1), ("data", 3)):
        found = compare(**asked, vary=vary, out=tmp_path / vary)
        ends = {r.final("train_loss") for r in found.records if r.spec.is_held}
        assert len(ends) == different
        assert (len(found.records), len(found.analysis.rows[0].test_accuracy.per_seed)) == (6, 3)
        assert "is not told: it takes 6 seeds that differ." in found.analysis.conclusion


def test_the_conclusion_tells_the_share_and_what_is_not_covered(tmp_path: Path) -> None:
    found = compare("iris", schemes=["glorot_normal"], seeds=6, epochs=3, jobs=1, vary="init", out=tmp_path)
    assert "other weights are covered, other batches, dropout and rows are not." in found.analysis.conclusion
    assert "comes from the weights." in found.analysis.conclusion
    assert found.to_dict()["design"]["vary"] == "init"


def test_seeds_apart_are_refused_where_they_make_no_sense() -> None:
    with pytest.raises(OptionError, match="the split is held"):
        with_overrides(replace(design(seeds=3), task="iris"), splits=3, vary="init")
    with pytest.raises(OptionError, match="unknown vary"):
        with_overrides(design(seeds=3), vary="weights")
    with pytest.raises(OptionError, match="one learning rate"):
        with_overrides(design(seeds=3), vary="data", learning_rates=[0.1, 0.2])
