"""The graph of one pass through a model: which values were made of which, and where each parameter went."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.spec import Axes, Role
from initlab.core.signals.readings import FactValue

Kind = Literal[
    "input",  # given to the model
    "constant",  # made in the pass, of no input and no parameter
    "parameter",  # a parameter, or made of parameters alone
    "weight",  # a weighted sum of its inputs, or a look-up
    "norm",  # its first input, normalised
    "elementwise",  # a function of each entry of its root
    "pass",  # the entries of its first input, moved about, averaged or scaled
    "add",
    "mul",
    "concat",
    "unknown",
]
Form = Literal[
    "",
    "table",  # of a weight: rows that are looked up
    "recurrent",  # of a weight: a layer that runs over time, from its sums to its state
    "running",  # of a norm: by statistics of earlier batches
    "moved",  # of a pass: the same entries in another order, or some of them
    "pool",  # of a pass: means or maxima of some entries
    "dropout",  # of a pass
    "mix",  # of a pass: means of its first input, weighted by its last; of one call, by its second and third
    "reduced",  # of a pass: a statistic of its entries
    "shifted",  # of a pass: a parameter is added, or a mean taken off
    "scaled",  # of a pass: times a parameter, or by its own size
    "joined",  # of a pass: with a parameter beside its entries
    "softmax",  # of an unknown: shares along an axis
]
Function: TypeAlias = Callable[[Any], Any]  # of the framework's own arrays
Replay: TypeAlias = Callable[[Callable[["Node"], Any]], Any]
Numbers: TypeAlias = Callable[[], NDArray[np.generic]]
ViewAxes: TypeAlias = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Node:
    """One value.

    Attributes:
        kind: How it was made.
        name: The function that made it.
        inputs: The values it was made of; the first carries the signal.
        params: The parameters in it, by native name; of a weight, those that multiply.
        shape: Its shape, where known.
        root: Of an element-wise value, the value it is a function of.
        function: Of an element-wise value, the function from the root's entries.
        cost: Calls in that function.
        again: Of an operation on each entry, the operation once more, with an array in place of each value that it was
            given; None where something that it was given is not known.
        given: Of such an operation, all that it was given: parameters and constants too.
        axes: Of a parameter, the native axes behind each of its axes: several behind one to which they were merged,
            none behind one that was put in or along which entries were picked; None where that is not known.
        tensor: A parameter, or a constant of one entry.
        numbers: Of a parameter, what it holds.
        times: How often a pass makes it: once a turn in a loop whose body is read once.
        form: What its kind leaves open.
        is_part: Whether an operation returned it beside others, which hold other entries.
        facts: What decides the size of the signal, as in ``core.signals.readings.Place``: of a norm, a convolution, a
            pool and a dropout. Of a statistic of entries also ``over``: its axes, where the call names them. Of a
            recurrent layer without gates ``f``: the activation that makes its state, where that is known.
    """

    kind: Kind
    name: str = ""
    inputs: tuple[Node, ...] = ()
    params: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    root: Node | None = None
    function: Function | None = None
    cost: int = 0
    again: Replay | None = None
    given: tuple[Node, ...] = ()
    axes: ViewAxes | None = None
    tensor: Any = None
    numbers: Numbers | None = None
    times: int = 1
    form: Form = ""
    is_part: bool = False
    facts: Mapping[str, FactValue] = field(default_factory=dict)

    @property
    def is_data(self) -> bool:
        """Whether it depends on the model's input or on a weighted sum."""
        return self.kind not in ("constant", "parameter")


@dataclass(frozen=True)
class Use:
    """How a parameter was used once.

    Attributes:
        role: The role that the use shows.
        axes: The axes of a weight in a matrix product that is not ``(out, in)``.
        groups: Groups of a convolution.
        stride: Stride of a convolution.
        clear: Whether the layout of the use is known.
    """

    role: Role
    axes: Axes | None = None
    groups: int = 1
    stride: tuple[int, ...] = ()
    clear: bool = True


@dataclass(frozen=True)
class Home:
    """The module of the user's model in which a value was made.

    Attributes:
        path: Its name; empty for the model itself.
        is_leaf: Whether it holds no others, so that its name says which value is meant.
    """

    path: str = ""
    is_leaf: bool = False


@dataclass
class Graph:
    """All values of a pass in the order they were made.

    Attributes:
        nodes: The values.
        uses: The uses of each parameter, by native name.
        splits: How a weighted sum was cut along its outputs: into so many equal parts, or parts of these sizes, of
            which a single one is repeated.
        outputs: What the model returned.
        homes: Where values were made, as far as a recorder was told.
        units: The sizes of the stacked and the output axes of a weighted sum's weight, and of a table.
        biases: Parameters in a value beside its ``params``: those that are added to a weighted sum.
    """

    nodes: list[Node] = field(default_factory=list)
    uses: dict[str, list[Use]] = field(default_factory=dict)
    splits: dict[Node, int | tuple[int, ...]] = field(default_factory=dict)
    outputs: tuple[Node, ...] = ()
    homes: dict[Node, Home] = field(default_factory=dict)
    units: dict[Node, tuple[int, ...]] = field(default_factory=dict)
    biases: dict[Node, tuple[str, ...]] = field(default_factory=dict)

    def add(self, node: Node) -> Node:
        """Keep a value; returns it."""
        self.nodes.append(node)
        return node

    def use(self, params: Iterable[str], use: Use) -> None:
        """Note a use of parameters."""
        for name in params:
            self.uses.setdefault(name, []).append(use)

    def weights(self) -> Iterator[Node]:
        """The weighted sums, in order."""
        return (node for node in self.nodes if node.kind == "weight")

    def useful(self) -> set[Node]:
        """The values that an output or a weighted sum was made of, and these themselves."""
        seen, stack = set[Node](), [*self.outputs, *self.weights()]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(node.inputs)
        return seen

    def consumers(self) -> dict[Node, list[Node]]:
        """What was made of each value."""
        made: dict[Node, list[Node]] = {}
        for node in self.nodes:
            for one in dict.fromkeys(node.inputs):
                made.setdefault(one, []).append(node)
        return made
