"""The conformance suite of a layer: its parameters are planned, drawn and audited, and its rules meet a measurement."""

from __future__ import annotations

from collections.abc import Callable

from initlab.api.auditing import audit
from initlab.api.planning import initialize, plan
from initlab.api.probing import probe
from initlab.core.facts.layers import LAYERS
from initlab.core.plans.bound import BoundPlan
from initlab.probing.records import Evidence
from initlab.testing.holding import hold

_SEED = 5
_APART = 0.35  # what one draw of a layer of some hundred units may be off its expectation, relative


def check_layer(name: str, build: Callable[[], object], example: object) -> None:
    """Holds a registered layer to what every layer keeps, in a model that has it.

    Args:
        name: Its name.
        build: Returns a model with such a layer, at least a hundred wide, and a weighted layer behind it.
        example: Rows that the model takes, at least 32.

    Raises:
        AssertionError: What the layer does otherwise.
        UnknownNameError: No layer has the name.
    """
    layer = LAYERS[name]
    hold(bool(layer.summary), f"{name}: its docstring does not say what it is")
    model = build()
    bound = plan(model, "glorot_uniform", example=example)
    assert isinstance(bound, BoundPlan)
    params = [entry.param for entry in bound.entries]
    lost = [p.native for p in params if p.role == "unknown" and not p.intent]
    hold(not lost, f"{name}: nobody says what these parameters are", ", ".join(lost))
    initialize(model, "glorot_uniform", seed=_SEED, example=example)
    wrong = [row.native for row in audit(model, "glorot_uniform", example=example).entries if row.verdict == "wrong"]
    hold(not wrong, f"{name}: drawn, and then not found as drawn", ", ".join(wrong))
    _check_rules(name, probe(model, example).evidence)


def _check_rules(name: str, found: Evidence) -> None:
    """What the layer's rules say is what was measured."""
    layer = LAYERS[name]
    at = [i for i, place in enumerate(found.reading.places) if place.facts.get("layer") == name]
    hold(bool(at) == (layer.signal is not None), f"{name}: its calls are so many places", len(at))
    if layer.second_moment is None:
        return
    for i in at:
        said, seen = found.expected[i], found.reading.forward.get(i)
        hold(not said.is_measured, f"{name}: its rule for E[z^2] was not asked", said.why)
        near = seen is None or abs(said.square - seen.square) <= _APART * seen.square
        hold(near, f"{name}: its rule says E[z^2] = {said.square:.4g}, measured is", seen.square if seen else None)
