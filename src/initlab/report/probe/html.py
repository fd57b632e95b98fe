"""The page of a profile: verdict, findings, pictures and table in one HTML file that asks the network for nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from initlab.probing.diagnosis import Diagnosis
from initlab.probing.measure.metrics import Compared, LayerRow, loss_of
from initlab.probing.profile import Profile
from initlab.probing.records import Finding
from initlab.probing.show.profile_text import HEALTH, NOTHING, Column, compact, measured
from initlab.report.drawing.markup import Html, definitions, element, join, lines, table, text
from initlab.report.drawing.text import without_folders
from initlab.report.drawing.theme import SCHEMA, Spec
from initlab.report.probe.figures import ProbeFigure, Quantity
from initlab.report.probe.specs import TITLES, VALUE_TITLES, layer_spec, singular_spec, value_spec
from initlab.report.study.html import page_html
from initlab.report.study.sections import Section, chart
from initlab.report.theory.specs import phase_spec

_ABOUT = {
    "signal": "Line: theory, with the band in which 95 % of the nets of this width lie. Dots: measured, with two "
    "standard errors over the samples.",
    "gradient": "The loss's gradient by the weighted sum.",
    "cosine": "1 where all samples have become one.",
    "values": "Every layer, all on one axis; shares by their root, so that a spike leaves a bell to be seen.",
    "phases": "Blue: ordered, gradients vanish and inputs become alike. Orange: chaotic, gradients explode.",
    "singular": "Of the output by the input, at the first sample.",
}
_PAIRS = ("E[z²]", "E[a²]", "E[g²]")
# The table of parameters tells the others.
_LIKENESS = tuple(column for column in HEALTH if column.title not in ("w std", "update"))
_NARROW = 160
"""Pixels below which a histogram gets no neighbour."""


def probe_html(profile: Profile, diagnosis: Diagnosis, figure: ProbeFigure, *, command: str = "") -> str:
    """The page as one string of HTML; every name in it is escaped.

    Args:
        profile: Of the model.
        diagnosis: What was found in it.
        figure: Its pictures.
        command: What was typed; absolute paths are cut to their last part.
    """
    shown = [
        Section("findings", "What was found", _findings(diagnosis)),
        Section("pictures", "Theory beside measurement", _pictures(figure)),
        Section("layers", "Every layer", _layers(profile)),
        Section("weights", "Every parameter", _weights(profile)),
    ]
    if command:
        shown.append(Section("repeat", "To repeat it", lines(without_folders(command))))
    answer = [
        element("h2", text("The answer")),
        element("p", text(diagnosis.headline)),
    ]
    said = element("section", *answer, class_="answer", id="answer")
    lead = join([element("p", text(figure.title)), said, definitions(_ends(profile))])
    return page_html(f"Probe of {profile.evidence.model}", shown, lead=lead)


def _ends(profile: Profile) -> Iterator[tuple[str, str]]:
    """The loss, and what becomes of signal and gradient from end to end."""
    kind = profile.evidence.reading.loss_kind
    if kind != "random":
        yield "loss", f"{_both(loss_of(profile.evidence))}, {kind.replace('_', ' ')}"
    if len(profile.hidden) > 1:
        yield "E[z²], last hidden layer/first", _both(profile.signal_ratio)
        yield "gradient², first hidden layer/last", _both(profile.gradient_ratio)


def _both(number: Compared) -> str:
    return f"theory {compact(number.predicted)}, measured {measured(number)}"


def _findings(diagnosis: Diagnosis) -> Html:
    if not diagnosis.findings:
        return element("p", text("Nothing: signal, gradient and the likeness of samples all pass."))
    return join(_finding(finding) for finding in diagnosis.findings)


def _finding(finding: Finding) -> Html:
    fix = f"{finding.fix}; scheme: {finding.schemes}" if finding.scheme else finding.fix
    told = [("where", ", ".join(finding.where) or "the whole model"), ("what", finding.what), ("what to do", fix)]
    return join([element("h3", text(f"{finding.severity.capitalize()}: {finding.kind}")), definitions(told)])


def _pictures(figure: ProbeFigure) -> Html:
    charts = [_line_chart(lines.quantity, layer_spec(lines)) for lines in figure.lines]
    if figure.phases is not None:
        title = f"The layers in the phase diagram of {figure.phases.f}"
        charts.append(chart("phases", title, _whole(phase_spec(figure.phases)), about=_ABOUT["phases"]))
    if figure.singular is not None:
        spec = _whole(singular_spec(figure.singular))
        charts.append(chart("singular", "Singular values of the Jacobian", spec, about=_ABOUT["singular"]))
    pair = element("div", *charts, class_="pair")
    fitting = {"columns": "4", "least": f"{_NARROW}"}
    values = (
        chart(
            f"values-{v.quantity}",
            VALUE_TITLES[v.quantity],
            {"$schema": SCHEMA, **value_spec(v)},
            about=_ABOUT["values"],
            **fitting,
        )
        for v in figure.values
    )
    return join([pair, *values])


def _line_chart(quantity: Quantity, spec: Spec) -> Html:
    return chart(quantity, TITLES[quantity], _whole(spec), about=_ABOUT[quantity])


def _whole(spec: Spec) -> Spec:
    return {"$schema": SCHEMA, "width": "container", "height": 260, **spec}


def _layers(profile: Profile) -> Html:
    titles = [f"{name}\n{part}" for name in _PAIRS for part in ("theory", "measured")]
    told = [column for column in _LIKENESS if any(column.cell(row).strip() != NOTHING for row in profile.rows)]
    columns = ["layer", "no.", *titles, *(column.title for column in told)]
    rows = [[row.path, f"{i}", *_cells(row, told)] for i, row in enumerate(profile.rows, start=1)]
    note = (
        "± is the standard error over the samples; ! is off theory by more than three of its errors and of the scatter "
        "of nets of this width. z: weighted sums, a: behind the activation, g: the loss's gradient by z; dead: zero on "
        "the whole batch; sat: slope below 5 % of the largest; rank: directions that the samples take. Of pairs, "
        "theory's number comes first."
    )
    notes = [element("p", text(f"Note: {said}"), class_="note") for said in profile.evidence.notes]
    return join([table(columns, rows), element("p", text(note), class_="note"), *notes])


def _cells(row: LayerRow, told: Sequence[Column]) -> Iterator[str]:
    for number in (row.signal, row.after, row.gradient):
        yield compact(number.predicted)
        yield measured(number)
    for column in told:
        yield column.cell(row).strip()


def _weights(profile: Profile) -> Html:
    heading = ("parameter", "std", "mean", "largest", "zeros", "rms gradient / rms value")
    rows = [
        (
            name,
            compact(facts.std),
            compact(facts.mean),
            compact(facts.largest),
            "–" if math.isnan(facts.zeros) else f"{100.0 * facts.zeros:.3g} %",
            compact(facts.update_ratio),
        )
        for name, facts in profile.evidence.weights.items()
    ]
    return table(heading, rows)
