"""How a model uses its parameters: recorded on an example, or followed with symbols where none is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from initlab.core.errors import ShapeError
from initlab.frameworks.reading.axes import own_axes
from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.reading.surroundings import Trace, read
from initlab.frameworks.torch.reading.held import stand_ins
from initlab.frameworks.torch.reading.layers import layer_facts
from initlab.frameworks.torch.reading.marks import marked
from initlab.frameworks.torch.reading.parameters import Entry
from initlab.frameworks.torch.reading.recognition import evaluate, recognise
from initlab.frameworks.torch.reading.record import record
from initlab.frameworks.torch.reading.symbolic import follow


def trace(model: nn.Module, found: Sequence[Entry], example: object = None) -> Trace:
    """What one pass through a model shows, which leaves the model and all generators as they were.

    Args:
        model: The model.
        found: Its parameters.
        example: An input, a tuple of inputs, or a mapping of arguments by name; without one, ``forward`` is followed
            with symbols, or with the inputs that the model itself offers for a trial.

    Raises:
        ShapeError: The model does not take the example.
    """
    bare = _uncompiled(model)
    nodes = parameter_nodes(found)
    if example is not None:
        return read_graph(_passed(bare, example, nodes), model, found)
    graph = follow(bare, nodes)
    if graph is not None:
        return read_graph(graph, model, found)
    offered = getattr(bare, "dummy_inputs", None)
    if offered:
        try:
            return read_graph(
                _passed(bare, offered, nodes), model, found, ("traced with the model's own dummy inputs",)
            )
        except ShapeError:
            pass  # they are made for another kind of model of the same family
    note = "forward cannot be followed without an input, so no activation was seen: give example="
    return Trace({}, {}, {}, "declared", (note,))


def _passed(model: nn.Module, example: object, nodes: Mapping[int, Node]) -> Graph:
    """The graph of one pass; of a model without memory on shapes alone, or with stand-ins where it asks for numbers."""
    if not any(parameter.is_meta for parameter in model.parameters()):
        return record(model, example, nodes)
    try:
        return record(model, example, nodes)
    except ShapeError:  # or a way that hangs on numbers, as an expert's
        with stand_ins(model) as others:
            return record(model, example, {id(others[key]) if key in others else key: nodes[key] for key in nodes})


def _uncompiled(model: nn.Module) -> nn.Module:
    inner = getattr(model, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else model


def parameter_nodes(found: Sequence[Entry]) -> dict[int, Node]:
    """The node of each parameter, by ``id``."""
    nodes: dict[int, Node] = {}
    for entry in found:
        node = Node(
            "parameter",
            params=(entry.first,),
            shape=entry.shape,
            axes=own_axes(entry.shape),
            tensor=entry.tensor,
            numbers=entry.numbers,
        )
        for tensor in entry.tensors:
            nodes.setdefault(id(tensor), node)
    return nodes


def read_graph(graph: Graph, model: nn.Module, found: Sequence[Entry], notes: tuple[str, ...] = ()) -> Trace:
    """What the graph of a pass says about these parameters."""
    names, own = {entry.native: entry.first for entry in found}, marked(model)
    held = {entry.native: entry.numbers for entry in found if entry.native not in own and entry.numbers is not None}
    scales = _scales(found)
    return read(graph, names, scales=scales, recognise=recognise, evaluate=evaluate, held=held, notes=notes)


def _scales(found: Sequence[Entry]) -> set[str]:
    """The native names of the scales of torch's own norms."""
    known = ((entry, layer_facts(entry.owner, entry.leaf, entry.shape)) for entry in found)
    return {entry.first for entry, facts in known if facts is not None and facts.role == "norm_scale"}
