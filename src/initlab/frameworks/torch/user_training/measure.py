"""What the layers of a user's module do on one batch: outputs after their nonlinearity, and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.reading.activations import activations
from initlab.frameworks.reading.calls import Call
from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.reading.recognition import Recognised
from initlab.frameworks.torch.reading.function_names import QUESTIONS, name_of
from initlab.frameworks.torch.reading.parameters import entries, find
from initlab.frameworks.torch.reading.recognition import recognise
from initlab.frameworks.torch.reading.record import Pairs, Recorder, returned, tensors
from initlab.frameworks.torch.reading.trace import parameter_nodes
from initlab.frameworks.torch.writing.state import seeded


class Layer(NamedTuple):
    """One weight of a module.

    Attributes:
        param: What is known of it.
        weight: The parameter itself.
        name: The parameter's first native name.
    """

    param: ParamSpec
    weight: nn.Parameter
    name: str


class Sought(NamedTuple):
    """Where in a pass the activations of its layers are made.

    Attributes:
        at: For each layer the number of the call that makes it, counted from 1; 0 where it does not run.
        names: The names of these calls.
        calls: Calls in all.
    """

    at: tuple[int, ...]
    names: tuple[str, ...]
    calls: int


class Probed(NamedTuple):
    """What one pass forth and back gave.

    Attributes:
        loss: A scalar.
        activations: For each layer its output, after the nonlinearity where one follows before another weighted sum;
            None where it did not run.
        gradients: Of the loss by each layer's weight; zero where it has none.
    """

    loss: Tensor
    activations: tuple[Tensor | None, ...]
    gradients: tuple[Tensor, ...]


def layers_of(model: nn.Module, params: Sequence[ParamSpec]) -> tuple[Layer, ...]:
    """The weights of these descriptions."""
    found = [(p, find(model, p.native)) for p in params]
    return tuple(Layer(p, entry.tensor, entry.first) for p, entry in found)


def sought(model: nn.Module, layers: Sequence[Layer], x: Tensor, run: Callable[[Tensor], object]) -> Sought:
    """Where the activations of a module's layers are made, read off the graph of one pass.

    Args:
        model: The module.
        layers: Its weights.
        x: Rows as the module takes them.
        run: The pass of rows through the module.
    """
    graph = Graph()
    numbers = _Numbers(graph)
    recorder = Recorder(graph, parameter_nodes(entries(model)), numbers)
    recorder.keep(x, graph.add(Node("input", shape=tuple(x.shape))))
    with recorder:
        result = run(x)
    graph.outputs = tuple(recorder.node(tensor) for tensor in returned(result))
    found = activations(graph, {layer.name: layer.param for layer in layers}, _recognised)
    at = tuple(numbers.made_by[found[layer.name]] if layer.name in found else 0 for layer in layers)
    return Sought(at, tuple(numbers.names[n - 1] if n else "" for n in at), len(numbers.names))


def _recognised(node: Node) -> Recognised:
    assert node.function is not None
    return recognise(node.function)


class _Numbers:
    """Numbers the calls of a recorded pass."""

    def __init__(self, graph: Graph) -> None:
        self.names: list[str] = []
        self.made_by: dict[Node, int] = {}
        self._graph = graph

    def taken(self, name: str, given: Pairs) -> None:
        """A call begins."""
        self.names.append(name)

    def inside(self, name: str) -> None:
        """Every call is one."""

    def operate(self, call: Call, given: Pairs) -> None:
        """Every value is the usual one."""

    def made(self, node: Node, call: Call, tensor: Tensor) -> None:
        """A call ended: all that it made bears its number."""
        for one in self._graph.nodes[len(self.made_by) :]:
            self.made_by[one] = len(self.names)


class Probe:
    """Measures a module on one batch, and leaves it as it was.

    Args:
        model: The module.
        layers: Its weights.
    """

    def __init__(self, model: nn.Module, layers: Sequence[Layer]) -> None:
        self.model, self.layers = model, layers
        self._where: Sought | None = None

    def __call__(self, x: Tensor, loss: Callable[[Tensor], Tensor]) -> Probed:
        """The pass of a batch as in training, but without dropout layers; the loss is a function of the outputs.

        A batch norm uses the batch's own moments, as the gradient of training does, and its running ones stay. Where
        the activations are made is read off the graph once, and anew where the numbers have the module's code go
        another way.
        """
        if self._where is None:
            self._where = self._sought(x)
        probed, is_as_sought = self._pass(x, loss, self._where)
        if not is_as_sought:
            self._where = self._sought(x)
            probed, _ = self._pass(x, loss, self._where)
        return probed

    def _sought(self, x: Tensor) -> Sought:
        with as_it_was(self.model), seeded(0), torch.no_grad():
            return sought(self.model, self.layers, x, self.model)

    def _pass(self, x: Tensor, loss: Callable[[Tensor], Tensor], where: Sought) -> tuple[Probed, bool]:
        trained = [layer.weight for layer in self.layers if layer.weight.requires_grad]
        seen = Seen(where)
        with as_it_was(self.model), seeded(0), torch.enable_grad():
            with seen:
                outputs = self.model(x)
            value = loss(outputs)
            found = _gradients(value, trained)  # before the buffers change, which the pass may refer to
        by_weight = {id(weight): gradient for weight, gradient in zip(trained, found, strict=True)}
        gradients = [by_weight.get(id(layer.weight), torch.zeros_like(layer.weight)) for layer in self.layers]
        return Probed(value.detach(), seen.outputs(), tuple(gradients)), seen.is_as_sought


def _gradients(value: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    if not weights or not value.requires_grad:
        return tuple(torch.zeros_like(weight) for weight in weights)
    return torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)


def layer_numbers(param: ParamSpec, weight: Tensor, activation: Tensor | None, gradient: Tensor) -> Tensor:
    """The numbers of ``core.training.outcomes.LAYER_METRICS``, in that order; NaN for what did not run."""
    a = torch.full((1, 1), torch.nan) if activation is None else activation
    numbers = [m for x in (weight, a, gradient) for m in _moments(x.float())]
    dead = (a == 0.0).movedim(_unit_axis(param, a), 0).flatten(1).all(1).float().mean()
    return torch.stack([*numbers, torch.nan * dead if activation is None else dead])


def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.mean(), x.var(correction=0), x.square().sum().sqrt()


def _unit_axis(param: ParamSpec, activation: Tensor) -> int:
    """The axis of a layer's output along which its units lie: channels of a convolution, else the last."""
    return 1 if param.role in ("conv", "conv_transpose") and activation.dim() > 2 else activation.dim() - 1


class Seen(TorchFunctionMode):  # torch's own way of seeing the calls of its functions
    """Keeps what the calls that are sought make."""

    def __init__(self, where: Sought) -> None:
        super().__init__()
        self._where = where
        self._names = dict(zip(where.at, where.names, strict=True))
        self._calls = 0
        self._made: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = name_of(func)
        if name in QUESTIONS:
            return func(*args, **(kwargs or {}))
        self._calls += 1
        number = self._calls
        result = func(*args, **(kwargs or {}))
        if self._names.get(number) == name:
            self._made[number] = next(tensors(result)).detach()
        return result

    @property
    def is_as_sought(self) -> bool:
        """Whether the pass made the calls that the graph has."""
        return self._calls == self._where.calls and self._made.keys() == self._names.keys() - {0}

    def outputs(self) -> tuple[Tensor | None, ...]:
        """The activation of each layer; None for one that did not run."""
        return tuple(self._made.get(n) for n in self._where.at)


@contextmanager
def as_it_was(model: nn.Module) -> Iterator[None]:
    """Within it the module is in training mode without dropout; afterwards modes and buffers are as before."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    model.train()
    for module, _ in modes:
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
