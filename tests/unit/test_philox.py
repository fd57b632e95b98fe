"""Philox4x32-10 gives Random123's words, and an element's bits depend on its place alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initlab.core.draws.philox import central, pairs_at, pairs_in_range, pairs_of_blocks, philox4x32_10

# Random123, tests/kat_vectors, the three lines "philox4x32 10": counter, key, output.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
PLACES = st.integers(0, 2**63 - 1)


def hexadecimal(words: str) -> list[int]:
    return [int(word, 16) for word in words.split()]


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_random123_known_answers(counter: str, key: str, output: str) -> None:
    lanes = [np.array([word], np.uint64) for word in hexadecimal(counter)]
    k0, k1 = (np.uint64(word) for word in hexadecimal(key))
    assert [int(word[0]) for word in philox4x32_10(*lanes, k0, k1)] == hexadecimal(output)


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_a_block_holds_two_pairs_and_the_first_word_of_a_pair_is_its_upper_half(
    counter: str, key: str, output: str
) -> None:
    c0, c1, c2, c3 = hexadecimal(counter)
    k0, k1 = hexadecimal(key)
    w0, w1, w2, w3 = hexadecimal(output)
    even, odd = pairs_of_blocks(k0 | k1 << 32, c2 | c3 << 32, np.array([c0 | c1 << 32], np.uint64))
    assert (int(even[0]), int(odd[0])) == (w0 << 32 | w1, w2 << 32 | w3)


@given(index=PLACES)
def test_element_i_owns_the_pair_of_its_parity_in_block_i_over_2(index: int) -> None:
    pair = pairs_at(7, 8, np.array([index], np.int64))
    assert pair == pairs_of_blocks(7, 8, np.array([index // 2], np.uint64))[index % 2]


@given(start=PLACES, n=st.integers(0, 9), key=st.integers(0, 2**64 - 1), high=st.integers(0, 2**64 - 1))
def test_a_range_holds_the_pairs_of_its_places(start: int, n: int, key: int, high: int) -> None:
    start = min(start, 2**63 - 1 - n)
    index = np.array([start + i for i in range(n)], np.int64)
    assert np.array_equal(pairs_in_range(key, high, start, start + n), pairs_at(key, high, index))


@given(pair=st.integers(0, 2**64 - 1))
def test_the_upper_52_bits_of_a_pair_are_the_uniform_number_exactly(pair: int) -> None:
    q = central(np.array([pair], np.uint64))[0]
    k = pair >> 12
    assert int(q * 2.0**53) == 2 * k + 1 - 2**52
    assert abs(q) < 0.5


def test_the_second_word_of_a_counter_is_reached() -> None:
    index = np.array([5, 5 + 2**33, 5 + 2**62], np.int64)
    assert len(set(pairs_at(1, 2, index).tolist())) == 3
