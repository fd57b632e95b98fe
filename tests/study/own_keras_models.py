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
