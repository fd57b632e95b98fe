"""The dropout masks of the counter hash are as good as independent coins, at five standard errors."""

from functools import partial

import jax
import numpy as np
import pytest

from initlab.core.training.batches import dropout_key
from initlab.frameworks.jax.training.dropout import drop, words

SHAPE, STEPS, RATE = (64, 64), 60, 0.2
SIZE = SHAPE[0] * SHAPE[1]


def masks(seed: int, layer: int) -> np.ndarray:
    """(steps, rows, units): True where a unit is dropped."""
    key = dropout_key(seed)
    steps = np.arange(STEPS, dtype=np.uint32)
    one = jax.jit(jax.vmap(lambda s: drop(np.ones(SHAPE, np.float32), layer, rate=RATE, key=key, step=s)))
    return np.asarray(one(steps)) == 0


@pytest.fixture(scope="module")
def dropped() -> np.ndarray:
    return masks(0, 0)


def correlation_in_standard_errors(a: np.ndarray, b: np.ndarray) -> float:
    x, y = a.ravel() - RATE, b.ravel() - RATE
    return float(abs((x * y).mean()) * np.sqrt(x.size) / (RATE * (1 - RATE)))


def test_the_share_dropped_is_the_rate(dropped: np.ndarray) -> None:
    assert abs(dropped.mean() - RATE) < 5 * np.sqrt(RATE * (1 - RATE) / dropped.size)


def test_every_step_has_the_spread_of_independent_coins(dropped: np.ndarray) -> None:
    per_step = dropped.reshape(STEPS, -1).sum(1)
    z2 = (per_step - SIZE * RATE) ** 2 / (SIZE * RATE * (1 - RATE))
    # A chi-squared variable with STEPS degrees of freedom: mean STEPS, variance 2 STEPS.
    assert abs(z2.sum() - STEPS) < 5 * np.sqrt(2 * STEPS)


def test_every_unit_has_the_spread_of_independent_coins(dropped: np.ndarray) -> None:
    per_unit = dropped.sum(0)
    z2 = (per_unit - STEPS * RATE) ** 2 / (STEPS * RATE * (1 - RATE))
    # Var(z^2) = 2 + (1 - 6 p q) / (n p q) for a binomial count.
    spread = np.sqrt(SIZE * (2 + (1 - 6 * RATE * (1 - RATE)) / (STEPS * RATE * (1 - RATE))))
    assert abs(z2.sum() - SIZE) < 5 * spread


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 16, 32])
def test_neighbours_in_a_row_a_column_and_time_are_uncorrelated(dropped: np.ndarray, lag: int) -> None:
    assert correlation_in_standard_errors(dropped[:, :, lag:], dropped[:, :, :-lag]) < 5
    assert correlation_in_standard_errors(dropped[:, lag:], dropped[:, :-lag]) < 5
    assert correlation_in_standard_errors(dropped[lag:], dropped[:-lag]) < 5


@pytest.mark.parametrize(("seed", "layer"), [(0, 1), (0, 2), (1, 0), (2, 0), (2**64, 0)])
def test_layers_and_seeds_have_masks_of_their_own(dropped: np.ndarray, seed: int, layer: int) -> None:
    assert correlation_in_standard_errors(dropped, masks(seed, layer)) < 5


def test_each_bit_of_a_word_is_a_fair_coin() -> None:
    draw = jax.jit(partial(words, layer=0, shape=(256, 256)))
    drawn = np.asarray(draw(dropout_key(3), np.uint32(17))).ravel()
    ones = np.array([(drawn >> bit & 1).mean() for bit in range(32)])
    assert np.abs(ones - 0.5).max() < 5 * 0.5 / np.sqrt(drawn.size)


def test_what_is_kept_is_scaled_so_that_the_mean_stays() -> None:
    out = np.asarray(drop(np.ones(SHAPE, np.float32), 0, rate=0.75, key=dropout_key(0), step=np.uint32(1)))
    assert set(np.unique(out)) == {0.0, 4.0}
