"""A recorded pass with the numbers in hand: each value is summed when it is made, its gradient when it arrives."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

from keras import ops

from initlab.frameworks.keras.autodiff import Autodiff
from initlab.frameworks.keras.probing.attention import shares_of
from initlab.frameworks.keras.probing.sums import Measure
from initlab.frameworks.keras.reading.forms import units_of
from initlab.frameworks.keras.reading.recognition import recognise
from initlab.frameworks.keras.reading.record import is_float
from initlab.frameworks.reading.calls import Call
from initlab.frameworks.reading.graph import Node
from initlab.frameworks.reading.recognition import Recognised
from initlab.frameworks.reading.records import Measured
from initlab.frameworks.reading.signals import flat_beyond, is_followed, is_measured, is_whole, let_go, unmoved


@dataclass(eq=False)
class Signals:
    """Sums the values of one pass; a listener of its recorder.

    Attributes:
        engine: The back end's differentiation.
        channels_first: Whether pictures have their channels behind the samples.
        histogram: Whether entries are counted.
        rows: Samples, by the first input.
        forward: The sums of each value.
        backward: The sums of the loss's gradient by it.
        saturated: Of a value that a bounded activation takes, how many entries are out of its range.
        shares: The sums of the weights of an attention that is one call, by its value.
        units: The axis of units of each value.
        heads: Weighted sums of which no other is made yet.
    """

    engine: Autodiff
    channels_first: bool = False
    histogram: bool = False
    rows: int = 0
    forward: dict[Node, Measured] = field(default_factory=dict)
    backward: dict[Node, Measured] = field(default_factory=dict)
    saturated: dict[Node, Measured] = field(default_factory=dict)
    shares: dict[Node, Measured] = field(default_factory=dict)
    units: dict[Node, int] = field(default_factory=dict)
    heads: dict[Node, Any] = field(default_factory=dict)
    _pending: dict[Node, Any] = field(default_factory=dict)
    _seen: dict[Node, Recognised] = field(default_factory=dict)

    @cached_property
    def measure(self) -> Measure:
        """What sums a value."""
        return Measure(self.engine)

    def made(self, node: Node, call: Call | None, tensor: Any) -> Any:
        """Sum a value; what comes back is the same value, whose gradient is summed when it arrives."""
        shape = tuple(int(n) for n in tensor.shape)
        if call is None:
            self.rows = self.rows or (shape[0] if shape else 0)
        for one in () if call is None else call.data:
            if not (node.kind == "elementwise" and node.root is (one.root or one)):
                self.settle(one)
        if node in self.units:
            return tensor
        self.units[node] = self._units(node, call, shape)
        if not is_float(tensor) or not shape or not prod(shape) or self.engine.is_abstract(tensor):
            return tensor
        plain = self.engine.plain(tensor)
        if node.kind == "elementwise":
            self._pending[node] = plain  # only when it is used is it known whether the function ends there
            return tensor
        if not is_measured(node):
            return tensor
        if node.kind == "weight":
            let_go(self.heads, node)
            self.heads[node] = plain
        self._sum(node, plain)
        if node.form == "mix" and len(node.inputs) == 3 and call is not None:
            args, kwargs = call.given
            bound = inspect.signature(call.function).bind(*args, **kwargs).arguments
            self.shares[node] = self.measure.value(shares_of(bound, self.engine), whole=False, is_softmax=True)
        if not is_followed(node):
            return tensor
        return self.engine.listen(tensor, lambda gradient: self._arrived(node, gradient))

    def settle(self, node: Node) -> None:
        """Sum a function of each entry where it ends, and tell how much of its root is saturated."""
        plain = self._pending.pop(node, None)
        if plain is None:
            return
        self._sum(node, plain)
        f = self.recognised(node).f
        ends = None if f is None else flat_beyond(f)
        if ends is not None and node.root is not None:
            self.saturated[unmoved(node.root)] = self.measure.outside(plain, *ends)

    def recognised(self, node: Node) -> Recognised:
        """The activation that an element-wise value is of its root."""
        if node not in self._seen:
            assert node.function is not None
            self._seen[node] = recognise(node.function)
        return self._seen[node]

    def laid(self, node: Node) -> tuple[tuple[int, ...], int]:
        """The shape of a value, samples first, and its axis of units."""
        measured = self.forward.get(node)
        if measured is not None and node.form != "softmax":
            return measured.shape, measured.axis
        return node.shape or (), self.units.get(node, -1)

    def _units(self, node: Node, call: Call | None, shape: tuple[int, ...]) -> int:
        last = max(len(shape) - 1, 0)
        if call is None:
            return 1 if self.channels_first and len(shape) > 3 else last
        told = units_of(call, len(shape))
        source = node.inputs[0] if node.inputs else None
        if told is not None or source is None or len(source.shape or ()) != len(shape):
            return last if told is None else told
        return self.units.get(source, last)

    def _sum(self, node: Node, plain: Any) -> None:
        value, units = self._arranged(plain, self.units[node])
        is_softmax = node.form == "softmax"
        self.forward[node] = self.measure.value(
            value, units=units, whole=is_whole(node), is_softmax=is_softmax, histogram=self.histogram
        )

    def _arrived(self, node: Node, gradient: Any) -> None:
        if not self.engine.is_abstract(gradient):
            value, units = self._arranged(gradient, self.units[node])
            self.backward[node] = self.measure.value(value, units=units, whole=False, histogram=self.histogram)

    def _arranged(self, x: Any, units: int) -> tuple[Any, int]:
        """Parts of a sample that were put along the axis of samples have an axis of their own again."""
        shape = tuple(x.shape)
        if len(shape) < 2 or not self.rows or shape[0] == self.rows or shape[0] % self.rows or units == 0:
            return x, units
        return ops.reshape(x, (self.rows, shape[0] // self.rows, *shape[1:])), units + 1
