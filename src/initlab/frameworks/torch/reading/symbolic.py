"""The graph of a model without an example: torch.fx follows ``forward`` with symbols in place of tensors."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrize import ParametrizationList

from initlab.frameworks.reading.calls import LISTS, Call
from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.reading.registered import whole_layer
from initlab.frameworks.torch.reading.computed import computed_in
from initlab.frameworks.torch.reading.function_names import ELEMENTWISE, MOVES, name_of
from initlab.frameworks.torch.reading.layers import NORMS, plain_activation
from initlab.frameworks.torch.reading.operations import operate, whole
from initlab.frameworks.torch.reading.record import scalar_of
from initlab.frameworks.torch.reading.untouched import preserved


class _Tracer(fx.Tracer):
    """Takes as one step only what is one layer: a module of torch's own that holds no others."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one step."""
        if whole_layer(m) is not None or isinstance(m, ParametrizationList):
            return True
        return super().is_leaf_module(m, module_qualified_name) and (
            isinstance(m, nn.MultiheadAttention) or not any(_layers(m))
        )


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """A module's children, without those that only compute its weights."""
    return (child for name, child in module.named_children() if name != "parametrizations")


def follow(model: nn.Module, parameters: Mapping[int, Node]) -> Graph | None:
    """The graph, or None where ``forward`` cannot be followed without numbers.

    Args:
        model: The model; it is left as it was.
        parameters: The node of each parameter, by ``id``.
    """
    graph = Graph()
    tracer = _Tracer()
    if tracer.is_leaf_module(model, ""):
        given = graph.add(Node("input"))
        graph.outputs = (_module(graph, model, (given, given, given), {}, parameters),)
        return graph
    with preserved(model):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                symbols = tracer.trace(model, concrete_args=_defaults(model))
        except Exception:  # whatever a forward does with a symbol that only a number can answer
            return None
        # Tensors that the forward computes from buffers alone hang on the model until it is put back as it was.
        return _interpreted(graph, model, symbols, parameters)


def _defaults(model: nn.Module) -> dict[str, Any]:
    """Arguments that a plain call of the model leaves out."""
    parameters = inspect.signature(model.forward).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _interpreted(graph: Graph, model: nn.Module, symbols: fx.Graph, parameters: Mapping[int, Node]) -> Graph:
    values: dict[fx.Node, Any] = {}
    for step in symbols.nodes:
        args = fx.node.map_arg(step.args, values.__getitem__)
        kwargs = fx.node.map_arg(step.kwargs, values.__getitem__)
        if step.op == "placeholder":
            values[step] = graph.add(Node("input")) if not args else args[0]
        elif step.op == "get_attr":
            values[step] = _attribute(model, str(step.target), parameters)
        elif step.op == "call_module":
            values[step] = _module(graph, model.get_submodule(str(step.target)), args, kwargs, parameters)
        elif step.op == "output":
            graph.outputs = tuple(dict.fromkeys(_returned(args)))
        else:
            function = getattr(torch.Tensor, step.target) if step.op == "call_method" else step.target
            values[step] = _called(graph, function, args, kwargs)
    return graph


def _called(graph: Graph, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    if _is_record(function):
        return (*args, *kwargs.values())  # the record in which a model returns its outputs
    name = name_of(function)
    if name == "getattr":
        name, args = str(args[1]), args[:1]
    if name in ("size", "dim", "shape", "ndim", "device", "dtype", "numel", "assert_is_none", "assert"):
        return Node("constant", name)
    return operate(graph, Call(function, args, kwargs, None, name))


def _is_record(function: object) -> bool:
    return isinstance(function, type) and (is_dataclass(function) or issubclass(function, tuple))


def _returned(value: object) -> Iterator[Node]:
    """The nodes in what a model returns, lists and mappings looked into."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, LISTS):
        for item in value:
            yield from _returned(item)
    elif isinstance(value, Mapping):
        yield from _returned(tuple(value.values()))


def _attribute(model: nn.Module, target: str, parameters: Mapping[int, Node]) -> Node:
    value: object = model
    for part in target.split("."):
        value = getattr(value, part)
    found = parameters.get(id(value))
    if found is None and isinstance(value, torch.Tensor):
        return Node("constant", tensor=scalar_of(value))
    return found or Node("constant")


# Modules that fx takes as one step, told as the functions they are made of


def _module(
    graph: Graph, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], parameters: Mapping[int, Node]
) -> Node:
    """The node of what one of torch's own modules returns."""

    def held(name: str) -> Node | None:
        tensor = module._parameters.get(name)
        return _computed(module, name, parameters) if tensor is None else parameters[id(tensor)]

    def call(function: Callable[..., Any], *given: object, **named: object) -> Node:
        return operate(graph, Call(function, given, named, None, name_of(function)))

    if isinstance(module, ParametrizationList):
        return next(parameters[id(part)] for part in module._parameters.values() if part is not None)
    registered = whole_layer(module)
    if registered is not None:
        return whole(graph, registered, module, Call(module, args, kwargs, None, registered.name), parameters)
    x = args[0] if args else next(iter(kwargs.values()))
    if isinstance(module, nn.Linear):
        return call(functional.linear, x, held("weight"), held("bias"))
    if isinstance(module, nn.Bilinear):
        return call(functional.bilinear, x, args[1], held("weight"), held("bias"))
    if isinstance(module, nn.modules.conv._ConvNd):
        kind = f"conv{'_transpose' * module.transposed}{len(module.kernel_size)}d"
        return call(getattr(functional, kind), x, held("weight"), held("bias"), stride=module.stride)
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return call(functional.embedding, x, held("weight"))
    if isinstance(module, nn.PReLU):
        return call(functional.prelu, x, held("weight"))
    if isinstance(module, nn.MultiheadAttention):
        return _attention(graph, module, args, kwargs, parameters)
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        weights, f = [parameters[id(tensor)] for tensor in module.parameters()], plain_activation(module)
        return call(torch.lstm if f is None else getattr(torch, f"rnn_{f}"), x, weights)
    if isinstance(module, NORMS):
        norm = functional.batch_norm if isinstance(module, _NormBase) else functional.layer_norm
        return call(norm, x, *(n for n in (held("weight"), held("bias")) if n is not None))
    return _without_parameters(graph, module, args)


def _computed(module: nn.Module, name: str, parameters: Mapping[int, Node]) -> Node | None:
    """The node of a weight that a module computes, or None where there is no weight of that name."""
    return next((parameters[id(one.main)] for one in computed_in(module) if one.leaf == name), None)


def _attention(
    graph: Graph,
    module: nn.MultiheadAttention,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    parameters: Mapping[int, Node],
) -> Node:
    given = dict(zip(("query", "key", "value"), args, strict=False)) | dict(kwargs)
    accepted = inspect.signature(functional.multi_head_attention_forward).parameters
    own = {
        name.replace(".", "_"): parameters[id(tensor)]
        for name, tensor in module.named_parameters()
        if name.replace(".", "_") in accepted
    }
    inputs = {name: given.get(name, given["query"]) for name in ("query", "key", "value")}
    named = dict.fromkeys(accepted) | inputs | own
    return operate(
        graph, Call(functional.multi_head_attention_forward, (), named, None, "multi_head_attention_forward")
    )


def _without_parameters(graph: Graph, module: nn.Module, args: tuple[Any, ...]) -> Node:
    """A module that holds no weights: its name, written small, is that of the function it calls."""
    return operate(graph, Call(module, args, {}, None, _function_name(type(module).__name__)))


def _function_name(name: str) -> str:
    """The function that a module of this name calls.

    Example:
        >>> [_function_name(name) for name in ("GELU", "LeakyReLU", "AdaptiveAvgPool2d", "ZeroPad2d", "LogSigmoid")]
        ['gelu', 'leaky_relu', 'adaptive_avg_pool2d', 'pad', 'logsigmoid']
    """
    if "Pad" in name:
        return "pad"
    bare = name.lower()
    return _BY_BARE_NAME.get(bare, bare.removesuffix("2d") if "softmax" in bare else bare)


_BY_BARE_NAME = {name.replace("_", ""): name for name in sorted(MOVES | ELEMENTWISE)}
