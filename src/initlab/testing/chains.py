"""What a plain chain of dense layers does with a batch, written out: what a framework's answers are held to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Adapter
from initlab.core.facts.arch import Mlp

Values = NDArray[np.float64]

CHAIN = Mlp((5, 7, 4, 3), activation="tanh")
"""No two sizes alike, so that a transposed weight cannot pass."""

ROWS = 24


def batch() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Rows, and the class of each."""
    x = np.random.default_rng(11).normal(0.3, 1.5, (ROWS, CHAIN.widths[0])).astype(np.float32)
    return x, (np.arange(ROWS) % CHAIN.outputs).astype(np.int32)


def held(adapter: Adapter, model: object) -> dict[str, Values]:
    """Every parameter by canonical path."""
    return {p.path: np.asarray(adapter.read(model, p), np.float64) for p in adapter.describe(model).params}


def sums(weights: Mapping[str, Values], x: NDArray[np.generic]) -> list[Values]:
    """The weighted sums of a chain of tanh layers, biases included; the last are its outputs."""
    made, a = list[Values](), np.asarray(x, np.float64)
    for i in range(CHAIN.depth):
        made.append(a @ weights[f"{i}/weight"].T + weights[f"{i}/bias"])
        a = np.tanh(made[-1])
    return made


def cross_entropy(outputs: Values, y: NDArray[np.integer]) -> float:
    """The mean over rows."""
    shifted = outputs - outputs.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return float(-logs[np.arange(len(y)), y].mean())


def weight_gradients(weights: Mapping[str, Values], x: NDArray[np.generic], y: NDArray[np.integer]) -> list[Values]:
    """The cross entropy's gradient by each weight, in the canonical layout."""
    z = sums(weights, x)
    taken = [np.asarray(x, np.float64), *(np.tanh(one) for one in z[:-1])]
    shares = np.exp(z[-1] - z[-1].max(1, keepdims=True))
    back = (shares / shares.sum(1, keepdims=True) - np.eye(CHAIN.outputs)[y]) / len(y)
    found = list[Values]()
    for i in reversed(range(CHAIN.depth)):
        found.append(back.T @ taken[i])
        back = (back @ weights[f"{i}/weight"]) * (1.0 - taken[i] ** 2)
    return found[::-1]
