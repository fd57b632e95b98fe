"""The recall task: what it holds, and that it is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from initlab.core.errors import OptionError
from initlab.tasks import TASKS, load_task


def sequences(data, steps: int, symbols: int) -> np.ndarray:
    return data.x_train.reshape(-1, steps, symbols)


def test_the_first_step_alone_tells_the_class():
    data = load_task("recall", steps=20, symbols=4, noise=0.1)
    by_step = sequences(data, 20, 4)
    # N(0, 0.1^2) takes a 1 below a 0 once in 1e12 draws: the difference has std 0.14.
    assert (by_step[:, 0].argmax(1) == data.y_train).all()
    chance = 1 / 4
    for step in (1, 10, 19):
        hits = np.mean(by_step[:, step].argmax(1) == data.y_train)
        assert abs(hits - chance) < 5 * np.sqrt(chance * (1 - chance) / len(data.y_train))


def test_what_follows_the_first_step_is_noise_of_the_std_asked_for():
    noise = sequences(load_task("recall", steps=50, noise=0.3), 50, 4)[:, 1:]
    assert abs(noise.mean()) < 5 * 0.3 / np.sqrt(noise.size)
    assert abs(noise.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * noise.size)


@pytest.mark.parametrize("symbols", [2, 3, 7])
def test_every_symbol_is_in_as_many_rows_as_any_other_but_for_one(symbols):
    data = load_task("recall", steps=2, symbols=symbols)
    for labels in (data.y_train, data.y_test):
        counts = np.bincount(labels, minlength=symbols)
        assert counts.max() - counts.min() <= 1
    assert data.outputs == symbols


def test_equal_options_give_equal_bits_and_another_seed_gives_others():
    first, again, other = (load_task("recall", steps=5, seed=seed) for seed in (0, 0, 1))
    assert first.digest == again.digest != other.digest
    np.testing.assert_array_equal(first.x_train, again.x_train)


def test_training_and_test_rows_share_no_noise():
    data = load_task("recall", steps=5)
    assert not np.isin(data.x_test[:, 7], data.x_train[:, 7]).any()


def test_the_registry_counts_the_rows_right():
    data = load_task("recall", steps=3)
    assert TASKS["recall"].rows == len(data.x_train) + len(data.x_test)


@pytest.mark.parametrize(
    "option", [{"steps": 1}, {"symbols": 1}, {"steps": 2.5}, {"noise": -1.0}, {"noise": float("nan")}]
)
def test_an_option_out_of_its_range_is_refused(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        load_task("recall", **option)
