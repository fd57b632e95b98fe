"""Origins told by values."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from initlab.frameworks.keras.reading.guesses import steps

RNG = np.random.default_rng(0)
A, B = (keras.ops.convert_to_tensor(RNG.standard_normal((8, 16)).astype(np.float32)) for _ in range(2))


@pytest.mark.parametrize(
    ("made", "kinds"),
    [
        (A * 1.0, ["identity"]),
        (keras.ops.reshape(A, (16, 8)) * 1.0, ["identity"]),
        (keras.ops.tanh(B), ["tanh"]),
        (A + B, ["add"]),
        (keras.ops.gelu(A + B, approximate=False), ["add", "gelu"]),
        (A + keras.ops.silu(B), ["silu", "add"]),
        (A * B, []),
        (keras.ops.flip(A), []),
    ],
)
def test_what_fits_the_values_is_found_and_nothing_else(made: object, kinds: list[str]) -> None:
    assert [step.kind for step in steps(made, [A, B])] == kinds


def test_values_of_one_sign_give_no_guess() -> None:
    positive = keras.ops.abs(A) + 1.0
    assert steps(keras.ops.softplus(positive), [positive]) == ()
