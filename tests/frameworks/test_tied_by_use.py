"""A table that also makes the logits is drawn as a tied head, however the product is written and in every framework."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn
from torch.nn import functional

import initlab

WORDS, WIDTH = 1000, 48
TOKENS = np.random.default_rng(4).integers(0, WORDS, (8, 32))


class Torch(nn.Module):
    def __init__(self, head: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None) -> None:
        super().__init__()
        self.e, self.f, self.n = nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)
        self.head = head
        if head is None:
            self.out = nn.Linear(WIDTH, WORDS, bias=False)
            self.out.weight = self.e.weight

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        x = self.e(t)
        h = self.n(x + self.f(x))
        return self.out(h) if self.head is None else self.head(h, self.e.weight)


class Keras(keras.Model):
    def __init__(self, head: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.e, self.f = keras.layers.Embedding(WORDS, WIDTH), keras.layers.Dense(WIDTH)
        self.n, self.head = keras.layers.LayerNormalization(), head

    def call(self, t: Any) -> Any:
        x = self.e(t)
        return self.head(self.n(x + self.f(x)), self.e.embeddings)


class Flax(nnx.Module):
    def __init__(self, head: Callable[[Any, nnx.Embed], Any]) -> None:
        rngs = nnx.Rngs(2)
        self.e, self.f = nnx.Embed(WORDS, WIDTH, rngs=rngs), nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.n, self.head = nnx.LayerNorm(WIDTH, rngs=rngs), head

    def __call__(self, t: Any) -> Any:
        x = self.e(t)
        return self.head(self.n(x + self.f(x)), self.e)


EINSUM = "btd,vd->btv"
MODELS: dict[str, Callable[[], Any]] = {
    "torch: one parameter, two names": lambda: Torch(None),
    "torch: linear": lambda: Torch(functional.linear),
    "torch: matmul": lambda: Torch(lambda h, e: h @ e.T),
    "torch: einsum": lambda: Torch(lambda h, e: torch.einsum(EINSUM, h, e)),
    "keras: matmul": lambda: Keras(lambda h, e: keras.ops.matmul(h, keras.ops.transpose(e))),
    "keras: einsum": lambda: Keras(lambda h, e: keras.ops.einsum(EINSUM, h, e)),
    "flax: attend": lambda: Flax(lambda h, e: e.attend(h)),
    "flax: matmul": lambda: Flax(lambda h, e: h @ e.embedding.T),
    "flax: einsum": lambda: Flax(lambda h, e: jnp.einsum(EINSUM, h, e.embedding[...])),
}


def first_loss(logits: np.ndarray) -> float:
    rows = logits.reshape(-1, WORDS).astype(np.float64)
    targets = np.random.default_rng(9).integers(0, WORDS, len(rows))
    return float(np.mean(np.log(np.exp(rows).sum(-1)) - rows[np.arange(len(rows)), targets]))


@pytest.mark.parametrize("name", MODELS)
def test_a_table_that_makes_the_logits_too_starts_with_a_small_loss(name: str) -> None:
    model = MODELS[name]()
    t = torch.tensor(TOKENS) if name.startswith("torch") else jnp.asarray(TOKENS)
    if name.startswith("keras"):
        model(t)
    made = initlab.plan(model, "auto", example=t)
    (table,) = [row for row in made if row.param.role == "embedding" and row.action == "initialise"]
    # E[CE] = ln K + s^2 / 2 (1 - 1 / K) is 1 % above ln K; h has mean square 1 and WIDTH entries
    std = math.sqrt(2 * 0.01 * math.log(WORDS) / (1 - 1 / WORDS) / WIDTH)
    assert table.std == pytest.approx(std, rel=1e-9)
    made.apply(3)
    logits = model(t).detach().numpy() if name.startswith("torch") else np.asarray(model(t))
    assert first_loss(logits) == pytest.approx(math.log(WORDS), rel=0.05)
