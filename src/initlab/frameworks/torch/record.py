"""The graph of a model on an example: one pass, every call to torch seen as it is made.

Functional activations, methods and operators are seen like modules are, and control flow that depends on the data
takes the way the example takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from initlab.core.errors import InitlabError, ShapeError
from initlab.frameworks.torch.calls import Call
from initlab.frameworks.torch.graph import Graph, Node
from initlab.frameworks.torch.names import name_of
from initlab.frameworks.torch.operations import operate
from initlab.frameworks.torch.preserve import preserved


class _Recorder(TorchFunctionMode):
    """Writes each call into a graph; tensors are told apart as objects."""

    def __init__(self, graph: Graph, parameters: Mapping[int, Node]) -> None:
        super().__init__()
        self.graph, self.parameters = graph, parameters
        self.values: MutableMapping[torch.Tensor, Node] = WeakTensorKeyDictionary()

    def __torch_function__(
        self, function: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        # Nodes first: an in-place call changes what its argument stands for.
        call_args, call_kwargs = self._swap(args), {key: self._swap(value) for key, value in kwargs.items()}
        try:
            result = function(*args, **kwargs)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            _say_where(error, call_args)
            raise
        self._note(function, call_args, call_kwargs, args, result)
        return result

    def _note(self, function: Callable[..., Any], args: Any, kwargs: Any, given: tuple[Any, ...], result: Any) -> None:
        name = name_of(function)
        if name == "setitem" and isinstance(given[0], torch.Tensor):
            call = Call(function, (args[0], args[2]), {}, tuple(given[0].shape), "setitem")
            self.values[given[0]] = operate(self.graph, call)
            return
        if name == "copy":
            self.values[given[0]] = args[1]
            return
        made = [tensor for tensor in tensors(result) if id(tensor) not in self.parameters]
        if made and name not in _SHAPES_ALONE:
            node = operate(self.graph, Call(function, args, kwargs, tuple(made[0].shape), name))
            if node.kind != "constant":
                for tensor in made:
                    self.values[tensor] = node

    def _swap(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self.node(value)
        if isinstance(value, list | tuple):
            return tuple(self._swap(item) for item in value)
        return value

    def node(self, tensor: torch.Tensor) -> Node:
        """What a tensor stands for."""
        found = self.parameters.get(id(tensor)) or self.values.get(tensor)
        if found is not None:
            return found
        scalar = tensor.detach().reshape(()).to("cpu", torch.float64) if _is_scalar(tensor) else None
        return Node("constant", shape=tuple(tensor.shape), tensor=scalar)


_SHAPES_ALONE = frozenset({"zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like",
                           "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor"})  # fmt: skip


def _is_scalar(tensor: torch.Tensor) -> bool:
    return tensor.numel() == 1 and tensor.dtype.is_floating_point and not tensor.is_meta


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
    recorder = _Recorder(graph, parameters)
    args, kwargs = arguments(example, model)
    for tensor in tensors((args, kwargs)):
        recorder.values[tensor] = graph.add(Node("input", shape=tuple(tensor.shape)))
    try:
        with preserved(model), recorder:
            result = model(*args, **kwargs)
    except InitlabError:
        raise
    except Exception as error:
        said = str(error).strip().splitlines()
        raise ShapeError(
            f"the model does not take the example: {said[0] if said else type(error).__name__}",
            where=getattr(error, "initlab_where", type(model).__name__),
            fix=f"give what forward takes; the example was {_shapes(example)}",
        ) from error
    graph.outputs = tuple(dict.fromkeys(recorder.node(tensor) for tensor in tensors(result)))
    return graph


def arguments(example: object, model: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The example as arguments of ``forward``: copies, arrays made tensors of the model's device and type."""
    first = next(model.parameters())

    def prepared(value: object) -> object:
        if isinstance(value, np.ndarray):
            tensor = torch.from_numpy(np.array(value))
            return tensor.to(first.device, first.dtype if tensor.is_floating_point() else tensor.dtype)
        if isinstance(value, torch.Tensor):
            return value.detach().clone()
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
    elif isinstance(value, Mapping):
        yield from tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif is_dataclass(value):
        yield from tensors(tuple(getattr(value, field.name) for field in fields(value)))


def _shapes(example: object) -> str:
    args: Iterable[object] = example if isinstance(example, tuple) else (example,)
    return ", ".join(
        f"of shape {tuple(int(n) for n in getattr(value, 'shape', ()))}"
        if hasattr(value, "shape")
        else f"a {type(value).__name__}"
        for value in args
    )
