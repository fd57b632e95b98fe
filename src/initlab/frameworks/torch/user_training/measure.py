"""What the layers of a user's module do on one batch: outputs after their nonlinearity, and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.torch.reading.function_names import name_of
from initlab.frameworks.torch.reading.parameters import Entry, find
from initlab.frameworks.torch.user_training.build import seeded

_NONLINEAR = frozenset(
    {
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "rrelu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "swish",
        "mish",
        "softplus",
        "softsign",
        "tanh",
        "sigmoid",
        "expit",
        "tanhshrink",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "hardshrink",
        "softshrink",
        "logsigmoid",
        "log_sigmoid",
        "threshold",
        "erf",
        "sin",
    }
)


class Layer(NamedTuple):
    """One weight of a module.

    Attributes:
        param: What is known of it.
        weight: The parameter itself.
        owner: The module whose output is the layer's.
    """

    param: ParamSpec
    weight: nn.Parameter
    owner: nn.Module


class Probed(NamedTuple):
    """What one pass forth and back gave.

    Attributes:
        loss: A scalar.
        activations: For each layer its output, after the nonlinearity where one follows; None where it did not run.
        gradients: Of the loss by each layer's weight; zero where it has none.
    """

    loss: Tensor
    activations: tuple[Tensor | None, ...]
    gradients: tuple[Tensor, ...]


def layers_of(model: nn.Module, params: Sequence[ParamSpec]) -> tuple[Layer, ...]:
    """The weights of these descriptions."""
    found = [(p, find(model, p.native)) for p in params]
    return tuple(Layer(p, entry.tensor, _runner(model, entry)) for p, entry in found)


def _runner(model: nn.Module, entry: Entry) -> nn.Module:
    """The module whose call uses a parameter: attention takes its projection's weight without calling that module."""
    parent = model.get_submodule(entry.module.rpartition(".")[0])
    return parent if isinstance(parent, nn.MultiheadAttention) else entry.owner


def probed(model: nn.Module, layers: Sequence[Layer], x: Tensor, loss: Callable[[Tensor], Tensor]) -> Probed:
    """The pass of a batch through a module as in training, but without dropout layers; the module stays as it was.

    A batch norm uses the batch's own moments, as the gradient of training does, and its running ones stay. A layer's
    activation is the output of the nonlinearity that comes next, if one does before another layer with weights; else
    the output of the module that holds the weight.

    Args:
        model: The module.
        layers: Its weights.
        x: Rows as the model takes them.
        loss: Of the outputs.
    """
    seen = Seen(layers)
    trained = [layer.weight for layer in layers if layer.weight.requires_grad]
    with as_it_was(model), seeded(0), torch.enable_grad():
        with seen.listening():
            value = loss(model(x))
        found = _gradients(value, trained)  # before the buffers change, which the pass may refer to
    by_weight = {id(weight): gradient for weight, gradient in zip(trained, found, strict=True)}
    gradients = [by_weight.get(id(layer.weight), torch.zeros_like(layer.weight)) for layer in layers]
    return Probed(value.detach(), tuple(seen.outputs), tuple(gradients))


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
    """Writes down what the modules of the layers put out, and which nonlinearity takes it."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = layers
        self.outputs: list[Tensor | None] = [None] * len(layers)
        self._waiting: list[int] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._waiting and isinstance(result, Tensor) and name_of(func) in _NONLINEAR:
            shapes = {self.outputs[i].shape for i in self._waiting if self.outputs[i] is not None}  # type: ignore[union-attr]
            if result.shape in shapes:
                self._keep(result)
                self._waiting = []
        return result

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it, calls are written down."""
        handles = [
            owner.register_forward_hook(self._hook) for owner in {id(x.owner): x.owner for x in self.layers}.values()
        ]
        try:
            with self:
                yield
        finally:
            for handle in handles:
                _remove(handle)

    def _hook(self, owner: nn.Module, _: Any, output: Any) -> None:
        result = _first_tensor(output)
        if result is not None:
            self._waiting = [i for i, layer in enumerate(self.layers) if layer.owner is owner]
            self._keep(result)

    def _keep(self, result: Tensor) -> None:
        for i in self._waiting:
            self.outputs[i] = result.detach()


def _remove(handle: RemovableHandle) -> None:
    handle.remove()


def _first_tensor(output: object) -> Tensor | None:
    """The tensor itself, or the first one of a tuple, as recurrent layers and attention give it."""
    if isinstance(output, tuple | list):
        return next((found for part in output if (found := _first_tensor(part)) is not None), None)
    return output if isinstance(output, Tensor) else None


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
