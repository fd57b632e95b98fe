"""What the layers of a user's Keras model do on one batch: outputs after their nonlinearity, and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
from keras.src import backend
from numpy.typing import NDArray

from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.keras.reading.lookup import find
from initlab.frameworks.keras.reading.parameters import layers_of
from initlab.frameworks.keras.reading.record import replaced
from initlab.frameworks.keras.training.program import GradientRecorder
from initlab.frameworks.keras.writing.memory import to_numpy

_NONLINEAR = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "softplus", "softsign", "sigmoid"),
    *("hard_sigmoid", "hard_silu", "hard_tanh", "hard_shrink", "soft_shrink", "tanh_shrink", "log_sigmoid", "tanh"),
    *("threshold", "squareplus", "sparse_plus"),
)


class Layer(NamedTuple):
    """One weight of a model.

    Attributes:
        param: What is known of it.
        variable: The weight itself.
        owner: The layer whose output is that of the weight.
    """

    param: ParamSpec
    variable: Any
    owner: Any


class Probed(NamedTuple):
    """What one pass forth and back gave.

    Attributes:
        loss: A number.
        activations: For each layer its output, (rows, units), after the nonlinearity where one follows; NaN, (1, 1),
            where it was not seen.
        gradients: Of the loss by each layer's weight; zero where it has none.
    """

    loss: float
    activations: tuple[NDArray[np.float32], ...]
    gradients: tuple[NDArray[np.float32], ...]


def weights_of(model: Any, params: Sequence[ParamSpec]) -> tuple[Layer, ...]:
    """The weights of these descriptions; a recurrent cell's belong to the layer that runs it."""
    runners = {
        id(cell): layer
        for layer in layers_of(model)
        if isinstance(layer, keras.layers.RNN)
        for cell in layers_of(layer.cell)
    }
    found = [(p, find(model, p)) for p in params]
    return tuple(Layer(p, entry.variable, runners.get(id(entry.layer), entry.layer)) for p, entry in found)


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
        kept = [(v, to_numpy(v.value)) for v in self.model.variables]
        seen = _Seen(self.layers)
        with _without_dropout(self.model):
            loss = float(self._differentiated.train_on_batch(x, y, return_dict=True)["loss"])
            with seen.listening():
                self.model(keras.ops.convert_to_tensor(x), training=True)
        for variable, value in kept:
            if not variable.trainable:
                variable.assign(value)
        recorder = self._differentiated.optimizer
        by_variable = {
            id(v): to_numpy(g.value) for v, g in zip(self.model.trainable_variables, recorder.recorded, strict=True)
        }
        gradients = [by_variable.get(id(la.variable), np.zeros(la.variable.shape, np.float32)) for la in self.layers]
        return Probed(loss, tuple(seen.outputs), tuple(np.asarray(g, np.float32) for g in gradients))


class _Seen:
    """Writes down what layers put out, and which nonlinearity takes it."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.outputs = [np.full((1, 1), np.nan, np.float32) for _ in layers]
        self._layers = layers
        self._waiting: list[int] = []
        self._shape: tuple[int, ...] = ()
        self._inside = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it, the calls of layers and of the back end's nonlinear functions are written down."""
        original = keras.Layer.__call__

        def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
            mine = [i for i, known in enumerate(self._layers) if known.owner is layer]
            self._inside += bool(mine)
            try:
                outputs = original(layer, *args, **kwargs)
            finally:
                self._inside -= bool(mine)
            if mine:
                self._waiting = mine
                self._keep(_first_tensor(outputs))
            return outputs

        with ExitStack() as stack:
            stack.enter_context(replaced(keras.Layer, "__call__", visit))
            for name in _NONLINEAR:
                home = backend.nn if hasattr(backend.nn, name) else backend.numpy
                if hasattr(home, name):
                    stack.enter_context(replaced(home, name, self._listening(getattr(home, name))))
            yield

    def _listening(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            outputs = function(*args, **kwargs)
            # The activation inside a layer that holds weights is part of that layer's output.
            if self._waiting and not self._inside and tuple(getattr(outputs, "shape", ())) == self._shape:
                self._keep(outputs)
                self._waiting = []
            return outputs

        return call

    def _keep(self, tensor: Any) -> None:
        if tensor is None:
            return
        self._shape = tuple(tensor.shape)
        try:
            array = np.asarray(to_numpy(tensor), np.float32)
        except (TypeError, ValueError, NotImplementedError, AttributeError):
            return  # inside a loop of the back end's, where tensors have no values
        for i in self._waiting:
            self.outputs[i] = _by_unit(array, self._layers[i])


def _by_unit(array: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
    """(everything else, units): the channels of a convolution, else the last axis."""
    first = getattr(layer.owner, "data_format", "channels_last") == "channels_first" and array.ndim > 2
    moved = np.moveaxis(array, 1, -1) if first else array
    return moved.reshape(-1, moved.shape[-1] if moved.ndim else 1)


def _first_tensor(outputs: Any) -> Any:
    return next((x for x in keras.tree.flatten(outputs) if keras.ops.is_tensor(x)), None)


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
