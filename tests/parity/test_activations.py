"""Every activation with a native name equals the framework's own function of that name."""

from __future__ import annotations

import functools
import importlib
import os

import numpy as np
import pytest

from initlab.theory import ACTIVATIONS, activation

os.environ.setdefault("KERAS_BACKEND", "jax")
# Off the round numbers, where float32 puts a threshold on either side; zero is a kink at which conventions can differ.
X = np.concatenate([np.linspace(-12.0, 12.0, 481) + 0.00123, [-90.0, -30.0, 0.0, 30.0, 90.0]])
WITH_OPTIONS = [
    "leaky_relu(negative_slope=0.3)",
    "elu(alpha=0.4)",
    "celu(alpha=2.5)",
    "hard_tanh(min_val=-2.0, max_val=0.7)",
    "hard_shrink(lambd=1.2)",
    "soft_shrink(lambd=0.1)",
    "threshold(threshold=-0.4, value=2.0)",
    "softplus(beta=3.0)",
    "squareplus(b=0.5)",
]


def cases(framework: str) -> list[str]:
    return [c for c in [*ACTIVATIONS, *WITH_OPTIONS] if activation(c).native_call(framework) is not None]


def native(framework: str, call: str):
    path, arguments = activation(call).native_call(framework)
    module, _, name = (f"keras.activations.{path}" if framework == "keras" else path).rpartition(".")
    found = getattr(importlib.import_module(module), name)
    return found(**arguments) if isinstance(found, type) else functools.partial(found, **arguments)


@pytest.mark.parametrize("call", cases("torch"))
def test_torch_gives_the_same_values_and_gradients_in_float64(call):
    torch = pytest.importorskip("torch")
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    y = native("torch", call)(x)
    # torch's softplus is the identity above 20, off by exp(-20) = 2e-9 there; its 1/6 in hardsigmoid is a float32.
    np.testing.assert_allclose(activation(call)(X), y.detach().numpy(), rtol=1e-12, atol=6e-9)
    y.sum().backward()
    np.testing.assert_allclose(activation(call).slope(X), x.grad.numpy(), rtol=1e-12, atol=6e-9)


@pytest.mark.parametrize("call", cases("jax"))
def test_jax_gives_the_same_values_in_float32(call):
    pytest.importorskip("jax")
    x = X[np.abs(X) < 80.0].astype(np.float32)
    np.testing.assert_allclose(native("jax", call)(x), activation(call)(x), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("call", cases("keras"))
def test_keras_gives_the_same_values_in_float32(call):
    pytest.importorskip("keras")
    x = X[np.abs(X) < 80.0].astype(np.float32)
    np.testing.assert_allclose(np.asarray(native("keras", call)(x)), activation(call)(x), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("framework", ["torch", "keras", "jax"])
def test_a_name_is_given_for_most_activations(framework):
    assert len(cases(framework)) >= 20
