"""A recorded pass with the numbers in hand: each value is summed when it is made, its gradient when it arrives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from initlab.core.signals.readings import GRAM_ROWS
from initlab.frameworks.reading.calls import Call
from initlab.frameworks.reading.graph import Graph, Home, Node
from initlab.frameworks.reading.places import batch_first
from initlab.frameworks.reading.recognition import Recognised
from initlab.frameworks.reading.records import Measured
from initlab.frameworks.reading.signals import flat_beyond, is_followed, is_measured, is_whole, let_go, unmoved
from initlab.frameworks.torch.probing import value_axes
from initlab.frameworks.torch.probing.sums import measure, measure_outside, measure_squares
from initlab.frameworks.torch.probing.value_axes import Layout
from initlab.frameworks.torch.reading import function_names
from initlab.frameworks.torch.reading.forms import rate_of
from initlab.frameworks.torch.reading.operations import operate
from initlab.frameworks.torch.reading.recognition import recognise
from initlab.frameworks.torch.reading.record import Pairs

_DROPOUTS = frozenset(name for name in function_names.IDENTITY if "dropout" in name)
_QUERIES = 32
_SHARES = 1 << 16  # weights of an attention that are looked at


def _opened(function: object) -> Callable[..., Any]:
    """The same function of torch, which does not hand itself over as one call."""
    assert isinstance(function, FunctionType)
    code, values = function.__code__, {**function.__globals__, "has_torch_function": lambda _: False}
    return FunctionType(code, values, function.__name__, function.__defaults__, function.__closure__)


def _glu(input: Tensor, dim: int = -1) -> Tensor:
    value, gate = input.chunk(2, dim)
    return value * torch.sigmoid(gate)


_OPENED: dict[str, Callable[..., Any]] = {
    "multi_head_attention_forward": _opened(functional.multi_head_attention_forward),
    "glu": _glu,
}


@dataclass(eq=False)
class Signals:
    """Sums each value of a pass; an observer of the recorder.

    Attributes:
        graph: What the recorder writes.
        paths: The name of each module, by ``id``.
        owners: The name of the module that holds each parameter.
        leaves: Names of the modules that hold no others.
        histogram: Whether entries are counted.
        rows: Samples, by the first input.
        calls: The call that made each value.
        layouts: Where it keeps its samples and units.
        forward: Its sums.
        backward: The sums of the loss's gradient by it.
        saturated: Of a value that a bounded activation takes, how many entries are out of its range.
        shares: Sums of the weights of a fused attention, by its value.
        hidden: Modules with weights that were used without gradients, in order.
        heads: Weighted sums of which no other is made yet.
        is_over: Whether what still arrives is left aside.
    """

    graph: Graph
    paths: Mapping[int, str]
    owners: Mapping[str, str]
    leaves: frozenset[str]
    histogram: bool = False
    rows: int = 0
    calls: dict[Node, Call] = field(default_factory=dict)
    layouts: dict[Node, Layout] = field(default_factory=dict)
    forward: dict[Node, Measured] = field(default_factory=dict)
    backward: dict[Node, Measured] = field(default_factory=dict)
    saturated: dict[Node, Measured] = field(default_factory=dict)
    shares: dict[Node, Measured] = field(default_factory=dict)
    hidden: dict[str, None] = field(default_factory=dict)
    heads: dict[Node, Tensor] = field(default_factory=dict)
    is_over: bool = False
    _stack: list[str] = field(default_factory=list)
    _seen: dict[object, Recognised] = field(default_factory=dict)

    def given(self, node: Node, tensor: Tensor) -> None:
        """An input of the model."""
        shape = tuple(tensor.shape)
        self.rows = self.rows or (shape[0] if shape else 0)
        is_picture = tensor.is_floating_point() and tensor.dim() > 3
        self.layouts[node] = value_axes.given(shape, is_picture=is_picture)
        self._measure(node, tensor)

    def inside(self, name: str) -> Callable[..., Any] | None:
        """Attention as torch's modules call it, and a gated linear unit, are recorded call by call."""
        return _OPENED.get(name)

    def taken(self, name: str, given: Pairs) -> None:
        """Sum an activation before it is used: only then is it known that the function ends there."""
        waiting = [pair for pair in given if pair[0].kind == "elementwise" and pair[0] not in self.forward]
        if waiting and not _goes_on(name, [node for node, _ in given]):
            for node, tensor in waiting:
                self.activation(node, tensor)

    def activation(self, node: Node, tensor: Tensor) -> None:
        """Sum what an activation made, and tell how much of its input is saturated."""
        if node in self.forward or node.kind != "elementwise" or node.root is None:
            return
        self._measure(node, tensor)
        f = self.recognised(node).f
        ends = None if f is None or node not in self.forward else flat_beyond(f)
        if ends is not None:
            self.saturated[unmoved(node.root)] = measure_outside(tensor, *ends)

    def recognised(self, node: Node) -> Recognised:
        """The activation that an element-wise value is; asked once for calls that are alike."""
        if node in self._seen:
            return self._seen[node]
        call = self.calls.get(node)
        key: object = node
        if call is not None and node.cost == 1:
            key = (call.name, str([a for a in call.args if not isinstance(a, Node)]), str(
                {k: a for k, a in call.kwargs.items() if k != "inplace" and not isinstance(a, Node)}
            ), tuple(float(n.tensor) for n in call.nodes if n.kind == "constant" and n.tensor is not None))  # fmt: skip
        if key not in self._seen:
            assert node.function is not None
            self._seen[key] = recognise(node.function)
        self._seen[node] = self._seen[key]
        return self._seen[key]

    def operate(self, call: Call, given: Pairs) -> Node | None:
        """Dropout is a value of its own in training, and attention that is one call has its weights computed anew."""
        if call.name in _DROPOUTS and call.get(2, "training", call.kwargs.get("train", True)) and rate_of(call) > 0:
            facts = {"rate": rate_of(call)}
            return self.graph.add(
                Node("pass", call.name, call.nodes[:1], shape=call.shape, form="dropout", facts=facts)
            )
        if call.name == "scaled_dot_product_attention":
            node = operate(self.graph, call)
            self.shares[node] = measure(_shares(call, [tensor for _, tensor in given]), whole=False, is_softmax=True)
            return node
        return None

    def made(self, node: Node, call: Call, tensor: Tensor) -> None:
        """Sum a value."""
        if node in self.calls or not node.is_data:
            return
        self.calls[node] = call
        home = self._stack[-1] if self._stack else ""
        self.graph.homes[node] = Home(home, home in self.leaves)
        self.layouts[node] = self._layout(node, call, tuple(tensor.shape))
        if node.kind == "weight":
            let_go(self.heads, node)
            self.heads[node] = tensor.detach()
            if not torch.is_grad_enabled():
                self.hidden.setdefault(home)
        # Of functions it is not known yet where they end.
        if node.kind != "elementwise" and is_measured(node):
            self._measure(node, tensor)

    def _layout(self, node: Node, call: Call, shape: tuple[int, ...]) -> Layout:
        source = next((one for one in node.inputs if one in self.layouts and one.shape is not None), None)
        if source is None or source.shape is None:
            return Layout(units=max(len(shape) - 1, 0))
        return value_axes.after(call, self.layouts[source], source.shape, shape, self.rows)

    def _measure(self, node: Node, tensor: Tensor) -> None:
        if not tensor.is_floating_point() or tensor.dim() == 0 or tensor.numel() == 0 or not has_numbers(tensor):
            return
        layout, rows, histogram = self.layouts.get(node, Layout()), self.rows, self.histogram
        value, units = value_axes.arranged(tensor.detach(), layout, rows)
        self.forward[node] = measure(
            value,
            units=units,
            whole=is_whole(node),
            is_softmax=node.form == "softmax",
            histogram=histogram,
        )
        if not tensor.requires_grad or not is_followed(node):
            return

        def arrived(gradient: Tensor) -> None:
            if self.is_over:
                return
            value, units = value_axes.arranged(gradient.detach(), layout, rows)
            self.backward[node] = measure_squares(value, units=units, histogram=histogram)

        tensor.register_hook(arrived)  # type: ignore[no-untyped-call]

    @contextmanager
    def inside_modules(self) -> Iterator[None]:
        """Inside, it is known in which module of the model a call is made."""
        paths = self.paths

        def enter(module: nn.Module, args: Any) -> None:
            if id(module) in paths:
                self._stack.append(paths[id(module)])

        def leave(module: nn.Module, args: Any, result: Any) -> None:
            if id(module) in paths and self._stack:
                self._stack.pop()

        handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def laid(self, node: Node) -> tuple[tuple[int, ...], int]:
        """The shape of a value, samples first, and its axis of units."""
        measured, layout = self.forward.get(node), self.layouts.get(node, Layout())
        if measured is not None:
            return measured.shape, measured.axis
        return ((), -1) if node.shape is None else batch_first(node.shape, layout.batch, layout.units)

    def notes(self) -> list[str]:
        """What could not be seen, in words."""
        if not self.hidden:
            return []
        names = ", ".join(name or "the model" for name in self.hidden)
        return [f"used without gradients, so no gradient was seen inside: {names}"]


def has_numbers(tensor: Tensor) -> bool:
    """Whether every entry of a tensor is in memory: not so of a sparse one, and of one without memory."""
    return tensor.layout == torch.strided and not tensor.is_meta


def _goes_on(name: str, nodes: list[Node]) -> bool:
    """Whether a call makes a longer function of one value out of these."""
    data = [node for node in nodes if node.is_data]
    plain = all(node.is_data or node.tensor is not None for node in nodes if node.kind != "parameter")
    has_parameter = any(node.kind == "parameter" for node in nodes)
    return name in function_names.ELEMENTWISE and plain and not has_parameter and len({n.root or n for n in data}) == 1


def _shares(call: Call, given: Sequence[Tensor]) -> Tensor:
    """The weights of an attention for its first samples, in float32; of many queries some, evenly spaced."""
    queries, keys = given[0].shape[-2], given[1].shape[-2]
    of_a_sample = math.prod(given[0].shape[1:-2]) * min(queries, _QUERIES) * keys
    few = min(GRAM_ROWS, max(_SHARES // max(of_a_sample, 1), 2))
    query, key = (tensor.detach()[:few].float() for tensor in given[:2])
    mask = given[3][:few] if len(given) > 3 and given[3].dim() == given[0].dim() else None
    mask = given[3] if len(given) > 3 and mask is None else mask
    factor = call.get(6, "scale")
    factor = float(factor) if isinstance(factor, int | float) else query.shape[-1] ** -0.5
    if key.shape[-3] != query.shape[-3]:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    picked = torch.arange(query.shape[-2] - 1, -1, -max(query.shape[-2] // _QUERIES, 1), device=query.device)
    with torch.autocast(query.device.type, enabled=False), torch.no_grad():
        scores = (query[..., picked, :] * factor) @ key.mT
        if call.get(5, "is_causal"):
            later = torch.arange(key.shape[-2], device=query.device) > picked[:, None]
            scores = scores.masked_fill(later, -torch.inf)
        if mask is not None:
            mask = mask[..., picked, :] if mask.shape[-2] == query.shape[-2] else mask
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask.float()
        return torch.nan_to_num(scores.softmax(-1))
