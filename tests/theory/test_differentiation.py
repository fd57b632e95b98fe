import numpy as np
import pytest

from initlab.theory.differentiation import find_kinks, numerical_derivative

NORMAL = np.random.default_rng(0).normal(size=500) * 2.0


@pytest.mark.parametrize(
    ("f", "kinks"),
    [
        (lambda x: np.maximum(x, 0.0), [0.0]),
        (lambda x: np.clip(x, -1.0, 1.0), [-1.0, 1.0]),
        (lambda x: np.where(np.abs(x) > 0.5, x, 0.0), [-0.5, 0.5]),
        (lambda x: np.abs(np.abs(x - 0.7) - 2.0) + np.sin(x), [-1.3, 0.7, 2.7]),
        (np.sign, [0.0]),
        (np.tanh, []),
        (lambda x: np.sin(30.0 * x), []),
        (lambda x: np.zeros_like(x), []),
    ],
    ids=["bend", "two bends", "jumps", "three bends on a wave", "sign", "tanh", "wave", "zero"],
)
def test_bends_and_jumps_are_found_to_1e_12(f, kinks):
    np.testing.assert_allclose(find_kinks(f), kinks, rtol=0.0, atol=1e-12)


def test_a_jump_of_the_second_derivative_is_found_to_1e_8():
    np.testing.assert_allclose(find_kinks(lambda x: np.maximum(x - 0.3, 0.0) ** 2 + x), [0.3], rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("place", np.random.default_rng(1).uniform(-20.0, 20.0, size=40))
def test_a_bend_is_found_wherever_it_lies(place):
    np.testing.assert_allclose(find_kinks(lambda x: np.abs(x - place)), [place], rtol=0.0, atol=1e-11)


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (np.tanh, lambda x: 1.0 / np.cosh(x) ** 2),
        (np.exp, np.exp),
        (lambda x: np.sin(30.0 * x), lambda x: 30.0 * np.cos(30.0 * x)),
        (lambda x: np.clip(x, -1.0, 1.0), lambda x: (np.abs(x) < 1.0).astype(float)),
        (lambda x: np.where(x > 0.4, 3.0 - x, x * x), lambda x: np.where(x > 0.4, -1.0, 2.0 * x)),
    ],
    ids=["tanh", "exp", "wave", "bends", "jump"],
)
def test_the_numerical_derivative_is_right_to_1e_10(f, slope):
    exact = slope(NORMAL)
    ours = numerical_derivative(f, kinks=find_kinks(f))(NORMAL)
    np.testing.assert_allclose(ours, exact, rtol=0.0, atol=1e-10 * np.max(np.abs(exact)))


def test_a_constant_has_slope_zero_exactly():
    assert not numerical_derivative(lambda x: np.full_like(x, 0.1))(NORMAL).any()


def test_the_slope_of_a_root_grows_without_bound_towards_its_kink():
    x = np.array([1e-9, 1e-6, 1e-3, 1.0])
    ours = numerical_derivative(lambda v: np.sqrt(np.abs(v)), kinks=(0.0,))(x)
    np.testing.assert_allclose(ours, 0.5 / np.sqrt(x), rtol=1e-9)


def test_at_a_kink_the_slope_is_that_of_the_right_side():
    assert numerical_derivative(np.abs, kinks=(0.0,))(np.array([0.0]))[0] == pytest.approx(1.0, rel=1e-12)
