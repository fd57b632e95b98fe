"""Checks of what the model is given, before the layers that suffer from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from initlab.core.signals.readings import BatchFacts, Place
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import Case, register_check
from initlab.probing.checks.wording import number
from initlab.probing.measure.metrics import is_recurrent
from initlab.probing.records import Finding

_UNMOVED = frozenset({"pass", "dropout"})


@dataclass(frozen=True)
class Entry:
    """An input as the first weights take it.

    Attributes:
        path: The input.
        layer: The layer that takes it.
        facts: What it holds.
        is_normed: Whether a norm undoes its size at once.
    """

    path: str
    layer: str
    facts: BatchFacts
    is_normed: bool

    @property
    def size(self) -> float:
        """Its root mean square where that is above 1; where its largest entry is below 1, that one."""
        largest, rms = max(abs(self.facts.least), abs(self.facts.largest)), math.sqrt(self.facts.square)
        return rms if rms > 1.0 else min(largest, 1.0)

    @property
    def times(self) -> float:
        """The factor by which it is off, up or down; 1 of an input of zeros."""
        return max(self.size, 1.0 / self.size) if self.size > 0.0 else 1.0


def entries(case: Case) -> Iterator[Entry]:
    """The inputs that reach a layer's weights as they are given."""
    places = case.evidence.reading.places
    for index, place in enumerate(places):
        is_layer = place.kind == "weighted" and not place.facts.get("table")
        source = _given(case, place) if is_layer or is_recurrent(case.evidence, place) else None
        facts = None if source is None else _facts(case, source)
        if source is not None and facts is not None:
            takers = [one for one in places if one.inputs[:1] == (index,)]
            is_normed = bool(takers) and all(one.kind == "norm" for one in takers)
            yield Entry(source.path, place.path, facts, is_normed)


def _given(case: Case, place: Place) -> Place | None:
    while place.inputs:
        place = case.place(place.inputs[0])
        if place.kind == "input":
            return place
        if place.kind not in _UNMOVED:
            return None
    return None


def _facts(case: Case, place: Place) -> BatchFacts | None:
    entries = math.prod(place.shape)
    return next((one for one in case.evidence.reading.batch if math.prod(one.shape) == entries), None)


@register_check("inputs", stage="batch")
def unscaled_inputs(case: Case, limits: Limits) -> Iterator[Finding]:
    """The inputs that the first weights take are far from a size of 1; a note where a norm undoes it."""
    off = [entry for entry in entries(case) if entry.times > limits.input_note]
    if not off:
        return
    worst = max(off, key=lambda entry: (not entry.is_normed, entry.times))
    is_alarm = worst.times > limits.input_alarm and not worst.is_normed
    facts = worst.facts
    yield Finding(
        kind="unscaled inputs",
        severity="alarm" if is_alarm else "note",
        where=(worst.path, worst.layer),
        what=f"the inputs of '{worst.layer}' go from {number(facts.least)} to {number(facts.largest)}, mean "
        f"{number(facts.mean)}, std {number(math.sqrt(facts.variance))}: no weights are meant for this size"
        + (", but the norm behind them undoes it" if worst.is_normed else ""),
        fix="scale the inputs to mean 0 and variance 1, column by column, or pixels to [-1, 1]",
        value=worst.size,
        limit=limits.input_alarm if is_alarm else limits.input_note,
        grade="sick" if worst.times > limits.input_sick else "hard",
    )


@register_check("samples", stage="batch")
def equal_samples(case: Case, limits: Limits) -> Iterator[Finding]:
    """Samples of the batch are the same, or columns of its table are, so that nothing can be told apart by them."""
    batch = case.evidence.reading.batch
    rows = max((facts.shape[0] for facts in batch), default=0)
    held = [facts for facts in batch if facts.shape[0] == rows]
    repeated = min((facts.repeated for facts in held), default=0)
    if rows > 1 and 2 * repeated >= rows:
        yield Finding(
            kind="equal samples",
            severity="note",
            where=("batch",),
            what=f"{repeated} of the {rows} samples are the same as an earlier one: what a model does to different "
            "samples does not show",
            fix="give a batch of different samples, as in training",
            value=float(repeated),
            limit=rows / 2.0,
            grade="not judged" if repeated == rows - 1 else "sick",
        )
        return
    constant, columns = sum(facts.constant for facts in held), sum(facts.columns for facts in held)
    share = max([constant / max(columns, 1), *(facts.constant_share for facts in held)])
    if constant and share > limits.constant and not any(facts.is_whole for facts in held):
        yield Finding(
            kind="constant columns",
            severity="note",
            where=("batch",),
            what=f"{constant} of the {columns} columns are one number in all samples, and not zero: they act as a bias",
            fix="leave them out, or subtract their mean",
            value=share,
            limit=limits.constant,
        )


@register_check("targets", stage="batch")
def unscaled_targets(case: Case, limits: Limits) -> Iterator[Finding]:
    """Targets that are numbers are far from zero, or far larger than outputs can be at the start."""
    reading = case.evidence.reading
    facts, guess = reading.targets, reading.guess
    if facts is None or facts.is_whole or guess is None or guess.how != "constant" or guess.growth != 2:
        return
    size, spread = math.sqrt(facts.square), math.sqrt(facts.variance)
    shifted = facts.mean**2 > limits.error_note * facts.variance
    if not (shifted or size > limits.input_note):
        return
    is_alarm = facts.mean**2 > limits.error_alarm * facts.variance or size > limits.input_alarm
    yield Finding(
        kind="unscaled targets",
        severity="alarm" if is_alarm else "note",
        where=("targets",),
        what=f"the targets go from {number(facts.least)} to {number(facts.largest)}, mean {number(facts.mean)}, std "
        f"{number(spread)}: outputs start near 0, with a spread near 1",
        fix="subtract the targets' mean and divide by their std" if spread else "give targets that differ",
        value=size,
        limit=limits.input_alarm if is_alarm else limits.input_note,
        grade="sick" if size > limits.input_sick else "hard",
    )
