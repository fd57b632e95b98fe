"""How a model uses its parameters: recorded on symbolic tensors, or on an example where the model takes none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from initlab.frameworks.keras.autodiff import autodiff
from initlab.frameworks.keras.reading.inputs import arguments, first_line, recorded_inputs, run, symbolic
from initlab.frameworks.keras.reading.marks import marked
from initlab.frameworks.keras.reading.parameters import Entry, numbers
from initlab.frameworks.keras.reading.passes import recorded
from initlab.frameworks.keras.reading.recognition import evaluate, recognise
from initlab.frameworks.keras.reading.record import OUTSIDE, Recorder
from initlab.frameworks.reading.surroundings import Trace, read


def trace(model: Any, found: Sequence[Entry], example: object = None) -> Trace:
    """What one pass through a built model shows; nothing of the model is changed.

    Args:
        model: A built model.
        found: Its parameters.
        example: An input, or a tuple of inputs; a model that was built on a known shape needs none.

    Raises:
        ShapeError: The model cannot take the example.
    """
    given = None if example is None else arguments(model, example)
    shapes = symbolic(given) if given is not None else recorded_inputs(model)
    if shapes is None:
        note = "nothing is known of the model's inputs: give example=x to trace it"
        return Trace({}, {}, {}, "declared", (note,))
    if given is None:
        recorder = _symbolic(model, found, shapes, opaque=True)
        return trace_of(recorder, found)
    try:
        recorder = _symbolic(model, found, shapes, opaque=False)
        seen = trace_of(recorder, found)
    except Exception as refused:  # whatever the model's own code raises on a tensor without a value
        reason = first_line(refused)
        told = "the example went through, and values told what was not seen"
        note = f"the model takes no symbolic tensors ({reason}): {told}"
        return replace(trace_of(_on_example(model, found, given), found, note), fidelity="partial")
    return trace_of(_on_example(model, found, given), found) if _is_open(recorder) else seen


def trace_of(recorder: Recorder, found: Sequence[Entry], *notes: str) -> Trace:
    """What a recorded pass shows."""
    names = {entry.native: entry.native for entry in found}
    hidden = [f"what happens inside '{name}' was not seen: give example=x, or overrides" for name in recorder.hidden]
    scales = {entry.native for entry in found if entry.facts.role == "norm_scale"}
    outside = sum(node.name == OUTSIDE for node in recorder.graph.useful())
    if outside:
        values = "a value is" if outside == 1 else f"{outside} values are"
        hidden.append(f"{values} made by {OUTSIDE}, which is not seen: give overrides for what takes them")
    own = marked(recorder.model)
    held = {entry.native: partial(numbers, entry.variable) for entry in found if entry.native not in own}
    said = (*notes, *hidden)
    seen = read(recorder.graph, names, scales=scales, recognise=recognise, evaluate=evaluate, held=held, notes=said)
    return replace(seen, fidelity="partial") if hidden or recorder.by_value else seen


def _is_open(recorder: Recorder) -> bool:
    """Whether a layer leaves open of how many values a pool is, as ``EinsumDense`` does where a size is None."""
    return any(node.form == "pool" and any(x.shape is None for x in node.inputs) for node in recorder.graph.nodes)


def _symbolic(model: Any, found: Sequence[Entry], inputs: Sequence[Any], *, opaque: bool) -> Recorder:
    """The pass on tensors without numbers; where even the outermost call refuses, the model is what is hidden."""
    recorder = Recorder(model, found, autodiff())
    for entry in found:
        recorder.parameter(entry, entry.variable.value)
    recorder.begin(tuple(inputs))
    try:
        with recorded(recorder, opaque=opaque), keras.StatelessScope():
            recorder.end(keras.tree.flatten(model(*inputs)))
    except Exception:
        if not opaque:
            raise
        recorder.hidden.append(model.path or model.name)  # the model's own code; it is named in the notes
    return recorder


def _on_example(model: Any, found: Sequence[Entry], given: Sequence[Any]) -> Recorder:
    recorder = Recorder(model, found, autodiff())
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, tuple(given))
    mapping = [(entry.variable, entry.variable.value) for entry in found]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        for entry in found:
            recorder.parameter(entry, scope.get_current_value(entry.variable))
        recorder.begin(tensors)
        with recorded(recorder):
            recorder.end(keras.tree.flatten(run(model, tensors)))
    return recorder
