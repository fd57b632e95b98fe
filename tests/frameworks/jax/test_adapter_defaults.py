"""The recipe ``flax`` is what Flax draws unasked: in closed form, and by Kolmogorov and Smirnov's test."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flax import nnx
from scipy import stats

import initlab
from initlab.core.laws import Law
from initlab.frameworks.jax.adapter import ADAPTER

# The std of a standard normal that is cut at 2, by which jax.nn.initializers divides.
CUT = 0.87962566103423978

LAYERS: dict[str, tuple[Callable[[nnx.Rngs], Any], float]] = {
    "dense": (lambda r: nnx.Linear(96, 64, rngs=r), 96),
    "conv": (lambda r: nnx.Conv(8, 32, (3, 3), rngs=r), 72),
    "conv, groups": (lambda r: nnx.Conv(8, 32, (3, 3), feature_group_count=4, rngs=r), 18),
    "general": (lambda r: nnx.LinearGeneral((8, 12), 64, axis=(-2, -1), rngs=r), 96),
}


def drawn(make: Callable[[nnx.Rngs], Any]) -> tuple[Law, tuple[int, ...], np.ndarray]:
    """The law that the recipe has for a layer's weight, its shape, and what Flax itself drew."""
    layer = make(nnx.Rngs(0))
    row = next(row for row in initlab.plan(layer, "flax") if row.param.is_weight)
    assert row.law is not None
    return row.law, row.param.shape, np.asarray(ADAPTER.read(layer, row.param), np.float64)


@pytest.mark.parametrize("name", LAYERS)
def test_flax_draws_kernels_as_lecun_did_cut_at_two_sigma(name: str) -> None:
    make, fan_in = LAYERS[name]
    law, shape, values = drawn(make)
    assert law.std(shape) == pytest.approx(1.0 / math.sqrt(fan_in))
    assert law.bounds(shape)[1] == pytest.approx(2.0 / math.sqrt(fan_in) / CUT)
    assert np.abs(values).max() <= 2.0 / math.sqrt(fan_in) / CUT * (1 + 1e-6)
    assert stats.kstest(values.ravel(), lambda x: law.cdf(x, shape)).pvalue > 1e-6


def test_flax_draws_a_table_by_its_width() -> None:
    law, shape, values = drawn(lambda r: nnx.Embed(200, 64, rngs=r))
    assert law.std(shape) == pytest.approx(1.0 / 8.0)
    assert stats.kstest(values.ravel(), lambda x: law.cdf(x, shape)).pvalue > 1e-6


def test_flax_draws_the_recurrent_kernel_of_a_cell_orthogonal() -> None:
    cell = nnx.SimpleCell(8, 24, rngs=nnx.Rngs(0))
    row = next(row for row in initlab.plan(cell, "flax") if row.param.role == "recurrent")
    theirs = np.asarray(ADAPTER.read(cell, row.param), np.float64)
    initlab.initialize(cell, "flax", seed=1)
    ours = np.asarray(ADAPTER.read(cell, row.param), np.float64)
    for matrix in (theirs, ours):
        assert np.abs(matrix.T @ matrix - np.eye(24)).max() < 1e-5


def test_an_untouched_model_passes_the_audit_of_its_own_defaults() -> None:
    model = nnx.Sequential(nnx.Linear(64, 96, rngs=nnx.Rngs(1)), nnx.relu, nnx.Linear(96, 32, rngs=nnx.Rngs(2)))
    assert initlab.audit(model, "flax").ok
    assert not initlab.audit(model, "keras").ok
