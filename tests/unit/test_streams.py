"""Streams are named by seed, purpose and path; their bits are those of BLAKE2b, written out."""

from hashlib import blake2b

import numpy as np
import pytest

from initlab.core.draws.streams import Stream, permutation, stream
from initlab.core.errors import OptionError


def test_the_digest_is_taken_of_four_length_prefixed_fields() -> None:
    fields = (
        bytes.fromhex(
            "0100000000000000 01"  # draw version 1
            "0200000000000000 0001"  # seed 256
            "0700000000000000"  # purpose
        )
        + b"weights"
    )
    fields += bytes.fromhex("0900000000000000") + "ä/weight".encode()
    digest = blake2b(fields, digest_size=16).digest()
    made = stream(256, "ä/weight")
    assert (made.key, made.high) == (int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little"))


def test_frozen_streams_regression() -> None:
    assert (stream(0, "weight").key, stream(0, "weight").high) == (0x293D6A673130262B, 0x43A1767361E9A03E)
    assert (stream(10**40, "0/weight", purpose="batches").key) == 0xBC0D743ECDBECB15


@pytest.mark.parametrize("other", [stream(1, "a"), stream(0, "b"), stream(0, "a", purpose="batches")])
def test_seed_path_and_purpose_each_name_another_stream(other: Stream) -> None:
    assert other != stream(0, "a")


def test_fields_do_not_run_into_each_other() -> None:
    assert stream(0, "b", purpose="a") != stream(0, "ab", purpose="") != stream(0, "", purpose="ab")


def test_numpy_integers_are_seeds() -> None:
    assert stream(np.int64(7), "a") == stream(7, "a")


@pytest.mark.parametrize("seed", [-1, True, np.True_, 1.0, "1", None])
def test_other_seeds_are_refused_in_one_line(seed: object) -> None:
    with pytest.raises(OptionError, match=r"^the seed must be a whole number of 0 or more, got .*$"):
        stream(seed, "a")  # type: ignore[arg-type]


def test_a_path_that_is_no_text_is_refused_in_one_line() -> None:
    with pytest.raises(OptionError, match="not valid Unicode"):
        stream(0, "\ud800")


def test_further_streams_have_the_purpose_with_a_label() -> None:
    assert stream(3, "0/weight").further("1") == stream(3, "0/weight", purpose="weights#1")


def test_a_stream_of_bare_numbers_has_no_further_streams() -> None:
    with pytest.raises(OptionError, match="stream without a name"):
        Stream(1, 2).further("1")


def test_uniforms_are_the_integers_in_the_unit_interval() -> None:
    source = stream(5, "x", purpose="data")
    assert np.array_equal(source.uniforms(100, start=3) * 2.0**52, source.bits(100, start=3) + 0.5)


def test_a_permutation_holds_each_number_once() -> None:
    order = permutation(stream(0, "epoch 1", purpose="batches"), 1000)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(1000))


def test_permutations_of_three_are_equally_likely() -> None:
    n = 6000
    orders = [tuple(permutation(stream(seed, "p", purpose="batches"), 3).tolist()) for seed in range(n)]
    counts = np.array([orders.count(order) for order in sorted(set(orders))])
    assert len(counts) == 6
    assert np.all(np.abs(counts - n / 6) < 5 * np.sqrt(n * 1 / 6 * 5 / 6))


@pytest.mark.parametrize("n", [0, 1])
def test_short_permutations(n: int) -> None:
    assert permutation(stream(0, "p"), n).tolist() == list(range(n))
