"""A recorded pass with the numbers in hand: each value is summed when it is made, its gradient when it arrives."""

from __future__ import annotations

import inspect
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops

from initlab.core.errors import InitlabError, ShapeError
from initlab.frameworks.keras.probing.attention import shares_of
from initlab.frameworks.keras.probing.autodiff import Autodiff
from initlab.frameworks.keras.probing.meanings import Facts, Given, Meaning, is_deaf, meaning
from initlab.frameworks.keras.probing.nodes import HeardCall, Node, flat_ends, is_float, is_variable
from initlab.frameworks.keras.probing.sums import Measure, Measured
from initlab.frameworks.keras.reading.calls import kind_of
from initlab.frameworks.keras.reading.guesses import Step, steps
from initlab.frameworks.keras.reading.recognition import GRID, Values, evaluate, leaky
from initlab.frameworks.keras.reading.record import called_again
from initlab.frameworks.keras.writing.memory import to_numpy

_WHOLE = frozenset({"input", "weighted", "sum", "activation"})  # the others are looked at for their size alone
_RECENT = 12  # earlier values that are compared with one of unknown origin


@dataclass(eq=False)
class Ear:
    """Hears the calls of one pass.

    Attributes:
        engine: The back end's differentiation.
        measure: Sums values.
        owned: Native names of each layer's parameters, by the layer's ``id``.
        histogram: Whether entries are counted.
        rows: Samples, by the first input.
        nodes: In the order in which they were made.
        forward: Sums of their values.
        backward: Sums of the loss's gradients by them.
        saturated: Of a value that a bounded activation takes, how many entries are out of its range.
        whole: Functions that end there.
        refusal: What the pass was refused for, whatever the model's own code makes of the error.
        homes: Paths of the open layers that the pass is in.
    """

    engine: Autodiff
    measure: Measure
    owned: Mapping[int, tuple[str, ...]]
    histogram: bool = False
    rows: int = 0
    nodes: list[Node] = field(default_factory=list)
    forward: dict[int, Measured] = field(default_factory=dict)
    backward: dict[int, Measured] = field(default_factory=dict)
    saturated: dict[int, Any] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)
    refusal: InitlabError | None = None
    homes: list[str] = field(default_factory=lambda: [""])
    _depth: int = 0
    _thread: int = field(default_factory=threading.get_ident)
    _numbers: dict[int, int | None] = field(default_factory=dict)
    _derived: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)  # an id is a tensor's own only as long as the tensor lives
    _pending: dict[int, Any] = field(default_factory=dict)
    _recent: deque[tuple[int, Any]] = field(default_factory=lambda: deque(maxlen=4 * _RECENT))
    _seen: dict[object, Values | None] = field(default_factory=dict)

    # The listener of a pass

    def listens(self) -> bool:
        """Whether a call at this moment is one to hear: not inside a layer, and not of another thread."""
        return self._depth == 0 and threading.get_ident() == self._thread

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, nothing is heard."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def given(self, tensor: Any) -> None:
        """An input of the model."""
        shape = tuple(int(n) for n in tensor.shape)
        self.rows = self.rows or (shape[0] if shape else 0)
        first = keras.config.image_data_format() == "channels_first" and len(shape) > 3
        with self.paused():
            self._made(Node("input", "input", "", False, (), shape, 1 if first else max(len(shape) - 1, 0), 0), tensor)

    def parameter(self, tensor: Any, name: str) -> None:
        """A parameter's numbers as the model meets them."""
        self._kept.append(tensor)
        self._derived[id(tensor)] = (name,)

    def add(self, name: str, layer: Any, function: Callable[..., Any], args: Any, kwargs: Any, outputs: Any) -> Any:
        """Hear of a call; what it made is given back, with an ear at its gradient."""
        made = [x for x in keras.tree.flatten(outputs) if ops.is_tensor(x)]
        kind = kind_of(name.strip("_"))
        if not made or is_deaf(kind):
            return outputs
        with self.paused():
            return self._heard(HeardCall(kind, layer, function, args, kwargs), made, outputs)

    def _heard(self, call: HeardCall, made: Sequence[Any], outputs: Any) -> Any:
        tensors = [x for x in call.leaves() if ops.is_tensor(x)]
        params = self._params(call)
        inputs = [n for x in tensors if (n := self.node(x)) is not None]
        if not inputs and not (params and call.layer is not None):
            for x in made if params else ():
                self._kept.append(x)
                self._derived[id(x)] = params
            return outputs
        if any(self.engine.is_abstract(x) for x in made):
            return outputs
        if call.kind == "dotproductattention" and len(inputs) == 3:
            return self._attention(call, inputs, outputs)
        given = self._given(call, inputs, params, made[0])
        found = meaning(given)
        self._check(given, found)
        if found.kind == "alias":
            for x in made:
                self._alias(x, inputs[0])
            return outputs
        values = self._values(call, found, inputs, made, params)
        if values is not None and np.array_equal(np.float32(values), np.float32(GRID)):
            self._alias(made[0], inputs[0])
            return outputs
        return self._replaced(outputs, lambda x: self._add(call, found, inputs, params, values, x))

    # One call

    def _params(self, call: HeardCall) -> tuple[str, ...]:
        own = self.owned.get(id(call.layer), ()) if call.layer is not None else ()
        met = [self._derived.get(id(x.value if is_variable(x) else x), ()) for x in call.leaves()]
        return tuple(dict.fromkeys((*own, *(name for names in met for name in names))))

    def _given(self, call: HeardCall, inputs: Sequence[int], params: tuple[str, ...], made: Any) -> Given:
        shapes = tuple(tuple(int(n) for n in x.shape) for x in call.leaves() if ops.is_tensor(x) and self._is_data(x))
        soft = tuple(self._is_soft(n) for n in inputs)
        shape = tuple(int(n) for n in made.shape)
        return Given(call.kind, call.layer, call.args, call.kwargs, shapes, shape, params, soft)

    def _is_soft(self, at: int) -> bool:
        while self.nodes[at].kind in ("pass", "dropout") and self.nodes[at].inputs:
            at = self.nodes[at].inputs[0]
        return self.nodes[at].kind == "softmax"

    def _check(self, given: Given, found: Meaning) -> None:
        if found.facts.get("norm") != "batch" or found.units is None:
            return
        if prod(given.output) == given.output[found.units]:
            self.refusal = ShapeError(
                "a batch norm in training needs more than one value a channel",
                where="batch",
                fix="give two samples or more",
            )
            raise self.refusal

    def _values(
        self, call: HeardCall, found: Meaning, inputs: Sequence[int], made: Sequence[Any], params: tuple[str, ...]
    ) -> Values | None:
        """Of a function of each entry of one root, its values on ``GRID``."""
        nodes = [self.nodes[n] for n in inputs]
        if len({node.root for node in nodes}) != 1 or len(made) != 1 or not is_float(made[0]):
            return None
        if any(node.shape != tuple(made[0].shape) for node in nodes if len(nodes) > 1):
            return None
        before = [GRID if node.values is None else node.values for node in nodes]
        if isinstance(call.layer, keras.layers.PReLU):
            return leaky(
                before[0], float(np.mean(np.asarray(to_numpy(self.engine.plain(call.layer.alpha.value)), np.float64)))
            )
        if params or found.kind not in ("maybe", "sum", "product"):
            return None
        key = call.key() if all(one is GRID for one in before) and len(call.tensors()) == len(inputs) else None
        if key is None or key not in self._seen:
            takes_training = call.layer is None or call.layer._call_has_training_arg
            kwargs = {k: v for k, v in call.kwargs.items() if k != "training" or takes_training}
            self._seen[key] = evaluate(called_again(self._is_data, call.function, call.args, kwargs), *before)
        return self._seen[key]

    def _add(
        self,
        call: HeardCall,
        found: Meaning,
        inputs: Sequence[int],
        params: tuple[str, ...],
        values: Values | None,
        x: Any,
    ) -> Any:
        shape = tuple(int(n) for n in x.shape)
        taken = tuple(inputs) if found.takes is None else tuple(inputs[n] for n in found.takes if n < len(inputs))
        source = self.nodes[taken[0]] if taken else None
        same = source is not None and len(source.shape) == len(shape)
        units = source.units if same and source is not None else max(len(shape) - 1, 0)
        units = units if found.units is None else found.units
        home, of_layer = self._home(call.layer)
        kind = str(found.kind) if values is None else "function"
        if kind == "maybe" or (kind == "weighted" and found.facts == {} and _has_activation(call.layer)):
            kind = "unknown"
        at = len(self.nodes)
        root = at if values is None else self.nodes[taken[0]].root
        facts: Facts = {"name": found.name} if kind == "unknown" else found.facts
        node = Node(kind, found.name, home, of_layer, taken, shape, units, root, params, facts, values)
        for n in inputs:
            if values is None:
                self.settle(n)
        return self._made(node, x)

    def _home(self, layer: Any) -> tuple[str, bool]:
        if layer is None:
            return self.homes[-1], False
        return self.path_of(layer), True

    def path_of(self, layer: Any) -> str:
        """A layer's path; one that Keras gave none has its name behind that of the layer around it."""
        around = self.homes[-1]
        return str(layer.path or (f"{around}/{layer.name}" if around else layer.name))

    def _made(self, node: Node, x: Any) -> Any:
        """Number a value and sum it."""
        at = len(self.nodes)
        self.nodes.append(node)
        self._alias(x, at)
        if not is_float(x) or not node.shape or not prod(node.shape) or self.engine.is_abstract(x):
            return x
        plain = self.engine.plain(x)
        self._recent.append((at, plain))
        if node.kind == "function":
            self._pending[at] = plain
            return x
        self._sum(at, plain)
        if node.kind == "input":
            return x
        heard = self.engine.listen(x, lambda gradient: self._arrived(at, gradient))
        if heard is not x:
            self._alias(heard, at)
        return heard

    def _sum(self, at: int, plain: Any) -> None:
        node = self.nodes[at]
        value, units = self._arranged(plain, node.units)
        kind = "activation" if node.kind == "function" else node.kind
        is_softmax = kind == "softmax"
        self.forward[at] = self.measure.value(
            value, units=units, whole=kind in _WHOLE, is_softmax=is_softmax, histogram=self.histogram
        )

    def _arrived(self, at: int, gradient: Any) -> None:
        if not self.engine.is_abstract(gradient):
            value, units = self._arranged(gradient, self.nodes[at].units)
            self.backward[at] = self.measure.value(value, units=units, whole=False, histogram=self.histogram)

    def _arranged(self, x: Any, units: int) -> tuple[Any, int]:
        """Parts of a sample that were put along the axis of samples have an axis of their own again."""
        shape = tuple(x.shape)
        if len(shape) < 2 or not self.rows or shape[0] == self.rows or shape[0] % self.rows or units == 0:
            return x, units
        return ops.reshape(x, (self.rows, shape[0] // self.rows, *shape[1:])), units + 1

    def settle(self, at: int) -> None:
        """Sum a function where it ends, and tell how much of its root is saturated."""
        node = self.nodes[at]
        if node.kind != "function" or at in self.whole:
            return
        self.whole.add(at)
        plain = self._pending.pop(at, None)
        if plain is None:
            return
        self._sum(at, plain)
        ends = None if node.f is None else flat_ends(node.f)
        if ends is not None:
            self.saturated[node.root] = self.measure.outside(plain, *ends)

    def _attention(self, call: HeardCall, inputs: Sequence[int], outputs: Any) -> Any:
        """Attention that is one call has its weights computed anew."""
        bound = inspect.signature(call.function).bind(*call.args, **call.kwargs).arguments
        shares = shares_of(bound, self.engine)
        query, key, value = inputs
        for n in inputs:
            self.settle(n)
        (rows, steps_of_query, heads, _), terms = tuple(bound["query"].shape), int(bound["key"].shape[1])
        shape = (int(rows), int(heads), int(steps_of_query), terms)
        at = len(self.nodes)
        self.nodes.append(Node("softmax", "softmax", self.homes[-1], False, (query, key), shape, 3, at))
        self.forward[at] = self.measure.value(shares, whole=False, is_softmax=True)
        return self._replaced(
            outputs,
            lambda x: self._made(
                Node("mix", "attention", self.homes[-1], False, (at, value), tuple(x.shape), 3, at + 1), x
            ),
        )

    def _replaced(self, outputs: Any, change: Callable[[Any], Any]) -> Any:
        def fresh(x: Any) -> Any:
            if not ops.is_tensor(x):
                return x
            heard = change(x)
            mask = None if heard is x else keras.src.backend.get_keras_mask(x)
            if mask is not None:
                keras.src.backend.set_keras_mask(heard, mask)
            return heard

        return keras.tree.map_structure(fresh, outputs)

    # Numbers of tensors

    def _alias(self, x: Any, at: int) -> None:
        self._kept.append(x)
        self._numbers[id(x)] = at

    def _is_data(self, x: Any) -> bool:
        return ops.is_tensor(x) and self._numbers.get(id(x)) is not None

    def node(self, x: Any) -> int | None:
        """The number of a tensor's node; None for a constant."""
        if id(x) not in self._numbers and id(x) not in self._derived:
            self._kept.append(x)
            self._numbers[id(x)] = None
            self._numbers[id(x)] = self._explained(x)
        return self._numbers.get(id(x))

    def _explained(self, x: Any) -> int | None:
        """The node of a tensor that no call made, told by its values."""
        shape = tuple(x.shape)
        if not is_float(x) or prod(shape) < 2 or self.engine.is_abstract(x):
            return None
        plain = self.engine.plain(x)
        alike = [(n, y) for n, y in self._recent if prod(y.shape) == prod(shape)][-_RECENT:]
        numbers = {id(y): n for n, y in alike}
        found = steps(plain, [y for _, y in alike])
        for step in found:
            numbers[id(step.output)] = self._step(step, [numbers[id(y)] for y in step.inputs], shape, plain)
        if found:
            return numbers[id(found[-1].output)]
        if len(shape) < 2 or shape[0] != self.rows or not self._recent:
            return None
        self._made(Node("pass", "value", self.homes[-1], False, (), shape, len(shape) - 1, len(self.nodes)), x)
        return len(self.nodes) - 1

    def _step(self, step: Step, inputs: Sequence[int], shape: tuple[int, ...], plain: Any) -> int:
        source = self.nodes[inputs[0]]
        if step.kind == "identity":
            return inputs[0]
        call = HeardCall(step.kind, None, step.function, step.inputs, {})
        before = GRID if source.values is None else source.values
        values = None if step.kind == "add" else evaluate(step.function, before)
        found = Meaning("sum" if step.kind == "add" else "unknown", step.kind)
        self._add(call, found, inputs, (), values, step.output if step.output is not plain else plain)
        return len(self.nodes) - 1


def _has_activation(layer: Any) -> bool:
    """Whether an activation may hide inside of a wrapped layer."""
    inner = getattr(layer, "layer", None)
    function = getattr(inner, "activation", None)
    return function is not None and function is not keras.activations.linear
