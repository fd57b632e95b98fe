"""Every law: its moments, bounds and distribution function are those of its draws."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initlab.core.draws.marginals import sphere_cdf
from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.spec import Axes
from initlab.core.laws import (
    Along,
    Arranged,
    Blocks,
    Constant,
    DeltaOrthogonal,
    Dirac,
    Identity,
    Law,
    Normal,
    Orthogonal,
    Shape,
    Sparse,
    TruncatedNormal,
    Uniform,
    Warped,
)
from initlab.core.laws.draw import draw

LAWS: list[tuple[Law, Shape]] = [
    (Constant(-0.5), (20, 30)),
    (Uniform(-0.3, 0.3), (20, 30)),
    (Uniform(0.5, 2.0), (20, 30)),
    (Normal(0.1), (20, 30)),
    (Normal(2.0, -1.0), (20, 30)),
    (Normal(0.0, 3.0), (20, 30)),
    (TruncatedNormal(1.0), (20, 30)),
    (TruncatedNormal(0.2, 1.0, -0.5, 3.0), (20, 30)),
    (TruncatedNormal(1.0, 0.0, 1.5, 2.0), (20, 30)),
    (TruncatedNormal(0.0, 2.0), (5, 5)),
    (Warped(Uniform(1.0, 16.0), "log"), (20, 30)),
    (Warped(Uniform(-7.0, -2.0), "step"), (20, 30)),
    (Warped(Uniform(0.81, 0.998), "radius"), (20, 30)),
    (Along((0.3, -1.0, 2.0), axis=1), (4, 3, 5)),
    (Orthogonal(2.0), (7, 7)),
    (Orthogonal(1.5), (3, 10)),
    (Orthogonal(1.5, widen=True), (10, 2)),
    (Orthogonal(1.0), (4, 2, 3)),
    (Orthogonal(0.0), (4, 4)),
    (DeltaOrthogonal(1.5), (4, 4, 3)),
    (DeltaOrthogonal(1.5), (2, 5, 3, 1)),
    (Identity(1.5), (6, 4)),
    (Dirac(-2.0, groups=2), (6, 2, 3)),
    (Sparse(0.7, 1.5), (10, 3, 3)),
    (Sparse(0.7, 1.5, "column"), (9, 10)),
    (Blocks((Normal(1.0), Constant(1.0), Orthogonal(3.0)), (5, 1, 4)), (10, 4)),
    (Blocks((Uniform(0.0, 1.0), Normal(1.0)), (2, 3), axis=1), (10, 5, 2)),
    (Arranged(Orthogonal(1.0), Axes(inputs=(0,), outputs=(1, 2))), (8, 2, 3)),
    (Arranged(Sparse(0.5, 1.0), Axes(inputs=(1,), outputs=(2,), batch=(0,))), (3, 4, 5)),
]


def named(pair: tuple[Law, Shape]) -> str:
    return f"{type(pair[0]).__name__}-{pair[0]}-{pair[1]}"


def draws(law: Law, shape: Shape, n: int) -> Iterator[np.ndarray]:
    return (draw(law, shape, seed=seed, dtype="float64") for seed in range(n))


@pytest.mark.parametrize(("law", "shape"), LAWS, ids=map(named, LAWS))
def test_mean_and_std_are_those_of_the_draws(law: Law, shape: Shape) -> None:
    n = 400
    mean, std = law.mean(shape), law.std(shape)
    sums = np.array([[w.mean(), np.mean((w - mean) ** 2)] for w in draws(law, shape, n)])
    tolerance = 5 * sums.std(axis=0) / np.sqrt(n) + 1e-12
    assert abs(sums[:, 0].mean() - mean) <= tolerance[0]
    assert abs(sums[:, 1].mean() - std**2) <= tolerance[1]


@pytest.mark.parametrize(("law", "shape"), LAWS, ids=map(named, LAWS))
def test_draws_stay_within_the_bounds(law: Law, shape: Shape) -> None:
    low, high = law.bounds(shape)
    slack = 1e-14 * max(abs(low), abs(high)) if np.isfinite(high - low) else 0.0
    for w in draws(law, shape, 50):
        assert w.min() >= low - slack
        assert w.max() <= high + slack


@pytest.mark.parametrize(("law", "shape"), LAWS, ids=map(named, LAWS))
def test_the_cdf_is_that_of_one_random_entry(law: Law, shape: Shape) -> None:
    n = 2000
    where = np.random.default_rng(0).integers(0, np.prod(shape), n)
    entry = np.sort([w.reshape(-1)[i] for w, i in zip(draws(law, shape, n), where, strict=True)])
    points = np.unique(entry)
    share = np.searchsorted(entry, points, side="right") / n
    # Kolmogorov: exceeded with probability 2 exp(-2 * 2.7^2) < 1e-6; an atom's draws may miss it by rounding.
    low, high = law.cdf(points - 1e-12, shape), law.cdf(points + 1e-12, shape)
    excess = np.maximum(np.maximum(low - share, share - high), 0.0)
    assert excess.max() < 2.7 / np.sqrt(n)


@pytest.mark.parametrize(("law", "shape"), LAWS, ids=map(named, LAWS))
def test_the_cdf_goes_from_zero_to_one(law: Law, shape: Shape) -> None:
    values = law.cdf(np.linspace(-100.0, 100.0, 2001), shape)
    assert values[0] == 0.0
    assert values[-1] == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.diff(values) >= -1e-12)


@pytest.mark.parametrize(("law", "shape"), LAWS, ids=map(named, LAWS))
def test_equal_laws_draw_equal_arrays_in_c_order(law: Law, shape: Shape) -> None:
    first, second = (draw(law, shape, seed=5, path="a") for _ in range(2))
    assert first.shape == shape
    assert first.flags.c_contiguous
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("law", "shape"), LAWS, ids=map(named, LAWS))
def test_a_law_is_one_short_line_of_ascii(law: Law, shape: Shape) -> None:
    assert str(law).isascii()
    assert "\n" not in str(law)


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-6, 1e6), seed=st.integers(0, 99))
def test_uniform_float64_draws_never_leave_the_interval(low: float, width: float, seed: int) -> None:
    law = Uniform(low, low + width)
    w = draw(law, (64,), seed=seed, dtype="float64")
    assert w.min() >= law.low
    assert w.max() <= law.high


def test_the_truncated_normal_s_realised_std_is_kerass_number() -> None:
    # Keras and JAX divide by 0.87962566103423978, the std of a standard normal cut at two sigma.
    assert TruncatedNormal(1.0).std((3, 3)) == 0.87962566103423978


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (-1.0, 3.0), (-0.1, 0.1)])
def test_with_std_realises_the_std(low: float, high: float) -> None:
    law = TruncatedNormal.with_std(0.05, low=low, high=high)
    assert law.std((3, 3)) == pytest.approx(0.05, rel=1e-15)


def test_the_sphere_s_cdf_is_scipys() -> None:
    special = pytest.importorskip("scipy.special")
    for n in (2, 3, 4, 17, 1000, 100_000):
        x = np.linspace(-1, 1, 401) * min(1.0, 6 / np.sqrt(n))
        expected = 0.5 + 0.5 * np.sign(x) * special.betainc(0.5, (n - 1) / 2, x**2)
        assert np.allclose(sphere_cdf(x, n), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(np.inf),
        lambda: Uniform(1.0, 1.0),
        lambda: Uniform(-1e308, 1e308),
        lambda: Normal(-1.0),
        lambda: Normal(np.nan),
        lambda: TruncatedNormal(1.0, 0.0, 2.0, -2.0),
        lambda: TruncatedNormal(1.0, 0.0, -np.inf, 2.0),
        lambda: TruncatedNormal.with_std(1.0, low=2.0, high=1.0),
        lambda: Orthogonal(-1.0),
        lambda: DeltaOrthogonal(np.inf),
        lambda: Identity(np.nan),
        lambda: Dirac(1.0, groups=0),
        lambda: Sparse(1.0, 1.0),
        lambda: Sparse(-0.1, 1.0),
        lambda: Sparse(0.5, -1.0),
        lambda: Sparse(0.5, 1.0, "row"),  # type: ignore[arg-type]
        lambda: Blocks((Normal(1.0),), (1, 2)),
        lambda: Blocks((), ()),
        lambda: Blocks((Normal(1.0),), (0,)),
    ],
)
def test_numbers_outside_their_range_are_refused_in_one_line(make: object) -> None:
    assert callable(make)
    with pytest.raises(OptionError) as caught:
        make()
    assert isinstance(caught.value, InitlabError)
    assert "\n" not in str(caught.value)


def test_steps_are_log_uniform_after_softplus_and_rates_uniform_after_exp() -> None:
    low, high = np.log(0.001), np.log(0.1)
    steps = np.log(np.log1p(np.exp(draw(Warped(Uniform(low, high), "step"), (4000,), seed=3, dtype="float64"))))
    rates = np.exp(draw(Warped(Uniform(1.0, 16.0), "log"), (4000,), seed=4, dtype="float64"))
    radii = np.exp(-np.logaddexp(0.0, draw(Warped(Uniform(0.81, 0.998), "radius"), (4000,), seed=5, dtype="float64")))
    for numbers, start, end in ((steps, low, high), (rates, 1.0, 16.0), (radii**2, 0.81, 0.998)):
        share = (np.sort(numbers) - start) / (end - start)
        assert np.abs(share - (np.arange(4000) + 0.5) / 4000).max() < 2.7 / np.sqrt(4000)


def test_the_moments_of_log_rates_are_those_of_the_integral() -> None:
    # The integrals of ln x and (ln x)^2 over [1, 16] are 16 L - 15 and 16 L^2 - 32 L + 30, with L = ln 16.
    long = np.log(16.0)
    mean, second = (16.0 * long - 15.0) / 15.0, (16.0 * long**2 - 32.0 * long + 30.0) / 15.0
    law = Warped(Uniform(1.0, 16.0), "log")
    assert law.mean((3,)) == pytest.approx(mean, rel=1e-12)
    assert law.std((3,)) == pytest.approx(np.sqrt(second - mean**2), rel=1e-12)


@pytest.mark.parametrize(("low", "high", "through"), [(-1.0, 2.0, "log"), (0.5, 1.5, "radius"), (0.1, 0.2, "power")])
def test_numbers_that_a_function_does_not_take_are_refused(low: float, high: float, through: str) -> None:
    with pytest.raises(OptionError, match=r"give numbers in|one of"):
        Warped(Uniform(low, high), through)  # type: ignore[arg-type]


def test_numbers_along_an_axis_are_the_same_along_all_others_and_in_any_part() -> None:
    law = Along((0.3, -1.0, 2.0), axis=1)
    whole = draw(law, (4, 3, 5), seed=5)
    assert (whole == np.array([0.3, -1.0, 2.0], np.float32)[:, None]).all()
    assert np.array_equal(draw(law, (4, 3, 5), seed=5, index=(slice(1, 3), 2)), whole[1:3, 2])
