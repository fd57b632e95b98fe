"""Seeds for calls that give none, and seeds of any size."""

from __future__ import annotations

import random

import numpy as np
import pytest

from initlab.core.draws.seeding import check_alone, narrowed, seed_of_draw
from initlab.core.errors import OptionError
from initlab.core.generators import global_generators


def test_draws_that_differ_give_seeds_that_differ() -> None:
    assert len({seed_of_draw(bits) for bits in (*range(1000), 2**64 - 1)}) == 1001


def test_a_seed_is_a_whole_number_to_every_reader_of_json() -> None:
    assert all(0 <= seed_of_draw(bits) < 2**53 for bits in (0, 1, 2**63, 2**64 - 1))


@pytest.mark.parametrize("bits", [32, 64])
def test_a_seed_that_fits_a_generator_is_taken_as_it_is_and_a_larger_one_is_hashed(bits: int) -> None:
    assert [narrowed(seed, bits) for seed in (0, 7, 2**bits - 1)] == [0, 7, 2**bits - 1]
    larger = {narrowed(seed, bits) for seed in range(2**bits, 2**bits + 100)}
    assert len(larger) == 100
    assert not larger & set(range(100))
    assert all(0 <= seed < 2**bits for seed in larger)


@pytest.mark.parametrize("seed", [3, 2**32 + 3, 10**30])
def test_a_seed_of_any_size_seeds_the_generators_of_python_and_numpy(seed: int) -> None:
    drawn = []
    for _ in range(2):
        with global_generators(seed):
            drawn.append((random.random(), np.random.random()))  # noqa: NPY002
    assert drawn[0] == drawn[1]


def test_a_process_of_a_group_is_told_to_give_the_seed() -> None:
    check_alone(1)
    with pytest.raises(OptionError, match=r"4 processes .*seed=0"):
        check_alone(4)
