"""What a trace shows of each weight: what made its input, what takes its output, which residual branch it is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from initlab.core.facts.spec import Branch, Fidelity, NormKind
from initlab.frameworks.keras.reading.branches import graph_of, residual, shared_layers
from initlab.frameworks.keras.reading.calls import Record
from initlab.frameworks.keras.reading.inputs import arguments, first_line, recorded_inputs, symbolic
from initlab.frameworks.keras.reading.record import record_example, record_symbolic
from initlab.frameworks.keras.reading.signals import Signal, norm_behind, signals, takers, without_looks
from initlab.frameworks.keras.reading.uses import Use


@dataclass(frozen=True)
class Around:
    """What stands around one weight layer.

    Attributes:
        f_in: The activation that made its input.
        f_out: The activation that takes its output.
        in_moment: E[x^2] of its input, where ``f_in`` does not say it.
        branch: Its place in a residual branch.
        norm: The norm layer that takes its output before any activation.
    """

    f_in: str | None = None
    f_out: str | None = None
    in_moment: float | None = None
    branch: Branch | None = None
    norm: NormKind | None = None


@dataclass(frozen=True, eq=False)
class Trace:
    """What a pass through a model shows; layers, and kernels of a user's own layer, go by their ids.

    Attributes:
        fidelity: How much was seen.
        around: For each weight layer that was called.
        last_norms: For each norm layer at the end of a residual branch, its place.
        heads: Weight layers that no other weight follows.
        notes: What was not seen, in words.
        uses: By the id of a variable of no known layer, how functions use it, where that is always the same way.
    """

    fidelity: Fidelity
    around: Mapping[int, Around] = field(default_factory=dict)
    last_norms: Mapping[int, Branch] = field(default_factory=dict)
    heads: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    uses: Mapping[int, Use] = field(default_factory=dict)


def trace(model: Any, example: object = None) -> Trace:
    """The surroundings of every weight of a built model; nothing of the model is changed.

    Args:
        model: A built model.
        example: An input, or a tuple of inputs; a model that was built on a known shape needs none.

    Raises:
        ShapeError: The model cannot take the example.
    """
    given = None if example is None else arguments(model, example)
    shapes = symbolic(given) if given is not None else recorded_inputs(model)
    if shapes is None:
        return Trace("declared", notes=("nothing is known of the model's inputs: give example=x to trace it",))
    if given is None:
        record = _record_or_hidden(model, shapes)
        return _read(record, "partial" if record.hidden else "traced")
    try:
        return _read(record_symbolic(model, shapes, opaque=False), "traced")
    except Exception as refused:  # whatever the model's own code raises on a tensor without a value
        reason = first_line(refused)
    note = (
        f"the model takes no symbolic tensors ({reason}): the example went through, and values told what was not seen"
    )
    return _read(record_example(model, given), "partial", note)


def _record_or_hidden(model: Any, shapes: Sequence[Any]) -> Record:
    """The symbolic record; where even the outermost call refuses, an empty one that names the model as hidden."""
    try:
        return record_symbolic(model, shapes, opaque=True)
    except Exception:  # the model's own code; it is named in the notes
        return Record(hidden=[model.path or model.name])


def _read(whole: Record, fidelity: Fidelity, *notes: str) -> Trace:
    record = without_looks(whole)
    known = signals(record)
    taken, consumers = takers(record, known), record.consumers()
    graph = graph_of(record)
    structure = residual(graph, known)
    around: dict[int, Around] = {}
    fed: dict[int, tuple[Any, Signal]] = {}
    for i in graph.within(graph.weights):
        call = graph.calls[i]
        signal = known[call.inputs[0]]
        if id(call.layer) not in around:
            fed[id(call.layer)] = (call.layer, signal)
            around[id(call.layer)] = Around(
                f_in=signal.activation,
                f_out=_one(taken.get(known[call.outputs[0]].root, set())),
                in_moment=_moment(signal),
                branch=structure.branches.get(id(call.layer)),
                norm=norm_behind(call.outputs[0], known, consumers),
            )
    said = (*notes, *_notes(record, fed, taken, known), *_shared(shared_layers(graph)))
    uses = {key: several[0] for key, several in record.uses.items() if len({(u.role, u.axes) for u in several}) == 1}
    return Trace(fidelity, around, structure.last_norms, structure.heads, said, uses)


def _one(activations: set[str | None]) -> str | None:
    """The activation, where there is but one."""
    named = activations - {None}
    return next(iter(named)) if len(named) == 1 else None


def _moment(signal: Signal) -> float | None:
    if signal.activation is not None:
        return None
    return signal.moment if signal.is_plain else signal.second_moment


def _notes(
    record: Record,
    fed: Mapping[int, tuple[Any, Signal]],
    taken: Mapping[int, set[str | None]],
    known: Mapping[int, Signal],
) -> list[str]:
    notes = [f"what happens inside '{name}' was not seen: give example=x, or overrides" for name in record.hidden]
    makers: Counter[str] = Counter()
    for layer, signal in fed.values():
        if signal.activation is not None:
            continue
        if not signal.is_plain:
            moment = f"{signal.second_moment:.4g}"
            notes.append(f"'{layer.name}' is fed by an activation without a name: E[x^2] of its input is {moment}")
        elif signal.origin == "unknown":
            makers[signal.maker] += 1
    for maker, count in makers.items():
        inputs = "a weight's input comes" if count == 1 else f"the inputs of {count} weights come"
        notes.append(f"{inputs} from {maker}, whose law is not known: taken for standard normal")
    normed = sum(signal.origin == "norm" and signal.is_plain for _, signal in fed.values())
    if normed:
        notes.append(f"{normed} of {len(fed)} weight layers are fed by a normalisation: E[x^2] of their input is 1")
    for call in record.calls:
        named = {name for name in taken.get(known[call.outputs[0]].root, set()) if name is not None}
        if call.layer is not None and id(call.layer) in fed and len(named) > 1:
            notes.append(
                f"the output of '{call.layer.name}' is taken by {' and '.join(sorted(named))}: f_out left open"
            )
    return notes


def _shared(layers: Sequence[Any]) -> list[str]:
    return [f"'{layer.name}' is called more than once: its first call counts" for layer in layers]
