"""The IDX format, and gzip streams."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from initlab.core.errors import DataError
from initlab.tasks import files
from initlab.tasks.files import gunzipped
from initlab.tasks.idx import decode_idx, encode_idx

ARRAYS = hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4, min_side=0, max_side=5))


@given(ARRAYS)
def test_an_array_comes_back_from_its_file(array: np.ndarray) -> None:
    back = decode_idx(encode_idx(array), where="memory")
    assert back.shape == array.shape
    assert np.array_equal(back, array)


@given(ARRAYS, st.data())
def test_no_part_of_a_file_passes_for_a_whole_one(array: np.ndarray, data: st.DataObject) -> None:
    raw = encode_idx(array)
    with pytest.raises(DataError):
        decode_idx(raw[: data.draw(st.integers(0, len(raw) - 1))], where="memory")


def test_the_header_is_that_of_mnist() -> None:
    # The magic numbers of LeCun's page: 2051 for images, 2049 for labels, both big-endian.
    assert int.from_bytes(encode_idx(np.zeros((2, 28, 28), np.uint8))[:4], "big") == 2051
    assert int.from_bytes(encode_idx(np.zeros(2, np.uint8))[:4], "big") == 2049


@pytest.mark.parametrize("code", [0x09, 0x0B, 0x0C, 0x0D, 0x0E])
def test_entries_of_another_type_are_refused(code: int) -> None:
    with pytest.raises(DataError, match="no IDX file of bytes"):
        decode_idx(bytes([0, 0, code, 1, 0, 0, 0, 1, 7]), where="memory")


def test_a_header_that_promises_exabytes_is_refused_without_making_room_for_them() -> None:
    with pytest.raises(DataError, match="20 bytes where the IDX header"):
        decode_idx(bytes([0, 0, 8, 4]) + b"\xff" * 16, where="memory")


def test_a_stream_that_unpacks_to_more_than_any_data_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LARGEST", 1000)
    assert len(gunzipped(gzip.compress(bytes(1000)), where="memory")) == 1000
    with pytest.raises(DataError, match="unpacks to more than 1000 bytes"):
        gunzipped(gzip.compress(bytes(1001)), where="memory")
