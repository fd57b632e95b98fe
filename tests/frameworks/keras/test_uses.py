"""Kernels and biases that a user's own layer adds are told by the functions that take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import initlab
from initlab.core.facts.spec import Axes
from initlab.frameworks.keras.adapter import ADAPTER
from initlab.frameworks.keras.writing.memory import numbers

PRODUCTS: dict[str, Callable[[Any, Any], Any]] = {
    "matmul": lambda x, kernel: ops.matmul(x, kernel),
    "operator": lambda x, kernel: x @ kernel,
    "dot": lambda x, kernel: ops.dot(x, kernel),
    "einsum": lambda x, kernel: ops.einsum("bi,io->bo", x, kernel),
}


class Own(layers.Layer):
    """A dense layer that somebody wrote."""

    def __init__(self, product: Callable[[Any, Any], Any], offset: str = "random_normal") -> None:
        super().__init__()
        self.product, self.start = product, offset

    def build(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 300), name="kernel")
        self.offset = self.add_weight(shape=(300,), name="offset", initializer=self.start)
        self.factor = self.add_weight(shape=(300,), name="factor", initializer="ones")

    def call(self, x: Any) -> Any:
        return ops.relu(self.product(x, self.kernel) + self.offset) * self.factor


def own(product: str, offset: str = "random_normal") -> keras.Model:
    return keras.Sequential([keras.Input((200,)), Own(PRODUCTS[product], offset), layers.Dense(3)])


@pytest.mark.parametrize("start", ["random_normal", "ones"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_kernel_of_a_users_own_layer_is_a_weight_as_that_of_dense(product: str, start: str) -> None:
    kernel, offset, factor, head, _ = ADAPTER.describe(own(product, start)).params
    assert (kernel.role, kernel.shape, kernel.axes, kernel.f_out) == ("dense", (300, 200), None, "relu")
    assert (offset.role, offset.layer_shape) == ("bias", (300, 200))
    assert (factor.role, head.f_in) == ("scale", "relu")


def test_a_kernel_that_an_example_was_multiplied_with_is_seen_too() -> None:
    class Asking(Own):
        def call(self, x: Any) -> Any:
            return super().call(x) if float(ops.max(x)) > -1e9 else x

    layer = Asking(PRODUCTS["matmul"])
    example = np.ones((2, 200), np.float32)
    layer(example)
    kernel = ADAPTER.describe(layer, example=example).params[0]
    assert (kernel.role, kernel.shape) == ("dense", (300, 200))


def test_a_stack_of_matrices_keeps_its_own_axes() -> None:
    """A matrix for each of four experts."""

    class Experts(layers.Layer):
        def build(self, shape: tuple[int, ...]) -> None:
            self.kernel = self.add_weight(shape=(4, shape[-1], 6), name="kernel")

        def call(self, x: Any) -> Any:
            return ops.einsum("eti,eio->eto", x, self.kernel)

    kernel = ADAPTER.describe(keras.Sequential([keras.Input((5, 8), batch_size=4), Experts()])).params[0]
    assert (kernel.shape, kernel.axes) == ((4, 8, 6), Axes((1,), (2,), (0,)))


def test_a_kernel_of_a_users_own_layer_is_drawn_with_its_fan_in() -> None:
    """60,000 entries of std sqrt(2 / 200) = 0.1: their std is off by less than 5 x 0.1 / sqrt(120,000)."""
    model = own("matmul")
    drawn = initlab.initialize(model, "he_normal", seed=0)
    held = numbers(drawn.layers[0].kernel)
    assert held.std() == pytest.approx(0.1, abs=5 * 0.1 / np.sqrt(120_000))
    assert not numbers(model.layers[0].offset).any()


def test_a_kernel_of_a_users_own_layer_gets_the_numbers_that_dense_would_get() -> None:
    bound = initlab.plan(own("matmul"), "he_normal")
    bound.apply(0)
    mine, law = bound.entries[0].param, bound.entries[0].law
    assert law is not None
    plain = initlab.draw(law, (300, 200), seed=0, path=mine.path)
    np.testing.assert_array_equal(bound.adapter.read(bound.model, mine), plain)
    np.testing.assert_array_equal(numbers(bound.model.layers[0].kernel), plain.T)


def test_the_bias_of_a_users_own_layer_knows_its_fan() -> None:
    """PyTorch draws a bias within 1 / sqrt(fan_in)."""
    law = initlab.plan(own("matmul"), "torch_default").entries[1].law
    assert law is not None
    assert law.bounds((300,)) == pytest.approx((-(200**-0.5), 200**-0.5))


def test_a_kernel_that_is_used_in_two_ways_stays_unknown() -> None:
    class Both(Own):
        def call(self, x: Any) -> Any:
            return ops.matmul(ops.einsum("bi,io->bo", x, self.kernel), ops.transpose(self.kernel)) + ops.einsum(
                "bo,io->bi", ops.einsum("bi,io->bo", x, self.kernel), self.kernel
            )

    model = keras.Sequential([keras.Input((200,)), Both(PRODUCTS["matmul"]), layers.Dense(3)])
    assert ADAPTER.describe(model).params[0].role == "unknown"


def test_the_slope_of_a_prelu_is_named_in_its_row() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.PReLU()])
    assert initlab.plan(model, "auto").entries[2].why == "the slope of a PReLU"
