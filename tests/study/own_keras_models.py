"""Keras models of a user's, importable by workers: ``tests.study.own_keras_models:NAME``."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from initlab.core.facts.arch import Mlp
from initlab.frameworks.keras.zoo import build_mlp


def digits() -> Any:
    return keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.1),
            layers.Dense(10, activation="softmax"),
        ]
    )


def twin() -> Any:
    return build_mlp(Mlp((4, 16, 3)))


class Subclassed(keras.Model):
    """Built by its first call, with an activation as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = layers.Dense(16), layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.last(keras.ops.relu(self.first(x)))


def subclassed() -> Any:
    return Subclassed()


class Formula(keras.Model):
    """An activation that is written out."""

    def __init__(self, *, is_gelu: bool) -> None:
        super().__init__()
        self.first, self.last, self.is_gelu = layers.Dense(16), layers.Dense(3), is_gelu

    def call(self, x: Any) -> Any:
        h = self.first(x)
        if not self.is_gelu:
            return self.last(h * keras.ops.sigmoid(h))
        return self.last(0.5 * h * (1.0 + keras.ops.tanh(0.7978845608 * (h + 0.044715 * h**3))))


def silu_written_out() -> Any:
    return Formula(is_gelu=False)


def gelu_written_out() -> Any:
    return Formula(is_gelu=True)
