"""Logarithms of shares are no shares: no entropy is taken of them, in any framework."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from initlab.frameworks import FRAMEWORKS

X = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)


def _torch(function: str) -> tuple[object, object]:
    torch = pytest.importorskip("torch")
    last = torch.nn.Softmax(-1) if function == "softmax" else torch.nn.LogSoftmax(-1)
    return torch.nn.Sequential(torch.nn.Linear(4, 5), last), torch.from_numpy(X)


def _keras(function: str) -> tuple[object, object]:
    keras = pytest.importorskip("keras")
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), keras.layers.Activation(function)]), X


def _jax(function: str) -> tuple[object, object]:
    nnx = pytest.importorskip("flax.nnx")
    return nnx.Sequential(nnx.Linear(4, 5, rngs=nnx.Rngs(2)), getattr(nnx, function)), X


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2
@pytest.mark.parametrize(("framework", "build"), [("torch", _torch), ("keras", _keras), ("jax", _jax)])
@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_only_shares_are_taken_for_shares(
    framework: str, build: Callable[[str], tuple[object, object]], function: str
) -> None:
    model, x = build(function)
    kinds = [place.kind for place in FRAMEWORKS[framework].load().capture(model, x).reading.places]
    assert ("softmax" in kinds) == (function == "softmax")
