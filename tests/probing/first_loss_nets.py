"""One network in three frameworks, whose head and loss a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import initlab
from initlab.frameworks import adapter_for

FRAMEWORKS = ("torch", "keras", "jax")


def net(framework: str, *, returns: str = "logits") -> Any:
    """6-40-4 with ReLU; ``returns`` says whether the loss is computed inside, and what of it is returned."""
    pytest.importorskip({"jax": "flax"}.get(framework, framework))
    made = {"torch": _torch, "keras": _keras, "jax": _jax}[framework](returns)
    initlab.initialize(made, "he_normal", seed=5)
    return made


def loud(framework: str, model: Any, std: float = 20.0) -> Any:
    """The same with a head of N(0, std^2)."""
    names = [p.native for p in adapter_for(model).describe(model).params if p.is_weight]
    initlab.initialize(model, {names[-1]: f"normal(std={std})", names[0]: "he_normal"}, seed=7)
    return model


def told(logits: Any, loss: Any, returns: str) -> Any:
    """What a model returns."""
    kinds: dict[str, Callable[[], Any]] = {
        "logits": lambda: logits,
        "scalar": lambda: loss,
        "pair": lambda: (loss, logits),
        "dict": lambda: {"loss": loss, "logits": logits},
        "losses": lambda: {"first": loss, "second": 2 * loss},
    }
    return kinds[returns]()


def losses(framework: str) -> dict[str, Callable[..., Any]]:
    """Cross entropy and the squared error in a framework's own functions."""
    if framework == "torch":
        from torch.nn import functional

        return {"entropy": functional.cross_entropy, "square": functional.mse_loss}
    if framework == "keras":
        import keras

        return {
            "entropy": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "square": keras.losses.MeanSquaredError(),
        }
    import jax.numpy as jnp
    import optax

    return {
        "entropy": lambda o, y: optax.softmax_cross_entropy_with_integer_labels(o, y).mean(),
        "square": lambda o, y: jnp.mean((o - y) ** 2),
    }


def batch_of(framework: str, *arrays: np.ndarray[Any, Any]) -> Any:
    """Arrays as a model takes them: Keras has one argument."""
    return (arrays,) if framework == "keras" and len(arrays) > 1 else arrays


def _torch(returns: str) -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.head = nn.Linear(6, 40), nn.Linear(40, 4)

        def forward(self, x: Any, y: Any = None) -> Any:
            made = self.head(torch.relu(self.hidden(x)))
            return told(made, None if y is None else nn.functional.cross_entropy(made, y), returns)

    return Net()


def _keras(returns: str) -> Any:
    import keras
    from keras import layers, ops

    class Net(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.head = layers.Dense(40, "relu"), layers.Dense(4)

        def call(self, given: Any) -> Any:
            x, y = given if returns != "logits" else (given, None)
            made = self.head(self.hidden(x))
            cost = keras.losses.sparse_categorical_crossentropy
            return told(made, None if y is None else ops.mean(cost(y, made, from_logits=True)), returns)

    made, x = Net(), np.ones((2, 6), np.float32)
    made(x if returns == "logits" else (x, np.zeros(2, np.int64)))
    return made


def _jax(returns: str) -> Any:
    import optax
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            keys = nnx.Rngs(3)
            self.hidden, self.head = nnx.Linear(6, 40, rngs=keys), nnx.Linear(40, 4, rngs=keys)

        def __call__(self, x: Any, y: Any = None) -> Any:
            made = self.head(nnx.relu(self.hidden(x)))
            cost = optax.softmax_cross_entropy_with_integer_labels
            return told(made, None if y is None else cost(made, y).mean(), returns)

    return Net()
