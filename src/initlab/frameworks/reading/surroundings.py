"""What a graph says about the parameters in it: the place of each weight, the branches, and what could not be seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from initlab.core.facts.spec import Branch, Fidelity, NormKind
from initlab.frameworks.reading.branches import branches, summed
from initlab.frameworks.reading.flow import Flow
from initlab.frameworks.reading.gaussian import Evaluate
from initlab.frameworks.reading.graph import Function, Graph, Node, Numbers, Use
from initlab.frameworks.reading.idle import may_be_zero
from initlab.frameworks.reading.norm_roles import settle_norms
from initlab.frameworks.reading.norms import Norms
from initlab.frameworks.reading.recognition import Recognised
from initlab.frameworks.reading.recurrences import Recurrences, recurrences
from initlab.frameworks.reading.sources import Source

_LISTED = 4


@dataclass(frozen=True)
class Surroundings:
    """Where a weight stands in the model.

    Attributes:
        f_in: The activation that made its input.
        f_out: The activation that takes its output.
        in_moment: The mean square of its input, where the activation does not say it.
        unknown: What made its input, where nothing is known of its size.
        frequency: The factor before the steep function that takes its output.
        carried: The mean square with which the stream began that gates let past it.
        summed: Residual branches whose ends are added to its input, with no norm layer behind them.
        order: Its rank among the weights in the order of their first use.
        split: How its output is cut; see ``Graph.splits``.
        is_output: Whether the model returns what it makes, up to functions of each entry.
        is_end: Whether that is so and no other weighted sum takes it.
        is_look_up: Whether rows of it are looked up, in place of a sum.
        norm: The norm layer that takes its output before any activation.
        may_be_zero: Whether zeros in its place would cut the signal off nowhere.
    """

    f_in: str | None = None
    f_out: str | None = None
    in_moment: float | None = None
    unknown: str = ""
    frequency: float | None = None
    carried: float | None = None
    summed: int = 0
    order: int = 0
    split: int | tuple[int, ...] | None = None
    is_output: bool = False
    is_end: bool = False
    is_look_up: bool = False
    norm: NormKind | None = None
    may_be_zero: bool = False


@dataclass(frozen=True)
class Trace:
    """What was seen of a model.

    Attributes:
        places: The place of each weight, by native name.
        uses: How each parameter was used.
        branches: The place of each weight, and of the last norm's scale, in its residual branch.
        fidelity: How much was seen.
        notes: What was not, in words.
        biases: The weight to whose sum a parameter is added at once, by the native names of the two.
        recurrences: What parameters do in linear recurrences over time.
    """

    places: dict[str, Surroundings]
    uses: dict[str, list[Use]]
    branches: dict[str, Branch]
    fidelity: Fidelity
    notes: tuple[str, ...]
    biases: Mapping[str, str] = field(default_factory=dict)
    recurrences: Recurrences = field(default_factory=Recurrences)


def read(
    graph: Graph,
    names: Mapping[str, str],
    *,
    scales: Collection[str],
    recognise: Callable[[Function], Recognised],
    evaluate: Evaluate,
    held: Mapping[str, Numbers],
    notes: tuple[str, ...] = (),
) -> Trace:
    """What a graph shows.

    Args:
        graph: The graph.
        names: For every native name the one that the graph calls the parameter by: its first.
        scales: The native names of the scales of the framework's own norms.
        recognise: What a function of each entry is, of the arrays that the graph's functions take.
        evaluate: What such a function makes of numbers.
        held: What parameters hold that initlab did not write, by native name.
        notes: What is known to be hidden before the graph is read.
    """
    settle_norms(graph, evaluate)
    typed = frozenset(scales)
    scales = typed | {n for n, uses in graph.uses.items() if all(use.role == "norm_scale" for use in uses)}
    flow = Flow(graph, recognise, evaluate, scales, held)
    norms = Norms(flow, scales)
    outputs = _output_weights(graph)
    said = _Said()
    places: dict[str, list[Surroundings]] = {}
    for order, node in enumerate(graph.weights()):
        place = replace(_around(flow, node, order, said), split=graph.splits.get(node), norm=norms.behind(node))
        is_end = node in outputs and node.form != "table" and not flow.goes_on(node)
        spare = may_be_zero(graph, flow, node)
        place = replace(place, is_output=node in outputs, is_end=is_end, may_be_zero=spare)
        for name in node.params:
            places.setdefault(name, []).append(place)
    residual = branches(graph, norms)
    for node in graph.weights():
        count = summed(node, residual)
        for name in node.params:
            places[name] = [replace(place, summed=max(place.summed, count)) for place in places[name]]
    _say_several(graph, places, said)
    seen = {name for node in graph.nodes for name in node.params} | graph.uses.keys()
    unseen = [native for native, first in names.items() if first not in seen]
    said.add("not seen in use", unseen)
    return Trace(
        {name: _commonest(several) for name, several in places.items()},
        graph.uses,
        residual,
        "partial" if unseen or said.is_hidden else "traced",
        (*notes, *said.lines()),
        _biases(graph),
        recurrences(graph, flow, evaluate),
    )


def _biases(graph: Graph) -> dict[str, str]:
    added = [(node, names) for node, names in graph.biases.items()]
    added += [(node.inputs[0], node.params) for node in graph.nodes if node.form == "shifted" and node.inputs]
    return {name: node.params[0] for node, names in added if node.kind == "weight" and node.params for name in names}


def _say_several(graph: Graph, places: Mapping[str, Sequence[Surroundings]], said: _Said) -> None:
    """Say which weights have inputs of more than one kind; a table's rows have none."""
    for name, several in places.items():
        if len({(p.f_in, p.in_moment) for p in several}) > 1 and not _is_table(graph, name):
            said.add("used more than once behind different activations; the commonest counts", [name])


def _around(flow: Flow, node: Node, order: int, said: _Said) -> Surroundings:
    is_table = not node.inputs or node.name.startswith("embedding")
    source = Source() if is_table else flow.source(node.inputs[0])
    if not source.unknown and source.second == 0.0:  # as the targets that a decoder starts with
        source = Source(unknown="a constant zero", hidden=True)
    takers = flow.takers(node)
    if source.unknown:
        said.add(f"the size of the input is not known, it is made by {source.unknown}", node.params)
        said.is_hidden |= source.hidden
    if source.normed:
        said.add("the input is normalised, so its mean square is 1", node.params)
    if len(takers) > 1 or takers == ("",):
        said.add("no single known activation takes the output", node.params)
    f_out = takers[0] or None if len(takers) == 1 else None
    unknown = source.unknown if source.hidden else ""
    sizes = source.moment, unknown, flow.frequency(node), flow.carried_past(node)
    return Surroundings(source.f, f_out, *sizes, order=order, is_look_up=is_table)


def _commonest(places: Sequence[Surroundings]) -> Surroundings:
    """One place for a weight that is used several times."""
    counts = Counter((p.f_in, p.f_out, p.in_moment, p.unknown, p.frequency, p.carried) for p in places)
    facts, _ = counts.most_common(1)[0]
    split = next((place.split for place in places if place.split), None)
    is_output = any(place.is_output for place in places)
    # A table that is the head as well is looked up before.
    is_end = is_output and all(place.is_end or place.is_look_up for place in places)
    spare = all(place.may_be_zero for place in places)
    order, norm, count = places[0].order, places[0].norm, max(place.summed for place in places)
    return Surroundings(*facts, count, order, split, is_output, is_end, norm=norm, may_be_zero=spare)


def _is_table(graph: Graph, name: str) -> bool:
    return any(use.role == "embedding" for use in graph.uses.get(name, ()))


class _Said:
    """Notes, each with the parameters that it is about."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, None]] = {}
        self.is_hidden = False  # whether an operation that is not known stands before a weight

    def add(self, text: str, names: Iterable[str]) -> None:
        """Say a thing of some more parameters."""
        for name in names:
            self._names.setdefault(text, {})[name] = None

    def lines(self) -> list[str]:
        """One line a thing said."""
        return [f"{text}: {listed(list(names))}" for text, names in self._names.items()]


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _output_weights(graph: Graph) -> set[Node]:
    found, seen, stack = set[Node](), set[Node](), list(graph.outputs)
    while stack:
        at = stack.pop()
        if at in seen:
            continue
        seen.add(at)
        if at.kind == "weight":
            found.add(at)
        elif at.kind in ("pass", "elementwise", "concat") or at.name in ("softmax", "log_softmax"):
            stack.extend(at.inputs[:1] if at.kind == "pass" else at.inputs)
    return found
