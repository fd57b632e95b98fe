"""What an ear hears of a pass: calls of layers, of functions behind ``keras.ops``, and of operators on tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import keras
from keras.src import backend

from initlab.core.errors import InitlabError
from initlab.frameworks.keras.probing.recorder import Ear
from initlab.frameworks.keras.reading.layers import has_weights
from initlab.frameworks.keras.reading.record import is_open, listening, listening_functions, replaced

_OPERATORS = (
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__"),
    *("__pow__", "__rpow__", "__matmul__", "__rmatmul__", "__neg__", "__abs__", "__getitem__"),
)
_CORE = ("cast", "convert_to_tensor", "stop_gradient", "slice")


@contextmanager
def heard(ear: Ear, model: Any) -> Iterator[None]:
    """Inside, the calls of layers, of functions and of operators on tensors are heard."""
    with ExitStack() as stack:
        stack.enter_context(replaced(keras.Layer, "__call__", _visiting(ear, model)))
        stack.enter_context(listening_functions(ear))
        stack.enter_context(replaced(backend.random, "dropout", listening(ear, "dropout", backend.random.dropout)))
        for module in (backend, backend.core):
            for name in _CORE:
                if hasattr(module, name):
                    stack.enter_context(replaced(module, name, listening(ear, name, getattr(module, name))))
        for kind in ear.engine.tensor_types:
            for name in _OPERATORS:
                if hasattr(kind, name):
                    stack.enter_context(_heard_method(ear, kind, name))
        yield


@contextmanager
def _heard_method(ear: Ear, kind: type, name: str) -> Iterator[None]:
    own = name in vars(kind)
    original = getattr(kind, name)
    setattr(kind, name, listening(ear, name, original))
    try:
        yield
    finally:
        if own:
            setattr(kind, name, original)
        else:
            delattr(kind, name)


def _visiting(ear: Ear, model: Any) -> Callable[..., Any]:
    original = keras.Layer.__call__

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if not ear.listens():
            return original(layer, *args, **kwargs)
        if not layer.built:
            ear.refusal = InitlabError(
                f"the layer '{layer.name}' is not built: the model has not called it yet",
                where="model",
                fix="call the model once on an input, with training=True",
            )
            raise ear.refusal
        if is_open(layer):
            return _opened(ear, model, layer, original, args, kwargs)
        return _closed(ear, layer, original, args, kwargs)

    return visit


def _opened(ear: Ear, model: Any, layer: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A layer of the user's, or one of Keras that is made of others: what happens inside is heard."""
    ear.homes.append("" if layer is model else ear.path_of(layer))
    try:
        return original(layer, *args, **kwargs)
    finally:
        ear.homes.pop()


def _closed(ear: Ear, layer: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A layer of Keras is one call, but for an activation of its own, which comes after."""
    own: Any = getattr(layer, "activation", None)
    name, seen = type(layer).__name__, []

    def activation(x: Any, *rest: Any, **options: Any) -> Any:
        seen.append(True)
        x = ear.add(name, layer, layer.call, args, kwargs, x)
        with ear.paused():
            made = own(x, *rest, **options)
        ear.homes.append(ear.path_of(layer))
        try:
            word = getattr(own, "__name__", type(own).__name__)
            is_layer = isinstance(own, keras.Layer)
            function = own.call if is_layer else own
            return ear.add(word, own if is_layer else None, function, (x, *rest), options, made)
        finally:
            ear.homes.pop()

    is_apart = has_weights(layer) and not hasattr(layer, "cell") and callable(own)
    inside = _swapped(layer, activation) if is_apart and own is not keras.activations.linear else nullcontext()
    with ear.paused(), inside:
        outputs = original(layer, *args, **kwargs)
    return outputs if seen else ear.add(name, layer, layer.call, args, kwargs, outputs)


@contextmanager
def _swapped(layer: Any, activation: Callable[..., Any]) -> Iterator[None]:
    before = vars(layer)["activation"]
    vars(layer)["activation"] = activation
    try:
        yield
    finally:
        vars(layer)["activation"] = before
