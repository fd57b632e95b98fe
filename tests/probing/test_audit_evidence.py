"""The tests of one tensor: what they let pass, what they find, and how often they are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from initlab.auditing.evidence import Level, Miss, family_wise, misses
from initlab.auditing.grids import GRIDS, GridName, Values, grid_of
from initlab.auditing.likeness import looks_like, nearest_law
from initlab.auditing.measures import excess_kurtosis
from initlab.core.facts.spec import Axes, ParamSpec
from initlab.core.laws import (
    Arranged,
    Blocks,
    Constant,
    DeltaOrthogonal,
    Dirac,
    Identity,
    Law,
    Normal,
    Orthogonal,
    Sparse,
    TruncatedNormal,
    Uniform,
)
from initlab.core.laws.draw import draw


def found(values: Values, law: Law, errors: float = 4.0) -> list[Miss]:
    return misses(values, law, grid=grid_of(values), level=Level(errors))


def kinds(values: Values, law: Law) -> set[str]:
    return {miss.kind for miss in found(values, law)}


HEALTHY = [
    (Normal(0.02), (300, 40)),
    (Normal(0.02, 1.0), (7,)),
    (Uniform(-0.1, 0.1), (300, 40)),
    (Uniform(0.0, 1.0), (5, 5)),
    (TruncatedNormal(0.02), (300, 40)),
    (Constant(0.1), (30,)),
    (Orthogonal(1.4), (64, 32)),
    (Orthogonal(0.01), (3, 64)),
    (Orthogonal(), (1, 1)),
    (DeltaOrthogonal(2.0), (16, 16, 3, 3)),
    (Identity(), (8, 4)),
    (Dirac(), (8, 8, 3)),
    (Sparse(0.9, 0.01), (40, 100)),
    (Blocks((Orthogonal(),) * 4, (16,) * 4), (64, 16)),
    (Blocks((Normal(0.1), Constant(1.0)), (5, 5)), (10, 20)),
    (Arranged(Orthogonal(), Axes(inputs=(1,), outputs=(2,), batch=(0,))), (3, 16, 16)),
    (Arranged(Uniform(-1.0, 1.0), Axes(inputs=(0,), outputs=(1, 2))), (16, 4, 8)),
]


@pytest.mark.parametrize(("law", "shape"), HEALTHY, ids=lambda value: str(value))
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_draw_passes_for_its_own_law_in_every_type(law: Law, shape: tuple[int, ...], dtype: str) -> None:
    for seed in range(3):
        values = draw(law, shape, seed=seed, dtype=dtype)
        read = values.astype(np.float64 if dtype == "float64" else np.float32)
        assert found(read, law, 4.5) == []


def test_uniform_is_told_from_normal_of_the_same_std() -> None:
    values = draw(Uniform(-math.sqrt(3.0), math.sqrt(3.0)), (64, 64), seed=0)
    assert kinds(values, Normal(1.0)) == {"family"}
    assert kinds(draw(Normal(1.0), (64, 64), seed=0), Uniform(-math.sqrt(3.0), math.sqrt(3.0))) >= {"bounds", "family"}


def test_normal_numbers_are_outside_the_cut_of_a_declared_truncation() -> None:
    std = TruncatedNormal(0.02).std((1,))
    assert "bounds" in kinds(draw(Normal(std), (100, 100), seed=0), TruncatedNormal(0.02))


def test_a_std_off_by_3_percent_is_found_among_a_million_entries_and_not_among_a_hundred() -> None:
    assert kinds(draw(Normal(1.03), (1000, 1000), seed=0), Normal(1.0)) == {"std"}
    assert kinds(draw(Normal(1.03), (10, 10), seed=0), Normal(1.0)) == set()


def test_one_broken_block_of_packed_orthogonal_weights_is_named() -> None:
    law = Blocks((Orthogonal(),) * 3, (16,) * 3)
    values = draw(law, (48, 16), seed=0)
    values[20] *= 1.5
    assert [(miss.kind, miss.words.split(":")[0]) for miss in found(values, law)] == [("orthogonality", "block 1")]


def test_the_identity_is_orthogonal_but_no_random_orthogonal_matrix() -> None:
    assert kinds(np.eye(64), Orthogonal()) == {"family"}


def test_a_changed_number_of_zeros_is_found() -> None:
    law = Sparse(0.9, 0.01)
    values = draw(law, (40, 100), seed=0)
    values[7, int(np.flatnonzero(values[7])[0])] = 0.0
    assert [miss.words for miss in found(values, law)] == ["90 to 91 zeros a unit, declared 90 of 100"]


def test_one_wrong_entry_of_a_constant_is_found() -> None:
    values = np.ones(100, np.float32)
    values[3] = 0.999
    assert found(values, Constant(1.0))[0].words == "1 of 100 entries are not constant 1, e.g. 0.999 for 1"


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_found(number: float) -> None:
    values = draw(Normal(1.0), (10, 10), seed=0)
    values[0, 0] = number
    assert kinds(values, Normal(1.0)) == {"not finite"}


def test_an_empty_tensor_misses_nothing() -> None:
    assert found(np.zeros((0, 5)), Normal(1.0)) == []


def test_values_near_the_largest_float_are_no_error() -> None:
    assert "std" in kinds(np.full((4, 4), 1e308) * np.eye(4), Normal(0.02))


@pytest.mark.parametrize("law", [Normal(1.0), Uniform(-1.0, 1.0), TruncatedNormal(1.0)], ids=str)
@pytest.mark.parametrize("n", [3, 20, 60, 400])
def test_a_healthy_tensor_fails_no_more_often_than_the_level_says(law: Law, n: int) -> None:
    errors, runs = 2.5, 1500
    draws = draw(law, (runs, n), seed=n)
    failed = {"mean": 0, "std": 0, "family": 0, "bounds": 0}
    for values in draws:
        for miss in misses(values, law, grid=GRIDS["float32"], level=Level(errors)):
            failed[miss.kind] += 1
    chance = math.erfc(errors / math.sqrt(2.0))
    allowed = runs * chance + 5.0 * math.sqrt(runs * chance)
    assert max(failed.values()) <= allowed
    assert failed["bounds"] == 0


def test_the_level_of_many_tests_is_bonferronis() -> None:
    tests = 3 * 148
    errors = family_wise(4.0, tests, chance=5e-4)
    assert tests * math.erfc(errors / math.sqrt(2.0)) == pytest.approx(5e-4)


@pytest.mark.parametrize(
    ("law", "value"), [(Normal(1.0), 0.0), (Uniform(0.0, 1.0), -1.2), (TruncatedNormal(1.0), -0.634)]
)
def test_the_excess_kurtosis_is_that_of_a_large_sample(law: Law, value: float) -> None:
    n = 200_000
    x = draw(law, (n,), seed=1, dtype="float64")
    z = (x - law.mean((n,))) / law.std((n,))
    error = float(np.std(z**4)) / math.sqrt(n)
    assert excess_kurtosis(law) == pytest.approx(value, abs=1e-3)
    assert abs(float(np.mean(z**4)) - 3.0 - excess_kurtosis(law)) < 5.0 * error


def test_rounding_is_to_the_nearest_bfloat16_and_ties_go_to_even() -> None:
    grid = GRIDS["bfloat16"]
    step = 2.0**-7  # the distance of bfloat16 numbers in [1, 2)
    x = np.array([1.0 + 0.49 * step, 1.0 + 0.5 * step, 1.0 + 1.5 * step, -1.0 - 0.51 * step, 0.0])
    assert grid.rounded(x).tolist() == [1.0, 1.0, 1.0 + 2 * step, -1.0 - step, 0.0]


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_the_upper_edge_is_where_rounding_goes_to_the_next_number(name: GridName) -> None:
    grid = GRIDS[name]
    x = grid.rounded(np.array([-3.3, -1.0, -1e-3, 0.0, 1e-3, 0.7, 1.0, 250.0]))
    half = grid.upper_edges(x) - x
    assert (grid.rounded(x + 0.99 * half) == x).all()
    assert (grid.rounded(x + 1.01 * half) > x).all()


# What numbers look like


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (Uniform(-1 / math.sqrt(200), 1 / math.sqrt(200)), "looks like torch's default, kaiming_uniform(a=sqrt(5))"),
        (Normal(math.sqrt(2.0 / 200)), "looks like he_normal"),
        (Normal(0.02), "looks like normal(std=0.02)"),
        (Uniform(-math.sqrt(6 / 264), math.sqrt(6 / 264)), "looks like Keras' default, glorot_uniform"),
        (TruncatedNormal.with_std(1 / math.sqrt(200)), "looks like Flax' default, lecun_normal cut at 2 sigma"),
        (Orthogonal(1.5), "orthogonal, gain 1.5"),
        (Constant(0.0), "all zero"),
        (Constant(0.5), "constant 0.5"),
        (Normal(1e20), None),
    ],
    ids=str,
)
def test_numbers_look_like_what_they_were_drawn_from(law: Law, words: str | None) -> None:
    p = ParamSpec(shape=(64, 200))
    values = draw(law, p.shape, seed=0)
    said = looks_like(values, p, grid=grid_of(values))
    assert said == words if words else said.startswith("looks like memory that nobody initialised")


def test_the_nearest_law_of_a_scheme_nobody_has_is_its_family_and_std() -> None:
    values = draw(Normal(0.0371), (100, 100), seed=0)
    law = nearest_law(values, grid=grid_of(values))
    assert isinstance(law, Normal)
    assert law.sigma == pytest.approx(0.0371, rel=5.0 / math.sqrt(2.0 * 10_000))
