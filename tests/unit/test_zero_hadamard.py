"""ZerO: identity where a layer keeps or narrows its width, Hadamard's matrix where it widens, zero at branch ends."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, log2

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import hadamard

from initlab import Axes, Branch, ParamSpec, draw, scheme
from initlab.core.laws import Blocks, Hadamard
from initlab.schemes import SCHEMES

SHAPES = [(7, 7), (5, 12), (13, 6), (9, 1), (16, 15), (33, 17)]


def published(out: int, inputs: int) -> NDArray[np.float64]:
    """Algorithm 1 of arXiv:2110.12661, with the factor of the authors' code, on SciPy's matrix."""
    if out <= inputs:
        return np.eye(out, inputs)
    m = ceil(log2(out))
    return np.eye(out, 2**m) @ (hadamard(2**m) / 2 ** (m / 2)) @ np.eye(2**m, inputs)


def drawn(p: ParamSpec, *, seed: int = 3) -> NDArray[np.float64]:
    return np.asarray(draw(scheme("zero_hadamard")(p), p.shape, seed=seed, path=p.path, dtype="float64"))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_dense_weight_is_the_papers_whatever_the_seed(shape: tuple[int, int]) -> None:
    p = ParamSpec(path="w", shape=shape)
    assert np.abs(drawn(p) - published(*shape)).max() < 1e-15
    assert np.array_equal(drawn(p, seed=4), drawn(p, seed=5))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_convolution_holds_it_at_the_centre_tap(shape: tuple[int, int]) -> None:
    w = drawn(ParamSpec(path="w", shape=(*shape, 3, 5), role="conv"))
    assert np.abs(w[:, :, 1, 2] - published(*shape)).max() < 1e-15
    assert np.count_nonzero(w) == np.count_nonzero(w[:, :, 1, 2])


@pytest.mark.parametrize("shape", [*SHAPES, (40, 39), (64, 5), (100, 77)])
def test_its_rank_is_full(shape: tuple[int, int]) -> None:
    assert np.linalg.matrix_rank(drawn(ParamSpec(path="w", shape=shape))) == min(shape)


@pytest.mark.parametrize("shape", [(13, 6), (9, 1), (33, 17), (6, 13), (12, 5, 3), (21, 10, 2, 2)])
@pytest.mark.parametrize("gain", [1.5, -0.5])
def test_the_law_says_the_moments_and_the_distribution_of_its_entries(shape: tuple[int, ...], gain: float) -> None:
    law = Hadamard(gain)
    w = law.draw(shape, None)
    assert (law.mean(shape), law.std(shape)) == pytest.approx((w.mean(), w.std()), abs=1e-12)
    low, high = law.bounds(shape)
    assert low <= w.min()
    assert w.max() <= high
    for x in (low, low / 2, 0.0, high / 2, high):
        assert law.cdf(x, shape) == pytest.approx(np.mean(w <= x), abs=1e-12)


def test_each_group_block_and_slice_is_one_by_itself() -> None:
    grouped = drawn(ParamSpec(path="w", shape=(12, 4, 1), role="conv", groups=2))[..., 0]
    assert np.abs(grouped - np.concatenate([published(6, 4)] * 2)).max() < 1e-15
    packed = drawn(ParamSpec(path="w", shape=(18, 6), blocks=(6, 12)))
    assert np.abs(packed - np.concatenate([published(6, 6), published(12, 6)])).max() < 1e-15
    stacked = drawn(ParamSpec(path="w", shape=(3, 4, 9), axes=Axes((1,), (2,), (0,))))
    assert np.abs(stacked - published(9, 4).T).max() < 1e-15
    assert isinstance(scheme("zero_hadamard")(ParamSpec(shape=(18, 6), blocks=(6, 12))), Blocks)


def test_a_branch_that_ends_plain_ends_in_zeros_and_another_does_not() -> None:
    last = ParamSpec(path="w", shape=(6, 4), branch=Branch(2, 2, 3, is_last=True))
    assert not drawn(last).any()
    assert last.branch is not None
    for other in (
        replace(last.branch, is_last=False),
        replace(last.branch, f_end="relu"),
        replace(last.branch, is_normed=True),
    ):
        assert np.abs(drawn(replace(last, branch=other)) - published(6, 4)).max() < 1e-15


def test_zero_stays_the_alias_of_zeros() -> None:
    assert SCHEMES.canonical("zero") == SCHEMES.canonical("ZerO") == "zeros"
