"""How a model uses its parameters: read off the jaxpr of one pass of an example, or of an input that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from flax import nnx

from initlab.core.errors import ShapeError
from initlab.frameworks.jax.reading.calls import ProgramGraph
from initlab.frameworks.jax.reading.inputs import Arguments, arguments, shapes_of, tried
from initlab.frameworks.jax.reading.jaxprs import Slot
from initlab.frameworks.jax.reading.layers import layer_facts
from initlab.frameworks.jax.reading.marks import marked
from initlab.frameworks.jax.reading.operations import walk
from initlab.frameworks.jax.reading.parameters import Entry, numbers
from initlab.frameworks.jax.reading.recognition import evaluate, recognise
from initlab.frameworks.jax.reading.record import Traced, UntraceableError, traced
from initlab.frameworks.reading.axes import own_axes
from initlab.frameworks.reading.graph import Node
from initlab.frameworks.reading.surroundings import Trace, read


def trace(model: nnx.Module, found: Sequence[Entry], example: object = None) -> Trace:
    """What one pass through a model in evaluation mode shows; the model stays as it is.

    Args:
        model: The model.
        found: Its parameters.
        example: An input, a tuple of inputs, or a mapping of arguments by name; without one, inputs that the first
            layer would take are tried. Only their shapes count.

    Raises:
        ShapeError: The model does not take the example.
    """
    if example is not None:
        given = arguments(example)
        try:
            return read_program(traced(model, found, given, training=False), model, found)
        except UntraceableError as error:
            return _unseen(f"{error.what}, so no activation was seen")
        except Exception as error:  # the model's own code, on an input that does not fit it
            raise refused(error, given, "example") from error
    for given in tried(found):
        try:
            return read_program(traced(model, found, given, training=False), model, found)
        except Exception:
            continue
    return _unseen("the call cannot be followed without an input, so no activation was seen: give example=")


def refused(error: Exception, given: Arguments, word: str) -> ShapeError:
    """The error of a model that does not take what it was given, which is called ``word``."""
    said = str(error).strip().splitlines()
    return ShapeError(
        f"the model does not take the {word}: {said[0] if said else type(error).__name__}",
        where=f"{word} of shape {shapes_of(given)}",
        fix="give what the model's call takes, samples first and channels last",
    )


def _unseen(note: str) -> Trace:
    return Trace({}, {}, {}, "declared", (note,))


def arguments_as_nodes(one: Traced, made: ProgramGraph, found: Sequence[Entry] = ()) -> Mapping[Slot, Node]:
    """What each argument of a traced pass is: a parameter, a buffer, or an input.

    Args:
        one: The pass.
        made: Takes the inputs.
        found: The parameters whose numbers may be asked for.
    """
    nodes: dict[Slot, Node] = {}
    held = {entry.native: partial(numbers, entry.variable) for entry in found}
    for slot, name in zip(one.program.inputs, one.names, strict=False):
        shape = one.program.shapes[slot]
        is_param = Node("parameter", params=(name,), shape=shape, axes=own_axes(shape), numbers=held.get(name))
        nodes[slot] = is_param if name else Node("constant", "buffer", shape=shape)
    for slot in one.program.inputs[len(one.names) :]:
        nodes[slot] = made.graph.add(Node("input", shape=one.program.shapes[slot]))
        made.slots[nodes[slot]] = slot
    return nodes


def read_program(one: Traced, model: nnx.Module, found: Sequence[Entry]) -> Trace:
    """What a traced pass says about these parameters; the body of a loop is read, once."""
    made = ProgramGraph(one.calls.made, one.calls.inside)
    results = walk(one.program, arguments_as_nodes(one, made, found), made)
    made.graph.outputs = tuple(dict.fromkeys(node for node in results if node.is_data))
    names, own, scales = {entry.native: entry.first for entry in found}, marked(model), norm_scales(found)
    held = {entry.native: partial(numbers, entry.variable) for entry in found if entry.native not in own}
    return read(made.graph, names, scales=scales, recognise=recognise, evaluate=evaluate, held=held)


def norm_scales(found: Sequence[Entry]) -> set[str]:
    """The native names of the norms' scales."""
    known = ((entry, layer_facts(entry)) for entry in found)
    return {e.first for e, facts in known if facts is not None and facts.role == "norm_scale"}
