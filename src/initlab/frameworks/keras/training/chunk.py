"""One Keras model that trains by Keras' compiled step: what a trainer of our own networks and of the user's share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.core.training.loop import Array, State
from initlab.core.training.outcomes import PROBE_ROWS, layer_statistics
from initlab.core.training.protocol import Optimizer, Start, TrainingSetup, UserTrainingSetup
from initlab.frameworks.keras.tensors import to_numpy

_SMALLEST = 1e-7  # probabilities below it count as this much, as in Keras' cross-entropy


class Rows(NamedTuple):
    """The data as a model and Keras' loss take them."""

    x_train: NDArray[np.generic]
    y_train: NDArray[np.generic]
    x_test: NDArray[np.generic]
    y_test: NDArray[np.generic]


class Probed(NamedTuple):
    """What the probe batch shows of one model.

    Attributes:
        loss: A number.
        activations: For each layer its output, (rows, units), after the nonlinearity where one follows; NaN, (1, 1),
            where it was not seen.
        gradients: Of the loss by each layer's weight; zero where it has none.
    """

    loss: float
    activations: Sequence[Array]
    gradients: Sequence[Array]


class KerasChunk(ABC):
    """The chunk of one compiled model, for ``core.training.loop.train_chunk``.

    Args:
        setup: What is trained.
        model: Compiled.
        data: Its rows.
        evaluated_rows: Test rows at a time.
        gives: What the model's outputs of classes are.
    """

    def __init__(
        self,
        setup: TrainingSetup | UserTrainingSetup,
        model: Any,
        data: Rows,
        *,
        evaluated_rows: int,
        gives: str = "logits",
    ) -> None:
        self.setup, self.model, self.data = setup, model, data
        self._evaluated_rows, self._gives = evaluated_rows, gives

    @abstractmethod
    def weights(self) -> list[Array]:
        """Each layer's weight."""

    @abstractmethod
    def probe(self, x: NDArray[Any], y: NDArray[np.generic]) -> Probed:
        """One batch without dropout; everything of the model is afterwards as it was."""

    @abstractmethod
    def first_weights(self, start: Start) -> Array | None:
        """The first layer's, (1, units, inputs); None where there is no picture of it."""

    def train_epoch(self, orders: Sequence[NDArray[np.int32]], counts: Sequence[int]) -> tuple[Array, Array]:
        """One epoch's steps taken; of each step the loss and the rows classified right, each (1, steps)."""
        steps = [self.step(orders[0][i, :count]) for i, count in enumerate(counts)]
        seen = np.array(steps, np.float32).reshape(1, -1, 2)
        return seen[:, :, 0], seen[:, :, 1]

    def step(self, rows: NDArray[np.int32]) -> tuple[float, float]:
        """One optimiser step; the batch's loss, and its rows classified right (NaN for regression)."""
        logs = self.model.train_on_batch(self.data.x_train[rows], self.data.y_train[rows], return_dict=True)
        return float(logs["loss"]), round(float(logs["accuracy"]) * len(rows)) if "accuracy" in logs else np.nan

    def measure(self) -> State:
        """The model as it is."""
        x, size = self.data.x_test, self._evaluated_rows
        blocks = [np.asarray(self.model.predict_on_batch(x[i : i + size]), np.float32) for i in range(0, len(x), size)]
        self._outputs, weights = both_classes(np.concatenate(blocks), self._gives), self.weights()
        loss = self._total_loss(weights)
        hits = np.nan if np.isnan(loss) else self._hits()
        probed = self.probe(self.data.x_train[:PROBE_ROWS], self.data.y_train[:PROBE_ROWS])
        self._layers = list(zip(weights, probed.activations, probed.gradients, strict=True))
        layers = np.stack([layer_statistics(*arrays) for arrays in self._layers], axis=1)[None]
        return State(np.array([[loss, hits]], np.float32), np.array([probed.loss], np.float32), layers)

    def variables(self) -> dict[str, NDArray[Any]]:
        """Every layer's weights by their paths, as Keras' own callback names them, (1, ...)."""
        held = (weight for layer in self.model.layers for weight in layer.weights)
        return {weight.path.replace(":", "_"): to_numpy(weight.value)[None] for weight in held}

    def graph(self) -> bytes:
        """The layers of a functional or sequential model, as Keras' own callback tells them."""
        return self.model.to_json().encode() if type(self.model).__name__ in ("Functional", "Sequential") else b""

    def arrays(self) -> list[tuple[Array, Array, Array]]:
        """Of each layer the weights, the activations on the probe batch, and the gradients of its loss."""
        return [(weight[None], a[None], gradient[None]) for weight, a, gradient in self._layers]

    def outputs(self) -> Array:
        """(1, test rows, outputs)."""
        return self._outputs[None]

    def _total_loss(self, weights: Sequence[Array]) -> float:
        """Data loss plus the L1 and L2 penalties of the weights, as Keras reports it."""
        o = self.setup.optimizer
        with np.errstate(all="ignore"):  # of a model that diverged
            loss = self._data_loss(self._outputs.astype(np.float64))
            loss += o.l1 * sum(float(np.abs(w).sum()) for w in weights)
            return loss + o.l2 * sum(float(np.square(w).sum()) for w in weights)

    def _data_loss(self, outputs: NDArray[np.float64]) -> float:
        y = self.data.y_test
        if self.setup.loss == "mse":
            return float(np.square(outputs - y.astype(np.float64)).mean())
        own = outputs[np.arange(len(y)), y.astype(np.intp)]
        if self._gives in ("probabilities", "probability"):
            return float(-np.log(np.maximum(own, _SMALLEST)).mean())
        highest = outputs.max(axis=1)
        return float((highest + np.log(np.exp(outputs - highest[:, None]).sum(axis=1)) - own).mean())

    def _hits(self) -> float:
        dataset = self.setup.dataset
        if dataset.kind != "classification":
            return np.nan
        return float(np.count_nonzero(self._outputs.argmax(axis=1) == dataset.y_test))


def both_classes(outputs: Array, gives: str) -> Array:
    """(rows, outputs): of one output that tells two classes one for each, logits 0 and o, or probabilities 1 - p and p.

    Example:
        >>> both_classes(np.array([[0.25]]), "probability").tolist(), both_classes(np.array([[3.0]]), "logit").tolist()
        ([[0.75, 0.25]], [[0.0, 3.0]])
    """
    if gives not in ("logit", "probability"):
        return outputs
    one = outputs.reshape(-1, 1)
    return np.hstack([1 - one if gives == "probability" else np.zeros_like(one), one])


def rows_of(
    setup: TrainingSetup | UserTrainingSetup,
    x_kind: str,
    row_shape: tuple[int, ...],
    outputs: int,
    gives: str = "logits",
) -> Rows:
    """The data as Keras' loss takes them: squared errors of classes are those of one-hot rows.

    Args:
        setup: Data and loss.
        x_kind: The dtype of a row.
        row_shape: Its shape.
        outputs: Numbers that the model gives for a row.
        gives: What they are.
    """
    data, hot = setup.dataset, np.eye(outputs, dtype=np.float32)
    x_train, x_test = (np.asarray(x, x_kind).reshape(len(x), *row_shape) for x in (data.x_train, data.x_test))
    kind = np.int32 if data.kind == "classification" else np.float32
    y_train, y_test = np.asarray(data.y_train, kind), np.asarray(data.y_test, kind)
    if data.kind == "classification" and setup.loss == "mse":
        return Rows(x_train, hot[y_train], x_test, hot[y_test])
    if gives in ("logit", "probability"):
        return Rows(x_train, y_train.reshape(-1, 1), x_test, y_test)
    return Rows(x_train, y_train, x_test, y_test)


def compile_model(setup: TrainingSetup | UserTrainingSetup, model: Any, loss: Any, gives: str = "logits") -> None:
    """Compile a model for a setup, and make its optimiser's variables."""
    metrics: list[Any] = ["accuracy"] if setup.dataset.kind == "classification" else []
    if gives in ("logit", "probability"):
        metrics = [keras.metrics.BinaryAccuracy("accuracy", threshold=0.5 if gives == "probability" else 0.0)]
    model.compile(optimizer_of(setup.optimizer), loss, metrics=metrics)
    model.optimizer.build(model.trainable_variables)


def penalise(o: Optimizer, kernels: Sequence[Any]) -> None:
    """The L1 and L2 penalties of the weights put into the losses of the models that hold them."""
    if o.l1 or o.l2:
        for kernel in kernels:
            kernel.regularizer = keras.regularizers.L1L2(l1=o.l1, l2=o.l2)


def loss_of(setup: TrainingSetup | UserTrainingSetup, gives: str = "logits") -> Any:
    """Keras' loss, of outputs that are logits or probabilities, one of them for two classes."""
    if setup.loss == "mse":
        return keras.losses.MeanSquaredError()
    if gives in ("logit", "probability"):
        return keras.losses.BinaryCrossentropy(from_logits=gives == "logit")
    return keras.losses.SparseCategoricalCrossentropy(from_logits=gives == "logits")


def optimizer_of(o: Optimizer) -> Any:
    """Keras' optimiser with the same numbers."""
    if o.name in ("sgd", "momentum"):
        momentum = o.momentum if o.name == "momentum" else 0.0
        return keras.optimizers.SGD(o.learning_rate, momentum=momentum, global_clipnorm=o.clip_norm)
    shared = {"beta_1": o.beta_1, "beta_2": o.beta_2, "epsilon": o.epsilon, "global_clipnorm": o.clip_norm}
    if o.name == "adam":
        return keras.optimizers.Adam(o.learning_rate, **shared)
    return keras.optimizers.AdamW(o.learning_rate, weight_decay=o.weight_decay, **shared)
