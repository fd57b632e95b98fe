"""Models that have shapes only once they are called: an example gives them, and changes nothing else."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest
import torch
from torch import nn

import initlab
from initlab.core.errors import InitlabError, ShapeError
from initlab.frameworks import adapter_for


def torch_lazy() -> nn.Module:
    image = [nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(momentum=0.3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*image, nn.LazyLinear(5), nn.BatchNorm1d(5), nn.Dropout(), nn.LazyLinear(2))


def torch_built() -> nn.Module:
    image = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*image, nn.Linear(64, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 2))


def keras_lazy(*inputs: Any) -> keras.Model:
    layers = keras.layers
    image = [layers.Conv2D(4, 3), layers.BatchNormalization(momentum=0.7), layers.ReLU(), layers.Flatten()]
    rest = [layers.Dense(5), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2)]
    return keras.Sequential([*inputs, *image, *rest])


def keras_built() -> keras.Model:
    return keras_lazy(keras.Input((6, 6, 2)))


IMAGES = np.random.default_rng(3).normal(3.0, 2.0, (3, 2, 6, 6)).astype(np.float32)
CASES = [
    pytest.param(torch_lazy, torch_built, torch.from_numpy(IMAGES), id="torch"),
    pytest.param(keras_lazy, keras_built, IMAGES.transpose(0, 2, 3, 1), id="keras"),
]


@pytest.mark.parametrize(("lazy", "built", "example"), CASES)
def test_an_example_gives_a_lazy_model_its_shapes_and_changes_nothing_else(lazy: Any, built: Any, example: Any) -> None:
    model, twin = lazy(), built()
    adapter = adapter_for(model)
    before = adapter.generator_state(model)
    found = initlab.plan(model, "he_normal", example=example)
    assert adapter.generator_state(model) == before
    assert [(row.param.path, row.param.shape, row.law) for row in found] == [
        (row.param.path, row.param.shape, row.law) for row in initlab.plan(twin, "he_normal", example=example)
    ]
    found.apply(7)
    initlab.initialize(twin, "he_normal", seed=7, example=example)
    ours, theirs = adapter.state(model), adapter.state(twin)
    assert [np.array_equal(a, b) for a, b in zip(ours.values(), theirs.values(), strict=True)] == [True] * len(ours)
    assert getattr(model, "training", True)


@pytest.mark.parametrize(("lazy", "built", "example"), CASES)
def test_a_lazy_model_without_an_example_is_told_to_give_one(lazy: Any, built: Any, example: Any) -> None:
    with pytest.raises(InitlabError, match=r"give example=") as refused:
        initlab.plan(lazy())
    assert "\n" not in str(refused.value)


def test_an_example_that_a_lazy_model_does_not_take_leaves_it_lazy() -> None:
    model = torch_lazy()
    with pytest.raises(ShapeError, match="does not take the example"):
        initlab.plan(model, example=torch.ones(3, 7))
    with pytest.raises(ShapeError, match="does not take the example"):  # three layers take it
        initlab.plan(nn.Sequential(model, nn.Linear(3, 2)), example=torch.from_numpy(IMAGES))
    assert all(nn.parameter.is_lazy(p) for p in (model[0].weight, model[1].running_mean, model[4].weight))
    assert initlab.plan(model, example=torch.from_numpy(IMAGES))["4.weight"].param.shape == (5, 64)


def test_a_part_that_the_example_does_not_reach_is_named() -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.LazyLinear(3), nn.LazyLinear(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.used(x))

    with pytest.raises(InitlabError, match=r"no shape yet \(spare.weight\)"):
        initlab.plan(Spare(), example=torch.ones(2, 5))


def test_a_batch_gives_a_probe_the_shapes_and_a_model_without_memory_gets_them_too() -> None:
    assert len(initlab.probe(torch_lazy(), torch.from_numpy(IMAGES)).rows) == 3
    with torch.device("meta"):
        model = torch_lazy()
    initlab.materialize(model, "he_normal", seed=7, example=torch.from_numpy(IMAGES))
    twin = initlab.initialize(torch_built(), "he_normal", seed=7, example=torch.from_numpy(IMAGES))
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True))
