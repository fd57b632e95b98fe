"""A recipe's Keras models, compiled once a process: the one that trains, and what looks at it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from initlab.core.facts.arch import Mlp
from initlab.core.training.batches import dropout_key
from initlab.core.training.checks import chain_of
from initlab.core.training.protocol import Optimizer, Recipe, Start
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


class Program:
    """The models of a recipe; ``begin`` makes them a new model without compiling anything again.

    Args:
        recipe: What is trained.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.arch = recipe, chain_of(recipe)
        self.model, self.taps, self.probe = _models(recipe)
        self.kernels = [self.model.get_layer(str(i)).kernel for i in range(self.arch.depth)]
        self._compile()
        self._unmoved = [(v, ops.convert_to_numpy(v)) for v in self.model.non_trainable_variables]
        self._fresh = [(v, ops.convert_to_numpy(v)) for v in self.model.optimizer.variables]

    def _compile(self) -> None:
        """Compile both models and make their optimisers' variables."""
        classes = self.recipe.dataset.kind == "classification"
        metrics = ["accuracy"] if classes else []
        self.model.compile(optimizer_of(self.recipe.optimizer), _loss(self.recipe), metrics=metrics)
        self.probe.compile(GradientRecorder(), _loss(self.recipe))
        for model in (self.model, self.probe):
            model.optimizer.build(model.trainable_variables)

    def begin(self, start: Start) -> None:
        """Put a start's weights and dropout key in, and forget all that training left behind."""
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

    def step(self, x: NDArray[np.float32], y: NDArray[np.generic]) -> tuple[float, float]:
        """One optimiser step; the batch's loss, and its rows classified right (NaN for regression)."""
        logs = self.model.train_on_batch(x, y, return_dict=True)
        return float(logs["loss"]), round(float(logs["accuracy"]) * len(x)) if "accuracy" in logs else np.nan

    def weights(self) -> list[NDArray[np.float32]]:
        """Each dense layer's weight in the canonical layout."""
        return [ops.convert_to_numpy(kernel).T for kernel in self.kernels]

    def outputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits of every row, by the running moments of the batch norms."""
        blocks = [x[i : i + _EVALUATED_ROWS] for i in range(0, len(x), _EVALUATED_ROWS)]
        return np.concatenate([np.asarray(self.model.predict_on_batch(block)) for block in blocks])

    def probed(
        self, x: NDArray[np.float32], y: NDArray[np.generic]
    ) -> tuple[float, list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """On one batch without dropout: the loss, each dense layer's activation, and the gradient by its weight.

        A batch norm uses that batch's own moments, as the gradient of training does; its running ones stay.
        """
        kept = [(v, ops.convert_to_numpy(v)) for v in self.probe.non_trainable_variables]
        loss = float(self.probe.train_on_batch(x, y, return_dict=True)["loss"])
        activations = [np.asarray(ops.convert_to_numpy(a)) for a in self.taps(x, training=True)]
        for variable, value in kept:
            variable.assign(value)
        recorded = dict(
            zip((v.path for v in self.probe.trainable_variables), self.probe.optimizer.recorded, strict=True)
        )
        return loss, activations, [ops.convert_to_numpy(recorded[kernel.path]).T for kernel in self.kernels]


@lru_cache(maxsize=2)
def program(recipe: Recipe) -> Program:
    """The compiled models of a recipe."""
    return Program(recipe)


def _models(recipe: Recipe) -> tuple[Any, Any, Any]:
    """Three models on the layers of the zoo's: one to train, one that gives activations, one to differentiate.

    The first has keyed dropout. The second gives every dense layer's activation, the third the logits, both without
    dropout. The penalties of the weights are in every loss.
    """
    arch, o = chain_of(recipe), recipe.optimizer
    made = build_mlp(arch)
    for i in range(arch.depth):
        made.get_layer(str(i)).kernel.regularizer = keras.regularizers.L1L2(l1=o.l1, l2=o.l2) if o.l1 or o.l2 else None
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


def _loss(recipe: Recipe) -> Any:
    if recipe.loss == "mse":
        return keras.losses.MeanSquaredError()
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def optimizer_of(o: Optimizer) -> Any:
    """Keras' optimiser with the same numbers."""
    if o.name in ("sgd", "momentum"):
        momentum = o.momentum if o.name == "momentum" else 0.0
        return keras.optimizers.SGD(o.learning_rate, momentum=momentum, global_clipnorm=o.clip_norm)
    shared = {"beta_1": o.beta_1, "beta_2": o.beta_2, "epsilon": o.epsilon, "global_clipnorm": o.clip_norm}
    if o.name == "adam":
        return keras.optimizers.Adam(o.learning_rate, **shared)
    return keras.optimizers.AdamW(o.learning_rate, weight_decay=o.weight_decay, **shared)
