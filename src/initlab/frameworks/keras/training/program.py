"""A setup's Keras models, compiled once a process: the one that trains, and what looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from initlab.core.facts.arch import Mlp
from initlab.core.training.batches import dropout_key
from initlab.core.training.checks import chain_of
from initlab.core.training.loop import Array
from initlab.core.training.protocol import Start, TrainingSetup
from initlab.frameworks.keras.training.chunk import KerasChunk, Probed, compile_model, loss_of, penalise, rows_of
from initlab.frameworks.keras.training.dropout import KeyedDropout
from initlab.frameworks.keras.zoo import build_mlp

_NATIVE_LEAVES = {"weight": "kernel", "bias": "bias", "scale": "gamma"}
_EVALUATED_ROWS = 2_000


class GradientRecorder(keras.optimizers.Optimizer):  # type: ignore[misc]  # keras ships no types
    """An optimiser that keeps the gradient and moves nothing, so Keras' own training step differentiates."""

    def __init__(self) -> None:
        super().__init__(learning_rate=1.0, name="gradient_recorder")
        self.recorded: list[Any] = []

    def build(self, variables: list[Any]) -> None:
        """A place for the gradient by each variable."""
        if not self.built:
            super().build(variables)
            self.recorded = [self.add_variable_from_reference(v, name="gradient") for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Keep one gradient."""
        self.assign(self.recorded[self._get_variable_index(variable)], gradient)


class Program(KerasChunk):
    """The models of a setup; ``begin`` makes them a new model without compiling anything again.

    Args:
        setup: What is trained.
    """

    def __init__(self, setup: TrainingSetup) -> None:
        model, self.taps, self.differentiated = _models(setup)
        data = rows_of(setup, "float32", (setup.dataset.features,), setup.dataset.outputs)
        super().__init__(setup, model, data, evaluated_rows=_EVALUATED_ROWS)
        self.kernels = [model.get_layer(str(i)).kernel for i in range(setup.arch.depth)]
        compile_model(setup, model, loss_of(setup))
        self.differentiated.compile(GradientRecorder(), loss_of(setup))
        self.differentiated.optimizer.build(self.differentiated.trainable_variables)
        self._unmoved = [(v, ops.convert_to_numpy(v)) for v in self.model.non_trainable_variables]
        self._fresh = [(v, ops.convert_to_numpy(v)) for v in self.model.optimizer.variables]

    def begin(self, starts: Sequence[Start]) -> Self:
        """This program with the one start's weights and dropout key in, and without all that training left behind."""
        start = starts[0]
        for variable, value in (*self._unmoved, *self._fresh):
            variable.assign(value)
        for path, values in start.weights.items():
            layer, _, leaf = path.partition("/")
            native = "beta" if layer.startswith("norm") and leaf == "bias" else _NATIVE_LEAVES[leaf]
            getattr(self.model.get_layer(layer), native).assign(values.T if leaf == "weight" else values)
        key = dropout_key(start.seed).view(np.int32)
        for layer in self.model.layers:
            if isinstance(layer, KeyedDropout):
                layer.begin(key)
        return self

    def weights(self) -> list[Array]:
        """Each dense layer's weight in the canonical layout."""
        return [ops.convert_to_numpy(kernel).T for kernel in self.kernels]

    def first_weights(self, start: Start) -> Array:
        """The first dense layer's weight, (1, units, inputs)."""
        return self.weights()[0][None]

    def probe(self, x: NDArray[Any], y: NDArray[np.generic]) -> Probed:
        """On one batch without dropout: the loss, each dense layer's activation, and the gradient by its weight.

        A batch norm uses that batch's own moments, as the gradient of training does; its running ones stay.
        """
        kept = [(v, ops.convert_to_numpy(v)) for v in self.differentiated.non_trainable_variables]
        loss = float(self.differentiated.train_on_batch(x, y, return_dict=True)["loss"])
        activations = [np.asarray(ops.convert_to_numpy(a)) for a in self.taps(x, training=True)]
        for variable, value in kept:
            variable.assign(value)
        recorded = dict(
            zip(
                (v.path for v in self.differentiated.trainable_variables),
                self.differentiated.optimizer.recorded,
                strict=True,
            )
        )
        return Probed(loss, activations, [ops.convert_to_numpy(recorded[kernel.path]).T for kernel in self.kernels])


@lru_cache(maxsize=2)
def program(setup: TrainingSetup) -> Program:
    """The compiled models of a setup."""
    return Program(setup)


def _models(setup: TrainingSetup) -> tuple[Any, Any, Any]:
    """Three models on the layers of the zoo's: one to train, one that gives activations, one to differentiate.

    The first has keyed dropout. The second gives every dense layer's activation, the third the logits, both without
    dropout. The penalties of the weights are in every loss.
    """
    arch = chain_of(setup)
    made = build_mlp(arch)
    penalise(setup.optimizer, [made.get_layer(str(i)).kernel for i in range(arch.depth)])
    x = keras.Input((arch.widths[0],))
    trained, plain = _passed(made, arch, x, drop=bool(arch.dropout)), _passed(made, arch, x, drop=False)
    return keras.Model(x, trained[-1]), keras.Model(x, plain), keras.Model(x, plain[-1])


def _passed(made: Any, arch: Mlp, x: Any, *, drop: bool) -> list[Any]:
    """Each dense layer's activation as ``x`` passes through the layers of ``made``; the last are the logits."""
    activations, h = [], x
    for i in range(arch.depth - 1):
        z = made.get_layer(str(i))(h)
        if arch.norm != "none":
            z = made.get_layer(f"norm_{i}")(z)
        a = made.get_layer(f"activation_{i}")(z)
        activations.append(a)
        h = made.get_layer(f"skip_{i}")([a, h]) if arch.has_skip(i) else a
        if drop:
            h = KeyedDropout(arch.dropout, i, name=f"keyed_dropout_{i}")(h)
    return [*activations, made.get_layer(str(arch.depth - 1))(h)]
