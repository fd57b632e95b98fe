"""One pass through a model, recorded: on symbolic tensors where the model allows it, else on the example itself.

Symbolic tensors carry a shape and no numbers, so such a pass costs milliseconds and sees every layer and every function
of ``keras.ops``, however it was imported, as well as the operators. Code that asks a tensor for its value, or hands it
to the back end's own functions, cannot take them: then the example goes through; layers and functions of ``keras.ops``
are seen, and what was made by other means is told by its values. Either pass runs in a ``StatelessScope``, so that no
variable changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import prod
from types import FunctionType, ModuleType
from typing import Any, Protocol

import keras
from keras.src import backend
from keras.src.ops.operation import Operation

from initlab.frameworks.keras.reading.calls import Call, Record, kind_of
from initlab.frameworks.keras.reading.guesses import steps
from initlab.frameworks.keras.reading.inputs import run
from initlab.frameworks.keras.reading.layers import is_library_layer
from initlab.frameworks.keras.reading.uses import Use, use_of

LOCK = threading.RLock()
_LOOK_BACK = 12  # earlier tensors of a size that are compared with one of unknown origin
# Keras' own layers that are made of others: what they do inside says more than their names.
_OPEN = tuple(
    getattr(keras.layers, name)
    for name in ("MultiHeadAttention", "GroupQueryAttention", "Bidirectional", "SpectralNormalization", "Lambda")
    if hasattr(keras.layers, name)
)


class Listener(Protocol):
    """Is told of the calls of one pass."""

    def listens(self) -> bool:
        """Whether a call at this moment is one to be told of."""
        ...

    def paused(self) -> AbstractContextManager[None]:
        """Inside, it is told of nothing."""
        ...

    def add(self, name: str, layer: Any, function: Callable[..., Any], args: Any, kwargs: Any, outputs: Any) -> Any:
        """Hear of a call; what it returns is what the model goes on with."""
        ...


class Recorder:
    """Numbers the tensors of one pass and writes its calls down.

    Args:
        is_tensor: Which objects are tensors of this pass.
        by_value: Whether the origin of a tensor that no call made is told by its values.
    """

    def __init__(self, is_tensor: Callable[[Any], bool], *, by_value: bool = False) -> None:
        self.record = Record()
        self.thread = threading.get_ident()
        self.depth = 0
        self._is_tensor = is_tensor
        self._by_value = by_value
        self._numbers: dict[int, int] = {}
        self._products: dict[int, Use] = {}  # of tensors, the kernel that made each
        self._kept: list[Any] = []  # by number; an id is a tensor's own only as long as the tensor lives

    def begin(self, inputs: Any) -> None:
        """Take these tensors for the model's inputs."""
        self.record.inputs = set(self._number_all(self._tensors(inputs)))

    def end(self, outputs: Any) -> None:
        """Take these tensors for the model's outputs."""
        self.record.outputs = {self._numbers[id(x)] for x in self._tensors(outputs) if id(x) in self._numbers}

    def listens(self) -> bool:
        """Whether a call at this moment is one to be written down: not inside a layer, and not of another thread."""
        return self.depth == 0 and threading.get_ident() == self.thread

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is written down inside."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def add(self, name: str, layer: Any, function: Callable[..., Any], args: Any, kwargs: Any, outputs: Any) -> Any:
        """Write a call down, if it was given a tensor of this pass; returns what the call made."""
        tensors = self._tensors((args, {k: v for k, v in kwargs.items() if "mask" not in k}))
        made = self._tensors(outputs)
        if not tensors or not made:
            return outputs
        if self._by_value:
            self._explain(tensors)
        sizes = tuple(int(x.shape[-1] or 0) if len(x.shape) else 0 for x in tensors)
        numbers = self._number_all(tensors)
        results = self._number_all(made)
        if layer is None:
            layer = self._kernel(use_of(kind_of(name), function, args, self._products.get(numbers[0])), results)
        again = called_again(self._is_tensor, function, args, kwargs)
        self.record.calls.append(Call(kind_of(name), layer, numbers, results, sizes, again))
        return outputs

    def _kernel(self, use: Use | None, results: Sequence[int]) -> Any:
        """Keep the use of a variable; returns it where it is a kernel."""
        if use is None:
            return None
        self.record.uses.setdefault(id(use.variable), []).append(use)
        if use.axes is None:
            return None
        self._products.update(dict.fromkeys(results, use))
        return use.variable

    def _tensors(self, structure: Any) -> list[Any]:
        return [x for x in keras.tree.flatten(structure) if self._is_tensor(x)]

    def _number_all(self, tensors: Sequence[Any]) -> tuple[int, ...]:
        for x in tensors:
            if id(x) not in self._numbers:
                self._numbers[id(x)] = len(self._kept)
                self._kept.append(x)
        return tuple(self._numbers[id(x)] for x in tensors)

    def _explain(self, tensors: Sequence[Any]) -> None:
        """Write down how the tensors that no call made may have come about."""
        for x in tensors:
            if id(x) in self._numbers:
                continue
            size = prod(x.shape)
            alike = [y for y in self._kept if prod(y.shape) == size][-_LOOK_BACK:]
            with self.paused():
                found = steps(x, alike) if size > 1 else ()
            for step in found:
                inputs, outputs = self._number_all(step.inputs), self._number_all([step.output])
                self.record.calls.append(Call(kind_of(step.kind), None, inputs, outputs, probe=step.function))


def called_again(
    is_input: Callable[[Any], bool], function: Callable[..., Any], args: Any, kwargs: Any
) -> Callable[..., Any]:
    """The call again, as a function of those of its arguments that are its inputs."""

    def again(*replaced: Any) -> Any:
        left = iter(replaced)

        def fill(x: Any) -> Any:
            return next(left) if is_input(x) else x

        new_args, new_kwargs = keras.tree.map_structure(fill, (args, kwargs))
        return function(*new_args, **new_kwargs)

    return again


def record_symbolic(model: Any, inputs: Sequence[Any], *, opaque: bool) -> Record:
    """The record of a pass on ``KerasTensor`` inputs.

    Args:
        model: A built model.
        inputs: Its arguments, in order; each a structure of ``KerasTensor``.
        opaque: Whether a layer that cannot take symbolic tensors is noted down as hidden; else its error is raised.
    """
    recorder = Recorder(lambda x: isinstance(x, keras.KerasTensor))
    recorder.begin(tuple(inputs))

    of_layers, of_operations = keras.Layer.symbolic_call, Operation.symbolic_call

    def visit(operation: Any, *args: Any, **kwargs: Any) -> Any:
        layer = operation if isinstance(operation, keras.Layer) else None
        if not recorder.listens():
            return (of_operations if layer is None else of_layers)(operation, *args, **kwargs)
        if isinstance(layer, keras.layers.TimeDistributed):
            return _time_distributed(recorder, layer, args[0])
        if layer is not None and is_open(layer):
            try:
                return layer.call(*args, **kwargs)
            except Exception:
                if not opaque:
                    raise
                recorder.record.hidden.append(layer.path or layer.name)
        with recorder.paused():
            outputs = operation.compute_output_spec(*args, **kwargs)
        recorder.add(type(operation).__name__, layer, operation.call, args, kwargs, outputs)
        return outputs

    with (
        LOCK,
        keras.StatelessScope(),
        replaced(keras.Layer, "symbolic_call", visit),
        replaced(Operation, "symbolic_call", visit),
    ):
        recorder.end(model(*inputs))
    return recorder.record


def record_example(model: Any, inputs: Sequence[Any]) -> Record:
    """The record of a pass of an example itself.

    Raises:
        ShapeError: The model does not take it.
    """
    recorder = Recorder(lambda x: keras.ops.is_tensor(x) and not isinstance(x, keras.KerasTensor), by_value=True)
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, tuple(inputs))
    recorder.begin(tensors)
    original = keras.Layer.__call__

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        closed = recorder.listens() and not is_open(layer)
        with recorder.paused() if closed else nullcontext():
            outputs = original(layer, *args, **kwargs)
        return recorder.add(type(layer).__name__, layer, layer.call, args, kwargs, outputs) if closed else outputs

    with LOCK, keras.StatelessScope(), replaced(keras.Layer, "__call__", visit), listening_functions(recorder):
        recorder.end(run(model, tensors))
    return recorder.record


def _time_distributed(recorder: Recorder, wrapper: Any, x: Any) -> Any:
    """The wrapped layer sees one step, and what it makes is put together again."""
    step = keras.KerasTensor((x.shape[0], *x.shape[2:]), dtype=x.dtype)
    recorder.add("identity", None, _same, (x,), {}, step)
    made = wrapper.layer(step)
    with recorder.paused():
        outputs = wrapper.compute_output_spec(x)
    recorder.add("identity", None, _same, (made,), {}, outputs)
    return outputs


def _same(x: Any) -> Any:
    return x


def is_open(layer: Any) -> bool:
    """Whether the calls inside a layer are written down in place of its own."""
    return isinstance(layer, _OPEN) or not is_library_layer(layer)


@contextmanager
def replaced(owner: Any, name: str, function: Any) -> Iterator[None]:
    """Inside, an attribute is another."""
    original = getattr(owner, name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def listening_functions(recorder: Listener) -> Iterator[None]:
    """The back end's functions behind ``keras.ops`` tell of their calls."""
    modules: tuple[ModuleType, ...] = (backend.nn, backend.numpy)
    originals = [
        (module, name, function)
        for module in modules
        for name, function in vars(module).items()
        if isinstance(function, FunctionType) and not name.startswith("_") and function.__module__ == module.__name__
    ]
    for module, name, function in originals:
        setattr(module, name, listening(recorder, name, function))
    try:
        yield
    finally:
        for module, name, function in originals:
            setattr(module, name, function)


def listening(recorder: Listener, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which tells of its calls."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not recorder.listens():
            return function(*args, **kwargs)
        with recorder.paused():
            outputs = function(*args, **kwargs)
        return recorder.add(name, None, function, args, kwargs, outputs)

    return call
