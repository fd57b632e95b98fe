"""Seeds for calls that give none."""

from __future__ import annotations

from initlab.core.draws.seeding import derived_seed, next_seed


def test_calls_in_a_row_give_different_seeds() -> None:
    assert len({next_seed("row", b"same") for _ in range(100)}) == 100


def test_the_same_state_after_another_repeats_the_sequence() -> None:
    first = [next_seed("repeat", b"one") for _ in range(3)]
    next_seed("repeat", b"two")
    assert [next_seed("repeat", b"one") for _ in range(3)] == first


def test_one_frameworks_calls_do_not_count_for_another() -> None:
    next_seed("a", b"state")
    next_seed("a", b"state")
    assert next_seed("b", b"state") == derived_seed(b"state", 0)


def test_a_seed_is_a_whole_number_to_every_reader_of_json() -> None:
    assert all(0 <= derived_seed(b"state", call) < 2**53 for call in range(1000))
