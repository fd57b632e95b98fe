"""Chains of dense layers and activations, forwards and backwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from initlab.theory import activation

Values = NDArray[np.float64]


class Dense:
    """``x @ weight + bias``, of shape (inputs, units)."""

    def __init__(self, inputs: int, units: int, *, bias: bool = True) -> None:
        drawn = np.random.uniform(-1.0, 1.0, (inputs + 1, units)) / np.sqrt(inputs)  # noqa: NPY002  (as torch's layers)
        self.weight = drawn[1:].astype(np.float32)
        self.bias = drawn[0].astype(np.float32) if bias else None


class Chain:
    """Dense layers, and names of activations between them."""

    def __init__(self, *steps: Dense | str) -> None:
        self.steps = steps
        self.inputs = next(len(step.weight) for step in steps if isinstance(step, Dense))

    def __call__(self, x: Values) -> Values:
        return self.values(x)[-1]

    def values(self, x: Values) -> list[Values]:
        """The input, and what comes out of every step."""
        made = [np.asarray(x, np.float64)]
        for step in self.steps:
            if isinstance(step, str):
                made.append(activation(step)(made[-1]))
            else:
                made.append(made[-1] @ step.weight + (0.0 if step.bias is None else step.bias))
        return made

    def backward(self, values: list[Values], gradient: Values) -> tuple[list[Values], dict[str, Values]]:
        """The loss's gradients by every value and by every parameter, from that by the output."""
        by_value, by_name = [gradient], dict[str, Values]()
        for i, step in reversed([*enumerate(self.steps)]):
            if isinstance(step, str):
                by_value.append(by_value[-1] * activation(step).slope(values[i]))
                continue
            by_name[f"{i}.weight"] = values[i].T @ by_value[-1]
            if step.bias is not None:
                by_name[f"{i}.bias"] = by_value[-1].sum(0)
            by_value.append(by_value[-1] @ step.weight.T.astype(np.float64))
        return by_value[::-1], by_name
