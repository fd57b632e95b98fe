"""The normal quantile and the cut normal's constants, against mpmath; and what the compiler made of them."""

import re
from itertools import pairwise

import mpmath
import numpy as np
import pytest

from initlab.core.draws.philox import central
from initlab.core.draws.quantiles import CENTRAL, log, normal_quantile
from initlab.core.draws.truncation import truncation
from initlab.core.errors import OptionError


def exact_quantile(c: float) -> mpmath.mpf:
    """The quantile of 1/2 + c by Newton's method on the smaller tail, in 40 digits."""
    tail = mpmath.mpf(0.5) - abs(mpmath.mpf(c))
    x = abs(mpmath.mpf(float(normal_quantile(np.array([c]))[0])))
    for _ in range(4):
        x += (mpmath.erfc(x / mpmath.sqrt(2)) / 2 - tail) / mpmath.npdf(x)
    return x if c > 0 else -x


def test_the_quantile_is_within_1e_15_of_the_exact_one() -> None:
    mpmath.mp.dps = 40
    rng = np.random.default_rng(0)
    everywhere = rng.integers(0, 2**52, 300)
    tails = (2.0 ** rng.uniform(0, 51, 300)).astype(np.int64)
    middle = 2**51 + (2.0 ** rng.uniform(0, 40, 100)).astype(np.int64)
    k = np.concatenate([everywhere, tails, 2**52 - 1 - tails, middle, [0, 1, 2**51, 2**52 - 1]]).astype(np.uint64)
    c = central(k << np.uint64(12))
    exact = [exact_quantile(float(one)) for one in c]
    errors = [abs((mpmath.mpf(float(x)) - e) / e) for x, e in zip(normal_quantile(c), exact, strict=True)]
    assert max(errors) < 1e-15


def test_the_quantile_is_odd() -> None:
    c = central(np.arange(0, 2**64, 2**52 + 12345, dtype=np.uint64))
    assert np.array_equal(normal_quantile(-c), -normal_quantile(c))


@pytest.mark.parametrize("edge", [CENTRAL, 0.5 - np.exp(-25.0)])
def test_the_branches_meet(edge: float) -> None:
    steps = edge + np.arange(-50, 51) * 2.0**-53
    values = normal_quantile(steps)
    assert all(b - a > -1e-14 * a for a, b in pairwise(values))


def test_our_logarithm_is_within_an_ulp_where_it_is_used() -> None:
    mpmath.mp.dps = 40
    x = 10.0 ** np.random.default_rng(1).uniform(-17, -1, 300)
    for ours, exact in zip(log(x), (mpmath.log(mpmath.mpf(float(one))) for one in x), strict=True):
        assert abs(mpmath.mpf(float(ours)) - exact) <= np.spacing(abs(ours))


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (-1.0, 3.0), (0.5, 0.75), (2.5, 4.5), (-40.0, 1.0)])
def test_the_numbers_of_a_cut_are_correctly_rounded(low: float, high: float) -> None:
    mpmath.mp.dps = 50
    cut = truncation(low, high)
    mass = mpmath.quad(mpmath.npdf, mpmath.linspace(max(low, -15), high, 9))
    mean = mpmath.quad(lambda x: x * mpmath.npdf(x), mpmath.linspace(max(low, -15), high, 9)) / mass
    second = mpmath.quad(lambda x: x * x * mpmath.npdf(x), mpmath.linspace(max(low, -15), high, 9)) / mass
    assert cut.mass == float(mass)
    assert cut.mean == pytest.approx(float(mean), rel=1e-15, abs=1e-30)
    assert cut.std == pytest.approx(float(mpmath.sqrt(second - mean**2)), rel=1e-15)
    assert cut.middle == pytest.approx(float((mpmath.ncdf(low) + mpmath.ncdf(high)) / 2 - mpmath.mpf(1) / 2), abs=1e-16)


def test_a_cut_too_far_out_is_refused() -> None:
    with pytest.raises(OptionError, match=r"keeps 8e-10 of it"):
        truncation(5.9, 6.0)


def test_a_machine_without_a_writable_cache_folder_compiles_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    from initlab.core.draws import kernels

    compiler = numba.njit

    def without_cache(*, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available for file")
        return compiler(**options)

    monkeypatch.setattr(numba, "njit", without_cache)
    assert kernels._compiled(lambda x: x + 1)(1) == 2


def test_the_compiler_contracts_no_multiplication_with_an_addition() -> None:
    numba = pytest.importorskip("numba")
    from initlab.core.draws import fast
    from initlab.core.draws.kernels import normal_kernel
    from initlab.core.draws.streams import Stream
    from initlab.core.laws import Normal

    fresh = numba.njit(nogil=True, error_model="numpy")  # numba shows no assembly of what its cache held
    kernel = fresh(normal_kernel(0).py_func)  # type: ignore[attr-defined]
    fast._fill_piece(kernel, Normal(1.0).formula, Stream(1, 2), 0, np.empty(1024))
    assembly = "\n".join(kernel.inspect_asm().values())
    assert assembly
    assert not re.search(r"\b(vf|f)n?m(add|sub|la|ls)\w*\b", assembly)
