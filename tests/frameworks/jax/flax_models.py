"""Flax models for the tests, built without a compilation: Flax compiles its own draw for each shape."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

RNGS = nnx.Rngs(0)


def plain(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32, out_sharding: Any = None) -> jax.Array:
    """Normal numbers of std 1 / sqrt(fan_in), always the same for a shape."""
    fan_in = max(int(np.prod(shape[:-1])), 1)
    drawn = np.random.default_rng(sum(shape)).standard_normal(shape) / np.sqrt(fan_in)
    return jnp.asarray(drawn.astype(np.float32)).astype(dtype)


def linear(n_in: int, n_out: int, **options: Any) -> nnx.Linear:
    return nnx.Linear(n_in, n_out, **{"kernel_init": plain, "rngs": RNGS, **options})


def conv(n_in: int, n_out: int, kernel: tuple[int, ...], **options: Any) -> nnx.Conv:
    return nnx.Conv(n_in, n_out, kernel, **{"kernel_init": plain, "rngs": RNGS, **options})


class Block(nnx.Module):
    """A pre-norm transformer block."""

    def __init__(self, d: int, *, dropout: float = 0.0) -> None:
        self.ln1, self.ln2 = nnx.LayerNorm(d, rngs=RNGS), nnx.LayerNorm(d, rngs=RNGS)
        self.attention = nnx.MultiHeadAttention(2, d, kernel_init=plain, rngs=RNGS, decode=False)
        self.fc, self.proj = linear(d, 4 * d), linear(4 * d, d)
        self.dropout = nnx.Dropout(dropout, rngs=RNGS)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.dropout(self.attention(self.ln1(x)))
        return x + self.dropout(self.proj(nnx.gelu(self.fc(self.ln2(x)))))


class Gpt(nnx.Module):
    """A small language model whose table is its head too."""

    def __init__(self, d: int = 8, words: int = 11, *, dropout: float = 0.0, blocks: int = 2) -> None:
        self.wte = nnx.Embed(words, d, embedding_init=plain, rngs=RNGS)
        self.pos_embed = nnx.Param(plain(None, (1, 16, d)))
        self.blocks = nnx.List([Block(d, dropout=dropout) for _ in range(blocks)])
        self.ln_f = nnx.LayerNorm(d, rngs=RNGS)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.wte(tokens) + self.pos_embed[:, : tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.wte.attend(self.ln_f(x))


class Statistics(nnx.Module):
    """Dense, batch norm, tanh, dropout, dense."""

    def __init__(self) -> None:
        self.a, self.b = linear(4, 8), linear(8, 3)
        self.norm, self.drop = nnx.BatchNorm(8, rngs=RNGS), nnx.Dropout(0.5, rngs=RNGS)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.b(self.drop(nnx.tanh(self.norm(self.a(x)))))


class Residual(nnx.Module):
    """``x + out(relu(fc(x)))``, twice, then a head."""

    def __init__(self, *, last_init: Any = plain) -> None:
        self.fc = nnx.List([linear(6, 6) for _ in range(2)])
        self.out = nnx.List([linear(6, 6, kernel_init=last_init) for _ in range(2)])
        self.head = linear(6, 3)

    def __call__(self, x: jax.Array) -> jax.Array:
        for fc, out in zip(self.fc, self.out, strict=True):
            x = x + out(nnx.relu(fc(x)))
        return self.head(x)


def chain(*layers: Any) -> nnx.Sequential:
    return nnx.Sequential(*layers)
