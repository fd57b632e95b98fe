"""The sums of a value, at hand and compiled: what plain NumPy says, and what comes of numbers of any size."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import jax
import numpy as np
import pytest

from initlab.core.signals.readings import Sums
from initlab.core.signals.sums import sums_of
from initlab.frameworks.jax.probing.sums import arranged_shape, summed, summed_there
from initlab.frameworks.reading.records import measured, sums, weight_gradient
from initlab.frameworks.reading.value_sums import SIZE, Look

# Sums of float32 numbers in another order.
CLOSE = {"rel": 1e-4, "abs": 1e-6, "nan_ok": True}
WAYS = {"at hand": summed, "compiled": summed_there}
SIZES = ("rows", "entries", "units", "broken", "mean", "square", "square_error")


def values() -> dict[str, np.ndarray[Any, Any]]:
    """Values with something to find in each."""
    draw = np.random.default_rng(0).standard_normal
    hidden = draw((9, 7))
    hidden[:, 2], hidden[:, 5] = 0.0, hidden[:, 1]
    tokens = draw((9, 4, 7))
    tokens[0, 1], tokens[1, 1:] = 0.0, 0.0
    images = np.maximum(draw((9, 3, 3, 7)), 0.0)
    images[..., 4], images[..., 6] = -0.0, images[..., 0]
    broken = draw((9, 7))
    broken[0, 0], broken[3, 4] = math.nan, math.inf
    found = {"hidden": hidden, "tokens": tokens, "images": images, "broken": broken, "one row": draw((1, 7)),
             "flat": draw(9), "zero": np.zeros((9, 7))}  # fmt: skip
    return {name: value.astype(np.float32) for name, value in found.items()}


def ours(value: Any, way: str, look: Look = Look()) -> Sums:  # noqa: B008 (a frozen record)
    parts = jax.device_get(WAYS[way](value, rows=len(value), look=look))
    return sums([measured(value.shape, -1, parts)], [parts])[0]


def said(found: Sums, names: tuple[str, ...]) -> list[float]:
    return [getattr(found, name) for name in names]


NUMBERS = tuple(field.name for field in fields(Sums) if field.name != "counts")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", values())
def test_a_value_is_summed_as_by_plain_numpy(name: str, way: str) -> None:
    value, look = values()[name], Look(takes=(-0.5, 1.0), histogram=True)
    expected, found = sums_of(value, takes=look.takes, histogram=True), ours(value, way, look)
    names = NUMBERS if value.ndim > 1 else (*SIZES, "saturated")
    assert said(found, names) == pytest.approx(said(expected, names), **CLOSE)
    np.testing.assert_array_equal(found.counts, expected.counts)


@pytest.mark.parametrize("way", WAYS)
def test_the_entropy_of_shares_is_that_of_plain_numpy(way: str) -> None:
    value = np.random.default_rng(0).dirichlet(np.ones(5), (3, 2)).astype(np.float32)
    value[0, 0] = (0.0, 1.0, 0.0, 0.0, 0.0)
    expected = sums_of(value, is_softmax=True).entropy
    assert ours(value, way, Look(whole=False, is_softmax=True)).entropy == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_the_squares_of_numbers_of_any_size_are_known(way: str, size: float) -> None:
    value = (values()["hidden"] * size).astype(np.float32)
    expected, found = sums_of(value), ours(value, way)
    assert said(found, NUMBERS) == pytest.approx(said(expected, NUMBERS), rel=1e-4, abs=0, nan_ok=True)


@pytest.mark.parametrize("way", WAYS)
def test_units_that_differ_in_one_entry_are_not_equal(way: str) -> None:
    value = np.tile(np.random.default_rng(0).standard_normal((64, 1)), 5).astype(np.float32)
    value[np.argsort(value[:, 0])[32], 3] += 0.1  # no end of its column
    assert ours(value, way).equal_units == 3


def test_few_digits_are_summed_in_more() -> None:
    value = jax.numpy.full((2, 4096), 0.1, jax.numpy.bfloat16)  # 0.1 is 0.10009765625 there
    assert ours(value, "at hand").mean == pytest.approx(0.10009765625, rel=1e-6)


def test_the_gradient_by_a_parameter_is_one_row() -> None:
    gradient = np.array([[3.0, 4.0], [math.nan, 0.0]], np.float32)
    parts = summed(gradient, rows=0, look=SIZE)
    found = weight_gradient(measured((1, 4), -1, parts), parts)
    assert (found.square, found.broken) == (pytest.approx(25 / 3), 1)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((6, 5), (2, 3, 5)), ((2, 3, 5), (2, 3, 5)), ((7, 2, 5), (2, 7, 5)), ((7, 5), (7, 5)), ((3,), (3,))],
)
def test_samples_come_first(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert arranged_shape(shape, 2) == expected
