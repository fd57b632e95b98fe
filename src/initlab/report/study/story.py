"""What the report says in words, made from the runs' own numbers: why a scheme cannot learn, and what diverged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from initlab.report.drawing.text import count_of, number, share, without_folders
from initlab.report.study.facts import DatasetFacts
from initlab.report.study.summary import runs_of
from initlab.study.records import RunRecord, StudyDesign


@dataclass(frozen=True)
class Paragraph:
    """A heading and what is said under it, both plain text."""

    heading: str
    text: str


@dataclass(frozen=True)
class Unfinished:
    """One run that did not end well, in words."""

    scheme: str
    seed: int
    status: str
    when: str
    reason: str


def explanations(design: StudyDesign, records: Sequence[RunRecord], facts: DatasetFacts) -> tuple[Paragraph, ...]:
    """A paragraph for each scheme whose hidden layers cannot learn, or whose units start as copies of each other."""
    found = []
    for scheme in design.schemes:
        runs = [r for r in runs_of(records, scheme) if r.status == "ok" and r.layers]
        if not runs:
            continue
        if all(_is_stuck(run) for run in runs):
            found.append(_stuck(scheme, runs, facts, design))
        elif all(_starts_equal(run) for run in runs):
            found.append(_equal(scheme, runs, design))
    return tuple(found)


def _is_stuck(run: RunRecord) -> bool:
    """Whether the last hidden layer put out zeros, and every weight's gradient was exactly zero, at every epoch."""
    hidden = run.layers["activation_norm"][:, -2:-1]
    return hidden.size > 0 and not np.any(hidden) and not np.any(run.layers["gradient_norm"])


def _starts_equal(run: RunRecord) -> bool:
    """Whether every hidden layer starts with all weights equal."""
    hidden = run.layers["weight_var"][0, :-1]
    return hidden.size > 0 and not np.any(hidden)


def _stuck(scheme: str, runs: Sequence[RunRecord], facts: DatasetFacts, design: StudyDesign) -> Paragraph:
    norm = np.array([run.layers["weight_norm"] for run in runs])
    dead = np.array([run.layers["dead"][-1, :-1] for run in runs])
    moved = float(np.abs(norm[:, -1] - norm[:, 0]).max())
    start, end = norm[:, 0, :-1], norm[:, -1, :-1]
    sentences = [
        "On the probe batch the gradient of the loss by every weight is exactly 0 at every epoch and for "
        f"{_all_seeds(runs)}: the hidden layers put out zeros, so nothing flows back through the output layer's "
        "weights, and nothing in the input can change the output.",
        f"The norm of the hidden layers' weights is {_spread(start)} at the start and {_spread(end)} after training; "
        f"the largest change of any layer's norm is {number(moved)}.",
        f"The share of dead hidden units is {_spread(dead, spell=share)}.",
    ]
    learned = "Only the output bias learns" if design.bias else "Nothing learns"
    if design.model is not None:
        sentences[0], learned = _no_gradient(runs), "No weight learns"
    if facts.kind == "classification" and facts.test_counts:
        sentences += _constant_prediction(runs, facts, design)
    return Paragraph(f"{learned} under {scheme}", " ".join(sentences))


def _no_gradient(runs: Sequence[RunRecord]) -> str:
    """What an own model's numbers show; what lies between its layers is its author's."""
    return (
        "On the probe batch the gradient of the loss by every weight is exactly 0 at every epoch and for "
        f"{_all_seeds(runs)}, and the layer before the last puts out zeros."
    )


def _constant_prediction(runs: Sequence[RunRecord], facts: DatasetFacts, design: StudyDesign) -> list[str]:
    predicted = [np.unique(run.predictions) for run in runs if run.predictions is not None]
    classes = sorted({int(c) for found in predicted for c in found})
    if not predicted or any(len(found) != 1 for found in predicted):
        return []
    shares = [facts.test_counts[c] / facts.rows_test for c in classes]
    named = " or ".join(
        f"'{facts.class_names[c]}' ({facts.test_counts[c]:,} of {facts.rows_test:,} test rows = {share(s)})"
        for c, s in zip(classes, shares, strict=True)
    )
    which = (
        f"the same class, {named}"
        if len(classes) == 1
        else f"one and the same class, which depends on the seed: {named}"
    )
    accuracy = np.array([run.final("test_accuracy") for run in runs])
    sentences = [
        f"So every test row gets {which}, and the test accuracy is that class's share: "
        f"{_spread(accuracy, spell=share)} measured for {_all_seeds(runs)}."
    ]
    top = max(facts.train_counts)
    if design.model is None and design.bias and [facts.train_counts[c] for c in classes] == [top] * len(classes):
        limit = ": its logits tend to the logarithms of the classes' shares" if design.loss == "cross_entropy" else ""
        sentences.append(
            f"It is the most frequent class of the training set ({top:,} of {facts.rows_train:,} rows), which is the "
            f"best that a bias alone can do{limit}."
        )
    return sentences


def _equal(scheme: str, runs: Sequence[RunRecord], design: StudyDesign) -> Paragraph:
    final = np.array([run.layers["weight_var"][-1, :-1] for run in runs])
    sentences = [
        "Every hidden layer starts with all its weights equal, so all its units compute the same and, as far as the "
        "weights behind them are equal too, get the same gradient: such a layer is worth one unit.",
        f"Variance of the hidden layers' weights: 0 at the start, {_spread(final)} after training.",
    ]
    if final.shape[1] > 1 and not np.any(final[:, 1:]):
        cause = ""
        sentences.append("Units that see equal inputs still have equal weights at the end.")
    elif design.dropout > 0:
        cause = f"dropout ({design.dropout:g}) gives the units"
    elif design.output_scheme is not None:
        cause = f"the output layer ({design.output_scheme}) gives the units of the last hidden layer"
    else:
        cause = ""
    if cause:
        sentences.append(f"Here {cause} different gradients and so tells them apart.")
    return Paragraph(f"All units of a layer start equal under {scheme}", " ".join(sentences))


def _all_seeds(runs: Sequence[RunRecord]) -> str:
    return {1: "the one seed", 2: "both seeds"}.get(len(runs), f"all {len(runs)} seeds")


def _spread(values: np.ndarray, *, spell: Callable[[float], str] = number) -> str:
    """The value where all are the same, else the range."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "not known"
    low, high = spell(float(finite.min())), spell(float(finite.max()))
    return low if low == high else f"{low} to {high}"


def unfinished_runs(design: StudyDesign, records: Iterable[RunRecord]) -> tuple[Unfinished, ...]:
    """Every run that diverged, failed, timed out or was skipped, in the study's order."""
    place = {scheme: i for i, scheme in enumerate(design.schemes)}
    bad = [r for r in records if r.status != "ok"]
    bad.sort(key=lambda r: (place.get(r.spec.scheme, len(place)), r.spec.seed))
    return tuple(
        Unfinished(r.spec.scheme, r.spec.seed, r.status, _when(r), without_folders(f"{_rate(r, design)}{r.reason}"))
        for r in bad
    )


def _rate(record: RunRecord, design: StudyDesign) -> str:
    return f"learning rate {record.spec.optimizer.learning_rate:g}: " if design.learning_rates else ""


def _when(record: RunRecord) -> str:
    return "–" if record.diverged_step is None else f"step {record.diverged_step:,}"


def environment(records: Iterable[RunRecord]) -> tuple[tuple[str, str], ...]:
    """Versions, machine facts and the user's code of the runs, by name; where runs differ, every value."""
    values: dict[str, list[str]] = {}
    total, runs = 0.0, 0
    for record in records:
        total, runs = total + record.wall, runs + 1
        code = {"code": record.code.id, "of the code not seen": "; ".join(record.code.unseen)}
        for name, value in {**record.env, **{name: told for name, told in code.items() if told}}.items():
            if value not in values.setdefault(name, []):
                values[name].append(value)
    facts = [(name, without_folders(", ".join(sorted(found)))) for name, found in sorted(values.items())]
    return (*facts, ("training time", f"{total:.3g} s of computing, {count_of(runs, 'run')}"))
