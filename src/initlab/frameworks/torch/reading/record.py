"""The graph of a model on an example: one pass, every call to torch seen as it is made.

Functional activations, methods and operators are seen like modules are, and control flow that depends on the data
takes the way the example takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import TensorWeakRef

from initlab.core.errors import InitlabError, ShapeError
from initlab.core.facts.layers import Layer
from initlab.frameworks.reading.calls import LISTS, Call
from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.reading.operation import part_of
from initlab.frameworks.reading.registered import whole_layer
from initlab.frameworks.torch.reading.computed import computed_in
from initlab.frameworks.torch.reading.function_names import ELEMENTWISE, QUESTIONS, name_of
from initlab.frameworks.torch.reading.operations import operate, whole
from initlab.frameworks.torch.reading.replay import CHANCE, rebuilt
from initlab.frameworks.torch.reading.untouched import eager, preserved

Pairs = Sequence[tuple[Node, torch.Tensor]]
Result = TypeVar("Result")
_Taken = tuple[tuple[object, ...], Mapping[str, object], Pairs, Callable[..., Any] | None]


class Observer(Protocol):
    """Who is told of each call while it is recorded, with the numbers in hand."""

    def taken(self, name: str, given: Pairs) -> None:
        """A function is about to be called on these values."""
        ...

    def inside(self, name: str) -> Callable[..., Any] | None:
        """The function to call in its place with its own calls recorded; None to record it as one call."""
        ...

    def operate(self, call: Call, given: Pairs) -> Node | None:
        """The node of what a call returned, where it is not the usual one."""
        ...

    def made(self, node: Node, call: Call, tensor: torch.Tensor) -> None:
        """A call returned this value."""
        ...


class Recorder(TorchFunctionMode):
    """Writes each call into a graph; tensors are told apart as objects.

    ``fault`` is what went wrong in the writing itself, for then it is not the model that failed.
    """

    def __init__(self, graph: Graph, parameters: Mapping[int, Node], observer: Observer | None = None) -> None:
        super().__init__()
        self.graph, self.parameters, self.observer = graph, parameters, observer
        self.fault: Exception | None = None
        self._is_inside = False  # of a layer whose call is one value
        self._values: dict[int, tuple[TensorWeakRef, Node]] = {}

    def keep(self, tensor: torch.Tensor, node: Node) -> None:
        """From here on, the tensor stands for this value."""
        self._values[id(tensor)] = (TensorWeakRef(tensor), node)

    def __torch_function__(
        self, function: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = name_of(function)
        if name in QUESTIONS or self._is_inside or _is_transformed():
            return function(*args, **kwargs)
        call_args, call_kwargs, given, opened = self._guarded(self._taken, name, args, kwargs)
        if opened is not None:
            with self:
                return opened(*args, **kwargs)
        is_still = name in ELEMENTWISE and all(node.kind == "constant" for node, _ in given)  # a counter, most often
        try:
            result = function(*args, **kwargs)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            _say_where(error, call_args)
            raise
        if not is_still:
            call = Call(function, call_args, call_kwargs, _shape(result), name)
            self._guarded(self._note, call, args, given, result)
        return result

    @contextmanager
    def whole_layers(self, model: nn.Module) -> Iterator[None]:
        """Inside, a call of a layer that was registered with a signal is one value, and so is a computed weight."""
        found: list[tuple[Any, str, Callable[..., Any]]] = []
        for module in model.modules():
            layer = whole_layer(module)
            if layer is not None:
                found.append((module, "forward", self._whole(module, layer, module.forward)))
            for one in computed_in(module):
                node, function = self.parameters.get(id(one.main)), getattr(one.home, one.method)
                if node is not None:
                    found.append((one.home, one.method, self._computed(node, function)))
        before = [vars(home).get(name) for home, name, _ in found]
        for home, name, function in found:
            vars(home)[name] = function
        try:
            yield
        finally:
            for (home, name, _), function in zip(found, before, strict=True):
                del vars(home)[name]
                if function is not None:
                    vars(home)[name] = function

    def _computed(self, node: Node, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            was_inside, self._is_inside = self._is_inside, True
            try:
                weight = function(*args, **kwargs)
            finally:
                self._is_inside = was_inside
            self.keep(weight, node)
            return weight

        return called

    def _whole(self, module: nn.Module, layer: Layer, forward: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            if self._is_inside:
                return forward(*args, **kwargs)
            call_args, call_kwargs, _, _ = self._guarded(self._taken, layer.name, args, kwargs)
            self._is_inside = True
            try:
                result = forward(*args, **kwargs)
            finally:
                self._is_inside = False
            call = Call(forward, call_args, call_kwargs, _shape(result), layer.name)
            self._guarded(self._note_whole, module, layer, call, result)
            return result

        return called

    def _note_whole(self, module: nn.Module, layer: Layer, call: Call, result: Any) -> None:
        made = [tensor for tensor in tensors(result) if id(tensor) not in self.parameters]
        if made:
            self._keep(whole(self.graph, layer, module, call, self.parameters), call, made)

    def _guarded(self, work: Callable[..., Result], *args: Any) -> Result:
        try:
            return work(*args)
        except Exception as error:
            self.fault = error
            raise

    def _taken(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Taken:
        """The arguments as nodes: before the call, for one in place changes what its argument stands for."""
        given: list[tuple[Node, torch.Tensor]] = []
        call_args = tuple([self._swap(value, given) for value in args])
        call_kwargs = {key: self._swap(value, given) for key, value in kwargs.items()}
        opened = None if self.observer is None else self.observer.inside(name)
        if self.observer is not None and opened is None:
            self.observer.taken(name, given)
        return call_args, call_kwargs, given, opened

    def _note(self, call: Call, args: tuple[Any, ...], given: Pairs, result: Any) -> None:
        if call.name == "setitem" and isinstance(args[0], torch.Tensor):
            joined = Call(call.function, (call.args[0], call.args[2]), {}, tuple(args[0].shape), "setitem")
            self._keep(operate(self.graph, joined), joined, [args[0]])
            return
        if call.name == "copy":
            self.keep(args[0], call.nodes[1])
            return
        made = [tensor for tensor in tensors(result) if id(tensor) not in self.parameters]
        if made and call.name not in _SHAPES_ALONE:
            own = self.observer.operate(call, given) if self.observer is not None else None
            self._keep(own or operate(self.graph, call), call, made)

    def _keep(self, node: Node, call: Call, made: list[torch.Tensor]) -> None:
        if node.kind == "constant":
            return
        if self.observer is not None:
            self.observer.made(node, call, made[0])
        is_cut = node.kind == "pass" and len(made) > 1
        for tensor in made:
            part = self.graph.add(part_of(node, tuple(tensor.shape))) if is_cut else node
            self.keep(tensor, part)
            if is_cut and self.observer is not None:
                self.observer.made(part, call, tensor)

    def _swap(self, value: Any, given: list[tuple[Node, torch.Tensor]]) -> Any:
        if isinstance(value, torch.Tensor):
            node = self.node(value)
            given.append((node, value))
            return node
        if isinstance(value, LISTS):
            return tuple([self._swap(item, given) for item in value])
        return value

    def node(self, tensor: torch.Tensor) -> Node:
        """What a tensor stands for."""
        found = self.parameters.get(id(tensor))
        if found is not None:
            return found
        reference, node = self._values.get(id(tensor), (None, None))
        if node is not None and reference is not None and reference() is tensor:
            return node
        return Node("constant", shape=tuple(tensor.shape), tensor=scalar_of(tensor))


_SHAPES_ALONE = frozenset({"zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like",
                           "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor"})  # fmt: skip


def _shape(result: Any) -> tuple[int, ...] | None:
    first = result if isinstance(result, torch.Tensor) else next(tensors(result), None)
    return None if first is None else tuple(first.shape)


def _is_transformed() -> bool:
    """Whether a function is being mapped or differentiated: its values are those of no sample, and hold no numbers."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def scalar_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """The number of a tensor that holds but one, also where its memory is not there and its construction was seen."""
    if tensor.numel() != 1 or not tensor.dtype.is_floating_point:
        return None
    held: torch.Tensor | None = tensor
    if tensor.is_meta:
        found = rebuilt(tensor)
        held = found.numbers(tensor) if found is not None and found.doubt(tensor) < CHANCE else None
    return None if held is None else held.detach().reshape(()).to("cpu", torch.float64)


def _say_where(error: Exception, args: Any) -> None:
    """Leave the parameter that a failing call was given with the error, for the message."""
    nodes = [node for node in args if isinstance(node, Node) and node.kind == "parameter"]
    if nodes and not hasattr(error, "initlab_where"):
        error.initlab_where = nodes[0].params[0]  # type: ignore[attr-defined]


def record(model: nn.Module, example: object, parameters: Mapping[int, Node]) -> Graph:
    """The graph of one pass of the example.

    Args:
        model: The model; it is left as it was.
        example: A tensor, an array, a tuple of them, or a mapping of arguments by name.
        parameters: The node of each parameter, by ``id``.

    Raises:
        ShapeError: The model does not take the example.
    """
    graph = Graph()
    recorder = Recorder(graph, parameters)
    args, kwargs = arguments(example, model)
    for tensor in tensors((args, kwargs)):
        recorder.keep(tensor, graph.add(Node("input", shape=tuple(tensor.shape))))
    try:
        with preserved(model), eager(), recorder.whole_layers(model), recorder:
            result = model(*args, **kwargs)
    except InitlabError:
        raise
    except Exception as error:
        raise refused(error, example, model, "example") from error
    graph.outputs = tuple(dict.fromkeys(recorder.node(tensor) for tensor in returned(result)))
    return graph


def refused(error: Exception, given: object, model: nn.Module, word: str) -> ShapeError:
    """The error of a model that does not take what it was given, which is called ``word``."""
    said = str(error).strip().splitlines()
    return ShapeError(
        f"the model does not take the {word}: {said[0] if said else type(error).__name__}",
        where=getattr(error, "initlab_where", type(model).__name__),
        fix=f"give what forward takes; the {word} was {_shapes(given)}",
    )


def arguments(example: object, model: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The example as arguments of ``forward``: copies, arrays made tensors of the model's device and type."""
    first = next(model.parameters())

    def prepared(value: object) -> object:
        if isinstance(value, np.ndarray):
            tensor = torch.from_numpy(np.array(value))
            return tensor.to(first.device, first.dtype if tensor.is_floating_point() else tensor.dtype)
        if isinstance(value, torch.Tensor):
            return value.detach().to("meta") if first.is_meta else value.detach().clone()
        if isinstance(value, list | tuple):
            return type(value)(prepared(item) for item in value)
        return value

    if isinstance(example, Mapping):
        return (), {str(key): prepared(value) for key, value in example.items()}
    return tuple(prepared(value) for value in (example if isinstance(example, tuple) else (example,))), {}


def tensors(value: object) -> Iterator[torch.Tensor]:
    """The tensors in what a model takes or returns, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, LISTS):
        for item in value:
            yield from tensors(item)
    elif value is None or isinstance(value, int | float | str):
        return  # most arguments of most calls
    elif isinstance(value, Mapping):
        yield from tensors(tuple(value.values()))
    elif is_dataclass(value):
        yield from tensors(tuple(getattr(value, field.name) for field in fields(value)))


def returned(result: object) -> Iterator[torch.Tensor]:
    """The tensors in what a model returns; those that an object of another kind holds, as a distribution, count too."""
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, LISTS):
        for item in result:
            yield from returned(item)
    elif isinstance(result, Mapping) or is_dataclass(result) or not hasattr(result, "__dict__"):
        yield from tensors(result)
    else:
        yield from tensors(tuple(vars(result).values()))


def _shapes(example: object) -> str:
    args: Iterable[object] = example if isinstance(example, tuple) else (example,)
    return ", ".join(
        f"of shape {tuple(int(n) for n in getattr(value, 'shape', ()))}"
        if hasattr(value, "shape")
        else f"a {type(value).__name__}"
        for value in args
    )
