"""How calls come to a recorder: of layers, of operations, of functions behind ``keras.ops``, and of operators.

While a pass runs, Keras' own entry points are replaced: ``Layer.__call__``, ``symbolic_call`` of layers and operations,
the back end's functions that ``keras.ops`` calls, and the operators of its tensors and of variables.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import FunctionType
from typing import Any

import keras
from keras.src import backend
from keras.src.ops.operation import Operation

from initlab.core.errors import InitlabError
from initlab.frameworks.keras.reading.function_names import library_kind, name_of_function
from initlab.frameworks.keras.reading.layers import has_weights
from initlab.frameworks.keras.reading.record import Recorder, is_open, is_symbolic

LOCK = threading.RLock()

_OPERATORS = (
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__"),
    *("__pow__", "__rpow__", "__matmul__", "__rmatmul__", "__neg__", "__abs__", "__getitem__"),
)
_CORE = ("cast", "convert_to_tensor", "stop_gradient", "slice", "unstack")
# An operator of a variable asks the back end at once, which knows no symbolic tensors.
_OF_VARIABLES: dict[str, Callable[[Any, Any], Any]] = {
    "__add__": keras.ops.add,
    "__sub__": keras.ops.subtract,
    "__mul__": keras.ops.multiply,
    "__truediv__": keras.ops.true_divide,
    "__pow__": keras.ops.power,
    "__matmul__": keras.ops.matmul,
    "__getitem__": lambda table, rows: keras.ops.take(table, rows, axis=0),
}


@contextmanager
def recorded(recorder: Recorder, *, opaque: bool = False) -> Iterator[None]:
    """Inside, the calls of this thread are written down.

    Args:
        recorder: Takes them.
        opaque: Whether a layer that cannot take symbolic tensors is noted as hidden; else its error is raised.
    """
    with LOCK, ExitStack() as stack:
        for owner, name, function in _replacements(recorder, opaque=opaque):
            stack.enter_context(replaced(owner, name, function))
        yield


def _replacements(recorder: Recorder, *, opaque: bool) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    yield keras.Layer, "__call__", _on_call(recorder)
    yield keras.Layer, "symbolic_call", _on_symbolic_call(recorder, keras.Layer.symbolic_call, opaque=opaque)
    yield Operation, "symbolic_call", _on_symbolic_call(recorder, Operation.symbolic_call, opaque=opaque)
    for module in (backend.nn, backend.numpy, backend.random):
        for name, function in list(vars(module).items()):
            own = isinstance(function, FunctionType) and function.__module__ == module.__name__
            if own and not name.startswith("_"):
                yield module, name, _listening(recorder, name, function)
    for module in (backend, backend.core):
        for name in _CORE:
            if hasattr(module, name):
                yield module, name, _listening(recorder, name, getattr(module, name))
    for kind in recorder.engine.tensor_types:
        for name in _OPERATORS:
            if hasattr(kind, name):
                yield kind, name, _listening(recorder, name, getattr(kind, name))
    for name, function in _OF_VARIABLES.items():
        yield keras.Variable, name, _of_variable(getattr(keras.Variable, name), function)


@contextmanager
def replaced(owner: Any, name: str, function: Any) -> Iterator[None]:
    """Inside, an attribute is another; afterwards it is where it was, and only there."""
    own = name in vars(owner)
    original = getattr(owner, name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)


def _listening(recorder: Recorder, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which tells of its calls."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not recorder.listens():
            return function(*args, **kwargs)
        with recorder.paused():
            outputs = function(*args, **kwargs)
        return recorder.add(name, None, function, args, kwargs, outputs)

    return call


def _of_variable(original: Callable[..., Any], function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def call(variable: Any, other: Any) -> Any:
        return function(variable, other) if is_symbolic(other) else original(variable, other)

    return call


def _on_symbolic_call(recorder: Recorder, original: Callable[..., Any], *, opaque: bool) -> Callable[..., Any]:
    def visit(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not recorder.listens():
            return original(operation, *args, **kwargs)
        layer = operation if isinstance(operation, keras.Layer) else None
        if isinstance(layer, keras.layers.TimeDistributed):
            with recorder.paused():
                outputs = layer.compute_output_spec(args[0])
            return _time_distributed(recorder, layer, args[0], outputs)
        if layer is not None and is_open(layer):
            try:
                with recorder.inside(layer):
                    return layer.call(*args, **kwargs)
            except Exception:
                if not opaque:
                    raise
                recorder.hidden.append(layer.path or layer.name)
        with recorder.paused():
            outputs = operation.compute_output_spec(*args, **kwargs)
        if layer is None:
            return recorder.add(type(operation).__name__, None, operation.call, args, kwargs, outputs)
        own = _own_activation(layer)
        outputs = _add_layer(recorder, layer, args, kwargs, outputs)
        if own is None:
            return outputs
        made = keras.KerasTensor(outputs.shape, dtype=outputs.dtype)
        return _add_activation(recorder, layer, own, (outputs,), {}, made)

    return visit


def _on_call(recorder: Recorder) -> Callable[..., Any]:
    original = keras.Layer.__call__

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if not recorder.listens() or any(is_symbolic(x) for x in keras.tree.flatten((args, kwargs))):
            return original(layer, *args, **kwargs)
        if not layer.built:
            recorder.fault = InitlabError(
                f"the layer '{layer.name}' is not built: the model has not called it yet",
                where="model",
                fix="call the model once on an input, with training=True",
            )
            raise recorder.fault
        if is_open(layer):
            with recorder.inside(layer):
                return original(layer, *args, **kwargs)
        return _closed(recorder, layer, original, args, kwargs)

    return visit


def _closed(recorder: Recorder, layer: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A layer of Keras is one call, but for an activation of its own, which comes after."""
    own, seen = _own_activation(layer), []

    def activation(x: Any, *rest: Any, **options: Any) -> Any:
        seen.append(True)
        x = _add_layer(recorder, layer, args, kwargs, x)
        with recorder.paused():
            made = own(x, *rest, **options)
        return _add_activation(recorder, layer, own, (x, *rest), options, made)

    with recorder.paused(), nullcontext() if own is None else _swapped(layer, activation):
        outputs = original(layer, *args, **kwargs)
    if isinstance(layer, keras.layers.TimeDistributed):
        return _time_distributed(recorder, layer, args[0], outputs)
    return outputs if seen else _add_layer(recorder, layer, args, kwargs, outputs)


def _own_activation(layer: Any) -> Any:
    """The function at the end of a layer with weights; None for none, and for a cell's, which is part of its loop."""
    own = getattr(layer, "activation", None)
    is_apart = callable(own) and own is not keras.activations.linear and has_weights(layer)
    return own if is_apart and not hasattr(layer, "cell") else None


@contextmanager
def _swapped(layer: Any, activation: Callable[..., Any]) -> Iterator[None]:
    before = vars(layer)["activation"]
    vars(layer)["activation"] = activation
    try:
        yield
    finally:
        vars(layer)["activation"] = before


def _add_layer(recorder: Recorder, layer: Any, args: Any, kwargs: Any, outputs: Any) -> Any:
    kind = library_kind(layer)
    if kind is keras.layers.Activation:
        mine = {key: value for key, value in kwargs.items() if key != "training"}  # the layer's argument
        return _add_activation(recorder, layer, layer.activation, args, mine, outputs)
    name = type(layer).__name__ if kind is None else kind.__name__
    return recorder.add(name if kind is not None else "", layer, layer.call, args, kwargs, outputs)


def _add_activation(recorder: Recorder, layer: Any, own: Any, args: Any, kwargs: Any, outputs: Any) -> Any:
    """A function that a layer was given, which stands in the layer."""
    with recorder.inside(layer):
        if isinstance(own, keras.Layer):
            return _add_layer(recorder, own, args, kwargs, outputs)
        return recorder.add(name_of_function(own), None, own, args, {}, outputs)  # the layer's mode is not its own


def _time_distributed(recorder: Recorder, wrapper: Any, x: Any, outputs: Any) -> Any:
    """The wrapped layer sees one step, a symbolic one, and what it makes of it stands for all of them."""
    step = keras.KerasTensor((x.shape[0], *x.shape[2:]), dtype=keras.backend.standardize_dtype(x.dtype))
    recorder.add("reshape", None, keras.ops.reshape, (x,), {}, step)
    return recorder.repeat(wrapper.layer(step), outputs)
