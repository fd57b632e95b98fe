import mpmath as mp
import numpy as np
import pytest

from initlab.core.erf import erf, erfc, normal_cdf, normal_pdf

POINTS = np.concatenate(
    [np.linspace(-6.0, 26.5, 131), 10.0 ** np.linspace(-300.0, 0.0, 31), [0.46875, 0.46876, 4.0, 4.000001]]
)


def worst_relative_error(values: np.ndarray, exact) -> float:
    with mp.workdps(40):
        return max(float(abs(mp.mpf(float(v)) / e - 1)) for v, e in zip(values, exact, strict=True) if e != 0)


@pytest.mark.parametrize(("ours", "exact"), [(erf, mp.erf), (erfc, mp.erfc)], ids=["erf", "erfc"])
def test_values_agree_with_40_digits_to_1e_15(ours, exact):
    with mp.workdps(40):
        expected = [exact(mp.mpf(float(x))) for x in POINTS]
    assert worst_relative_error(ours(POINTS), expected) < 1e-15


def test_the_normal_probability_keeps_its_digits_in_the_lower_tail():
    x = np.array([-37.0, -20.0, -8.0, -1.0])
    with mp.workdps(40):
        expected = [mp.ncdf(mp.mpf(float(v))) for v in x]
    assert worst_relative_error(normal_cdf(x), expected) < 1e-13


def test_erf_is_odd_and_erfc_is_its_complement():
    x = np.linspace(-5.0, 5.0, 401)
    np.testing.assert_array_equal(erf(-x), -erf(x))
    np.testing.assert_allclose(erf(x) + erfc(x), 1.0, rtol=0.0, atol=5e-16)


@pytest.mark.parametrize("f", [erf, erfc, normal_cdf, normal_pdf])
def test_huge_arguments_raise_no_floating_point_flag(f):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.all(np.isfinite(f(np.array([-np.inf, -1e300, -1e8, 0.0, 1e8, 1e300, np.inf]))))


def test_the_density_integrates_to_the_probability():
    x = np.linspace(0.0, 2.0, 2001)
    y = normal_pdf(x)
    simpson = (y[0] + y[-1] + 4.0 * y[1:-1:2].sum() + 2.0 * y[2:-1:2].sum()) * 1e-3 / 3.0
    assert simpson == pytest.approx(normal_cdf(np.array(2.0)) - 0.5, rel=1e-13)
