"""Fans by role, against numbers counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from initlab.core.errors import ShapeError
from initlab.core.facts.fans import Fans, fans, native_shape
from initlab.core.facts.spec import Axes, ParamSpec

TABLE = [
    ("dense", ParamSpec(shape=(64, 4)), 4, 64),
    ("conv 1-d", ParamSpec(shape=(8, 3, 5), role="conv"), 15, 40),
    ("conv 2-d", ParamSpec(shape=(8, 3, 5, 5), role="conv"), 75, 200),
    ("conv 3-d", ParamSpec(shape=(8, 3, 2, 2, 2), role="conv"), 24, 64),
    ("strided conv", ParamSpec(shape=(8, 3, 4, 4), role="conv", stride=(2, 2)), 48, 128),
    ("grouped conv", ParamSpec(shape=(8, 2, 3, 3), role="conv", groups=4), 18, 18),
    ("depthwise conv", ParamSpec(shape=(256, 1, 3, 3), role="conv", groups=256), 9, 9),
    ("depthwise conv, multiplier 2", ParamSpec(shape=(32, 1, 3, 3), role="conv", groups=16), 9, 18),
    ("transposed, stride 1", ParamSpec(shape=(8, 4, 3, 3), role="conv_transpose"), 36, 72),
    ("transposed, stride 2", ParamSpec(shape=(16, 16, 4, 4), role="conv_transpose", stride=(2, 2)), 64, 256),
    ("transposed, groups 2", ParamSpec(shape=(8, 4, 4), role="conv_transpose", groups=2, stride=(2,)), 8, 16),
    ("query kernel", ParamSpec(shape=(64, 4, 16), axes=Axes((0,), (1, 2))), 64, 64),
    ("output kernel", ParamSpec(shape=(4, 16, 96), axes=Axes((0, 1), (2,))), 64, 96),
    ("stacked experts", ParamSpec(shape=(7, 64, 32), axes=Axes((1,), (2,), batch=(0,))), 64, 32),
    ("einsum with a receptive field", ParamSpec(shape=(3, 64, 32), axes=Axes((1,), (2,))), 192, 96),
]


@pytest.mark.parametrize(("name", "p", "fan_in", "fan_out"), TABLE, ids=[row[0] for row in TABLE])
def test_fans_count_the_terms_of_the_sums(name: str, p: ParamSpec, fan_in: float, fan_out: float) -> None:
    assert fans(p) == Fans(float(fan_in), float(fan_out))


def test_each_packed_block_has_the_fans_of_a_projection_of_its_own() -> None:
    packed = ParamSpec(shape=(192, 64), blocks=(64, 64, 64))
    assert [fans(block) for block in packed.block_specs()] == [Fans(64.0, 64.0)] * 3


def test_transposed_fan_in_is_the_mean_number_of_terms_in_an_output() -> None:
    """Counted on a real 1-d transposed convolution, away from its edges."""
    stride, kernel, length = 2, 4, 50
    terms = np.zeros(length * stride + kernel)
    for i in range(length):
        terms[i * stride : i * stride + kernel] += 1
    interior = terms[kernel : -2 * kernel]
    p = ParamSpec(shape=(1, 1, kernel), role="conv_transpose", stride=(stride,))
    assert fans(p).fan_in == interior.mean()


DIALECT_TABLE = [
    ("torch", ParamSpec(shape=(256, 1, 3, 3), role="conv", groups=256), (256, 1, 3, 3), 9, 2304),
    ("torch", ParamSpec(shape=(8, 4, 3, 3), role="conv_transpose"), (4, 8, 3, 3), 72, 36),
    ("torch", ParamSpec(shape=(1000, 64), role="embedding"), (1000, 64), 64, 1000),
    ("keras", ParamSpec(shape=(8, 3, 5, 5), role="conv"), (5, 5, 3, 8), 75, 200),
    ("keras", ParamSpec(shape=(16, 1, 3, 3), role="conv", groups=16), (3, 3, 16, 1), 144, 9),
    ("keras", ParamSpec(shape=(8, 4, 3, 3), role="conv_transpose"), (3, 3, 8, 4), 72, 36),
    ("jax", ParamSpec(shape=(16, 1, 3, 3), role="conv", groups=16), (3, 3, 1, 16), 9, 144),
    ("jax", ParamSpec(shape=(8, 4, 3, 3), role="conv_transpose"), (3, 3, 4, 8), 36, 72),
    ("keras", ParamSpec(shape=(64, 4, 16), axes=Axes((0,), (1, 2))), (64, 4, 16), 256, 1024),
]


@pytest.mark.parametrize(("dialect", "p", "shape", "fan_in", "fan_out"), DIALECT_TABLE)
def test_a_dialect_counts_on_the_frameworks_own_layout(dialect, p, shape, fan_in, fan_out) -> None:
    assert native_shape(p, dialect) == shape
    assert fans(p, dialect=dialect) == Fans(float(fan_in), float(fan_out))


@pytest.mark.parametrize("shape", [(), (7,)])
def test_rank_below_two_has_no_fans(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="has no fans"):
        fans(ParamSpec(shape=shape))


def test_an_embedding_has_no_fans_of_its_own() -> None:
    with pytest.raises(ShapeError, match="an embedding has no fans"):
        fans(ParamSpec(shape=(1000, 64), role="embedding"))
