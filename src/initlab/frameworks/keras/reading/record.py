"""One pass through a model, recorded as a graph: on symbolic tensors where the model allows it, else on an example.

Symbolic tensors carry a shape and no numbers, so such a pass costs milliseconds and sees every layer and every function
of ``keras.ops``, however it was imported, as well as the operators. Code that asks a tensor for its value, or hands it
to the back end's own functions, cannot take them: then the example goes through. Layers, functions of ``keras.ops`` and
operators are seen there too; what a back end's own function made of an earlier value is told by the numbers, where one
of the registered activations made every one of them. Either pass runs in a ``StatelessScope``, so no variable changes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any, Protocol

import keras

from initlab.frameworks.keras.autodiff import Autodiff
from initlab.frameworks.keras.reading.calls import KERAS
from initlab.frameworks.keras.reading.function_names import library_kind, name_of
from initlab.frameworks.keras.reading.layers import own_variables
from initlab.frameworks.keras.reading.operations import operate
from initlab.frameworks.keras.reading.parameters import Entry, layers_of, numbers
from initlab.frameworks.keras.reading.recognition import activation_between, on_tensors
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.reading.axes import own_axes
from initlab.frameworks.reading.calls import Call
from initlab.frameworks.reading.graph import Graph, Home, Node
from initlab.frameworks.reading.operation import part_of
from initlab.frameworks.reading.registered import whole_layer

_RECENT = 12  # earlier values of a size that are compared with one of unknown origin
# Keras' own layers that are made of others: what they do inside says more than their names.
_OPEN = tuple(
    getattr(keras.layers, name)
    for name in ("MultiHeadAttention", "GroupQueryAttention", "Bidirectional", "SpectralNormalization", "Lambda")
    if hasattr(keras.layers, name)
)
OUTSIDE = "code outside keras.ops"


class Listener(Protocol):
    """Who hears of each value while it is recorded, with the numbers in hand."""

    def made(self, node: Node, call: Call | None, tensor: Any) -> Any:
        """A call returned this value, or the model was given it; what comes back is what the model goes on with."""
        ...


class Recorder:
    """Writes each call of one pass into a graph; tensors are told apart as objects.

    Args:
        model: The model.
        found: Its parameters.
        engine: The back end's differentiation.
        listener: Is told of each value.
    """

    def __init__(self, model: Any, found: Sequence[Entry], engine: Autodiff, listener: Listener | None = None) -> None:
        self.graph = Graph()
        self.model, self.engine, self.listener = model, engine, listener
        self.hidden: list[str] = []
        self.by_value = False
        self.fault: Exception | None = None  # for what is not the model's own to be told of
        self._held_by = held_by(model, found)
        self._parameters = {id(entry.variable): _parameter(entry) for entry in found}
        self._homes = [""]
        self._depth, self._thread = 0, threading.get_ident()
        self._nodes: dict[int, tuple[Any, Node]] = {}  # with the tensor: an id is its own only as long as it lives
        self._recent: deque[tuple[Node, Any]] = deque(maxlen=4 * _RECENT)
        self._rows = 0
        for entry in found:
            self.keep(entry.variable, self._parameters[id(entry.variable)])

    # When it listens

    def listens(self) -> bool:
        """Whether a call at this moment is one to be written down: not inside a layer, and not of another thread."""
        return self._depth == 0 and threading.get_ident() == self._thread

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is written down inside."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    @contextmanager
    def inside(self, layer: Any) -> Iterator[None]:
        """What is written down inside stands in this layer's own code."""
        self._homes.append("" if layer is self.model else self.path_of(layer))
        try:
            yield
        finally:
            self._homes.pop()

    def path_of(self, layer: Any) -> str:
        """A layer's path; one that Keras gave none has its name behind that of the layer around it."""
        around = self._homes[-1]
        return str(layer.path or (f"{around}/{layer.name}" if around else layer.name))

    # What it writes

    def keep(self, tensor: Any, node: Node) -> None:
        """From here on, the tensor stands for this value."""
        self._nodes[id(tensor)] = (tensor, node)

    def parameter(self, entry: Entry, tensor: Any) -> None:
        """From here on, the tensor stands for this parameter."""
        self.keep(tensor, self._parameters[id(entry.variable)])

    def begin(self, inputs: Any) -> Any:
        """Take these tensors for the model's inputs; returns them as the model goes on with them."""

        def given(tensor: Any) -> Any:
            shape = _shape(tensor)
            self._rows = self._rows or (shape[0] if shape else 0)
            return self._made(self.graph.add(Node("input", "input", shape=shape)), None, tensor)

        with self.paused():
            return keras.tree.map_structure(given, inputs)

    def end(self, outputs: Sequence[Any]) -> None:
        """Take these tensors for the model's outputs."""
        with self.paused():
            nodes = [self.node(x) for x in outputs if is_tensor(x)]
            self.graph.outputs = tuple(dict.fromkeys(node for node in nodes if node.is_data))

    def add(self, name: str, layer: Any, function: Callable[..., Any], args: Any, kwargs: Any, outputs: Any) -> Any:
        """Write a call down; what it returns is what the model goes on with."""
        tensors = [x for x in keras.tree.flatten(outputs) if is_tensor(x)]
        if not tensors or any(not is_symbolic(x) and self.engine.is_abstract(x) for x in tensors):
            return outputs  # inside a loop of the back end's, where tensors have no numbers
        with self.paused():
            try:
                return self._add(self._call(name, layer, function, args, kwargs, tensors[0]), tensors, outputs)
            except Exception as error:
                self.fault = error
                raise

    def _add(self, call: Call, tensors: Sequence[Any], outputs: Any) -> Any:
        before = len(self.graph.nodes)
        outside = any(node.name == OUTSIDE for node in call.data) and len(tensors) == 1
        node = (self._told(tensors[0]) if outside else None) or operate(self.graph, call)
        if node.is_data and len(self.graph.nodes) > before:
            is_cut = node.kind == "pass" and len(tensors) > 1

            def part(x: Any) -> Node:
                return self.graph.add(part_of(node, _shape(x))) if is_cut else node

            return self._replaced(outputs, lambda x: self._made(part(x), call, x))
        for x in tensors:  # a value that was there before, a parameter, or a number
            self.keep(x, self._constant(x) if node.kind == "constant" else node)
        return outputs

    def repeat(self, step: Any, outputs: Any) -> Any:
        """A value was made for each of many steps, of which the recorder was shown one."""
        with self.paused():
            node = self.node(step)
            heard = self._made(node, None, outputs)
            call = Call(keras.ops.reshape, (node,), {}, _shape(outputs), "reshape")
            return self._made(KERAS.made(self.graph, call, "pass", [node]), call, heard)

    def _call(self, name: str, layer: Any, function: Callable[..., Any], args: Any, kwargs: Any, first: Any) -> Call:
        takes_training = layer is None or layer._call_has_training_arg
        kept = {key: value for key, value in kwargs.items() if key != "training" or takes_training}
        seen = {key: value for key, value in kept.items() if "mask" not in key}
        swapped = keras.tree.map_structure(lambda x: self.node(x) if is_tensor(x) else x, (tuple(args), seen))
        home = self._homes[-1] if layer is None else self.path_of(layer)
        held = self._held_by.get(id(layer), ()) if layer is not None else ()
        args_seen, kwargs_seen = swapped
        return Call(
            function, args_seen, kept | kwargs_seen, _shape(first), name_of(name), layer, held, (args, kept), home
        )

    def _made(self, node: Node, call: Call | None, tensor: Any) -> Any:
        if call is not None and node not in self.graph.homes:
            self.graph.homes[node] = Home(call.home, call.layer is not None)
        self.keep(tensor, node)
        if is_symbolic(tensor):
            return tensor
        if is_float(tensor):
            self._recent.append((node, tensor))
        heard = tensor if self.listener is None else self.listener.made(node, call, tensor)
        if heard is not tensor:
            self.keep(heard, node)
        return heard

    def _replaced(self, outputs: Any, change: Callable[[Any], Any]) -> Any:
        def fresh(x: Any) -> Any:
            if not is_tensor(x):
                return x
            heard = change(x)
            mask = None if heard is x else keras.src.backend.get_keras_mask(x)
            if mask is not None:
                keras.src.backend.set_keras_mask(heard, mask)
            return heard

        return keras.tree.map_structure(fresh, outputs)

    # What a tensor stands for

    def node(self, tensor: Any) -> Node:
        """What a tensor stands for."""
        found = self._nodes.get(id(tensor))
        if found is None:
            self.keep(tensor, self._unseen(tensor))
            found = self._nodes[id(tensor)]
        return found[1]

    def _unseen(self, tensor: Any) -> Node:
        """What a tensor is that no call made: a constant, a value that its numbers tell, or made by other code."""
        shape = _shape(tensor)
        if is_symbolic(tensor):
            return self.graph.add(Node("unknown", OUTSIDE, shape=shape))
        is_variable = isinstance(tensor, keras.Variable)
        if is_variable or not is_float(tensor) or _entries(tensor) < 2 or self.engine.is_abstract(tensor):
            return self._constant(tensor)
        told = self._told(tensor)
        if told is not None:
            return told
        if shape is None or len(shape) < 2 or shape[0] != self._rows:
            return self._constant(tensor)
        node = self.graph.add(Node("unknown", OUTSIDE, shape=shape))
        self._made(node, Call(on_tensors("identity"), (), {}, shape, OUTSIDE, home=self._homes[-1]), tensor)
        return node

    def _told(self, tensor: Any) -> Node | None:
        """What the numbers of a tensor of unknown origin tell: it is an earlier value, or an activation of one."""
        if is_symbolic(tensor) or not is_float(tensor) or self.engine.is_abstract(tensor):
            return None
        plain, size = self.engine.plain(tensor), _entries(tensor)
        alike = [(node, x) for node, x in reversed(self._recent) if _entries(x) == size][:_RECENT]
        for node, x in alike:
            f = activation_between(self.engine.plain(x), plain) if node.name != OUTSIDE else None
            if f is not None:
                self.by_value = True
                return node if f == "identity" else self._activation(f, node, tensor)
        return None

    def _activation(self, f: str, x: Node, tensor: Any) -> Node:
        call = Call(on_tensors(f), (x,), {}, _shape(tensor), name_of(f.partition("(")[0]), home=self._homes[-1])
        node = operate(self.graph, call)
        self._made(node, call, tensor)
        return node

    def _constant(self, tensor: Any) -> Node:
        """A number keeps its value."""
        shape = _shape(tensor)
        is_known = not isinstance(tensor, keras.Variable | keras.KerasTensor) and _entries(tensor) == 1
        if not is_known or self.engine.is_abstract(tensor):
            return Node("constant", shape=shape)
        return Node("constant", shape=shape, tensor=to_numpy(self.engine.plain(tensor)).item())


def held_by(model: Any, found: Sequence[Entry]) -> Mapping[int, tuple[Entry, ...]]:
    """The parameters of each layer that is one call, and of what it runs, by the layer's ``id``."""
    of = {id(entry.variable): entry for entry in found}
    return {
        id(layer): tuple(of[id(v)] for part in layers_of(layer) for v in own_variables(part) if id(v) in of)
        for layer in layers_of(model)
        if not is_open(layer)
    }


def is_open(layer: Any) -> bool:
    """Whether the calls inside a layer are written down in place of its own."""
    return whole_layer(layer) is None and (isinstance(layer, _OPEN) or library_kind(layer) is None)


def is_float(x: Any) -> bool:
    """Whether a tensor holds real numbers."""
    return "float" in keras.backend.standardize_dtype(x.dtype)


def _parameter(entry: Entry) -> Node:
    shape = tuple(int(n) for n in entry.variable.shape)
    held = partial(numbers, entry.variable)
    return Node("parameter", params=(entry.native,), shape=shape, axes=own_axes(shape), numbers=held)


def is_symbolic(x: Any) -> bool:
    """Whether a tensor has a shape and no numbers."""
    return isinstance(x, keras.KerasTensor)


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor of any kind, or a variable."""
    return isinstance(x, keras.KerasTensor | keras.Variable) or keras.ops.is_tensor(x)


def _shape(x: Any) -> tuple[int, ...] | None:
    """The shape, of one sample where the size of the batch is open; None where any other size is."""
    sizes = tuple(x.shape)
    return None if None in sizes[1:] else tuple(1 if n is None else int(n) for n in sizes)


def _entries(x: Any) -> int:
    return prod(_shape(x) or ())
