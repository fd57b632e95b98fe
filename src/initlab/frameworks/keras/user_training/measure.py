"""What the layers of a user's Keras model do on one batch: outputs after their nonlinearity, and gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.keras.autodiff import autodiff
from initlab.frameworks.keras.reading.lookup import find
from initlab.frameworks.keras.reading.parameters import entries, layers_of
from initlab.frameworks.keras.reading.passes import recorded
from initlab.frameworks.keras.reading.recognition import recognise
from initlab.frameworks.keras.reading.record import Recorder
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.keras.training.chunk import Probed
from initlab.frameworks.keras.training.program import GradientRecorder
from initlab.frameworks.reading.activations import activations
from initlab.frameworks.reading.calls import Call
from initlab.frameworks.reading.graph import Node
from initlab.frameworks.reading.recognition import Recognised


class Layer(NamedTuple):
    """One weight of a model.

    Attributes:
        param: What is known of it.
        native: Its name in the model.
        variable: The weight itself.
        owner: The layer that holds it.
    """

    param: ParamSpec
    native: str
    variable: Any
    owner: Any


def weights_of(model: Any, params: Sequence[ParamSpec]) -> tuple[Layer, ...]:
    """The weights of these descriptions."""
    found = [(p, find(model, p)) for p in params]
    return tuple(Layer(p, entry.native, entry.variable, entry.layer) for p, entry in found)


class _Trainlike(keras.Model):  # type: ignore[misc]  # keras ships no types
    """A model as it is in training."""

    def __init__(self, inner: Any) -> None:
        super().__init__(name="probe")
        self.inner = inner

    def call(self, x: Any) -> Any:
        """The inner model's outputs."""
        return self.inner(x, training=True)


class Probe:
    """Measures a model on one batch, and leaves it as it was.

    Args:
        model: The model.
        layers: Its weights.
        loss: A Keras loss.
    """

    def __init__(self, model: Any, layers: Sequence[Layer], loss: Any) -> None:
        self.model, self.layers = model, layers
        self._differentiated = _Trainlike(model)
        self._differentiated.compile(GradientRecorder(), loss)
        self._differentiated.optimizer.build(model.trainable_variables)

    def __call__(self, x: NDArray[np.generic], y: NDArray[np.generic]) -> Probed:
        """The pass of a batch as in training, but without dropout: a batch norm uses the batch's own moments.

        A layer's activation is the output of the nonlinearity that comes next, if one does before another layer with
        weights; else the layer's own output.
        """
        kept = [(v, to_numpy(v.value)) for v in self.model.variables if not v.trainable]
        with _without_dropout(self.model):
            loss = float(self._differentiated.train_on_batch(x, y, return_dict=True)["loss"])
            outputs = self._activations(keras.ops.convert_to_tensor(x))
        for variable, value in kept:
            variable.assign(value)
        by_variable = {
            id(v): to_numpy(g.value)
            for v, g in zip(self.model.trainable_variables, self._differentiated.optimizer.recorded, strict=True)
        }
        gradients = [by_variable.get(id(la.variable), np.zeros(la.variable.shape, np.float32)) for la in self.layers]
        return Probed(loss, outputs, tuple(np.asarray(g, np.float32) for g in gradients))

    def _activations(self, x: Any) -> tuple[NDArray[np.float32], ...]:
        """What each layer makes of rows, from a recorded pass."""
        kept, found = _Kept(), entries(self.model)
        recorder = Recorder(self.model, found, autodiff(), kept)
        with keras.StatelessScope(), recorded(recorder):
            for entry in found:
                recorder.parameter(entry, entry.variable.value)
            recorder.end(keras.tree.flatten(self.model(*recorder.begin((x,)), training=True)))
        made = activations(recorder.graph, {layer.native: layer.param for layer in self.layers}, _recognised)
        unseen = np.full((1, 1), np.nan, np.float32)
        return tuple(
            _by_unit(kept.values[made[layer.native]], layer) if made.get(layer.native) in kept.values else unseen
            for layer in self.layers
        )


class _Kept:
    """The values of a pass; a listener of its recorder."""

    def __init__(self) -> None:
        self.values: dict[Node, Any] = {}

    def made(self, node: Node, call: Call | None, tensor: Any) -> Any:
        """Keep a value."""
        self.values.setdefault(node, tensor)
        return tensor


def _recognised(node: Node) -> Recognised:
    assert node.function is not None
    return recognise(node.function)


def _by_unit(tensor: Any, layer: Layer) -> NDArray[np.float32]:
    """(everything else, units): the channels of a convolution, else the last axis."""
    array = np.asarray(to_numpy(tensor), np.float32)
    first = getattr(layer.owner, "data_format", "channels_last") == "channels_first" and array.ndim > 2
    moved = np.moveaxis(array, 1, -1) if first else array
    return moved.reshape(-1, moved.shape[-1] if moved.ndim else 1)


@contextmanager
def _without_dropout(model: Any) -> Iterator[None]:
    """Within it, dropout layers drop nothing; a step that is compiled within it never does."""
    rates = [(layer, layer.rate) for layer in layers_of(model) if isinstance(layer, _DROPOUTS)]
    for layer, _ in rates:
        layer.rate = 0.0
    try:
        yield
    finally:
        for layer, rate in rates:
            layer.rate = rate


_DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
)
