"""The sections about layers: signal and gradient at the start, their course, distributions and dead units."""

from __future__ import annotations

from collections.abc import Sequence

from initlab.core.training.protocol import Quantity
from initlab.report.drawing.markup import Html, element, join, text
from initlab.report.drawing.palette import depth_colours
from initlab.report.study.facts import DatasetFacts
from initlab.report.study.histogram_figures import BINS, dead_figure, histogram_figure
from initlab.report.study.layer_course_specs import course_spec, start_spec
from initlab.report.study.layer_figures import LABELS, StartFigure, course_figure, gradient_figure, signal_figure
from initlab.report.study.layer_specs import dead_spec, histogram_spec
from initlab.report.study.sections import Section, chart
from initlab.report.study.summary import MOST_LAYERS
from initlab.study.records import RunRecord, StudyDesign

QUANTITIES: dict[Quantity, str] = {
    "weight": "Weights",
    "activation": "Activations, the outputs of the layers on the probe batch",
    "gradient": "Gradients of the loss by the weights, on the probe batch",
}
# Schemes whose histograms fill a printed page.
PAGE = 6


def start(design: StudyDesign, records: Sequence[RunRecord], facts: DatasetFacts) -> Section | None:
    """Signal and gradient by layer before the first step; None where no layer was measured."""
    signal, gradient = signal_figure(design, records, facts), gradient_figure(design, records)
    if not signal.curves:
        return None
    said = (
        "Before the first step, on the probe batch: a dot is the mean over the seeds, its line the 10th to the 90th "
        "percentile; a 0 at the foot is exactly zero. An even row of dots is a signal, or gradient, that every layer "
        "passes on."
    )
    parts = [element("p", text(said), class_="note")]
    parts.append(_start_chart("signal", "Signal", signal, theory=signal.has_theory))
    parts.append(_start_chart("start-gradient", "Gradient", gradient, theory=False))
    return Section("start", "Signal and gradient at the start", join(parts))


def _start_chart(name: str, title: str, figure: StartFigure, *, theory: bool) -> Html:
    about = {
        "Signal": "What a layer puts out after its activation; of the last layer, its logits.",
        "Gradient": "By a weight: the gradient that arrives from above times the signal from below.",
    }[title]
    if theory:
        about += " Dashed grey: mean-field theory from the laws of the weights, where it applies."
    spec = start_spec(figure)
    return chart(name, f"{title}: {figure.label}", spec, about=about, columns="4", least="215")


def course(design: StudyDesign, records: Sequence[RunRecord]) -> Section | None:
    """Weights, activations and gradients of the layers over the epochs; None where no layer was measured."""
    figures = {trait: course_figure(design, records, trait) for trait in LABELS}
    layers = figures["weight"].layers
    if not layers:
        return None
    said = "Mean over the seeds, on the probe batch, a line a layer. What is exactly 0 has no place here."
    parts = [element("p", text(f"{said}{_left_out(design)}"), class_="note"), _layer_keys(layers)]
    for trait, figure in figures.items():
        title = f"{figure.label} over the epochs"
        parts.append(chart(f"course-{trait}", title, course_spec(figure), columns="4", least="215", key="layer"))
    return Section("course", "The layers over the epochs", join(parts))


def _layer_keys(layers: Sequence[str]) -> Html:
    marks = []
    for layer, colour in zip(layers, depth_colours(len(layers)), strict=True):
        line = element("line", x1="0", y1="6", x2="22", y2="6", stroke=colour, stroke_width="3")
        sample = element("svg", line, width="22", height="12", aria_hidden="true")
        marks.append(element("span", sample, text(f" {layer}"), class_="keyed"))
    return element("p", *marks, class_="note")


def distributions(design: StudyDesign, records: Sequence[RunRecord]) -> Section | None:
    """Histograms of weights, activations and gradients; None where none were recorded."""
    parts = []
    between: tuple[int, ...] = ()
    for quantity, title in QUANTITIES.items():
        figure = histogram_figure(design, records, quantity)
        between = between or figure.between
        for i, part in enumerate(figure.pages(PAGE)):
            fitting = {"columns": str(len(figure.layers)), "least": "170", "rows": "kept"}
            heading = f"{title}, continued" if i else title
            parts.append(chart(f"histogram-{quantity}-{i + 1}", heading, histogram_spec(part), **fitting))
    if not parts:
        return None
    pooled = f"Share of values in each of {BINS} bins, pooled over the seeds. Every panel has axes of its own."
    told = f" Thin lines: after epoch {', '.join(str(epoch) for epoch in between)}." if between else ""
    said = text(f"{pooled}{told}{_left_out(design)}")
    notes = [element("p", said, class_="note"), _keys("key")]
    return Section("distributions", "Distributions by layer", join([*notes, *parts]))


def _left_out(design: StudyDesign) -> str:
    """What is said of a deep model, of which not every layer has a panel."""
    depth = len(design.hidden) + 1 if design.model is None else design.model.depth
    if depth <= MOST_LAYERS:
        return ""
    return f" {MOST_LAYERS} of {depth} layers are drawn, evenly spread; the records hold all."


def _keys(shape: str) -> Html:
    """What the two marks of a chart stand for."""
    marks = [("start", "at the start"), ("end", "after training")]
    return element(
        "p",
        *(
            element("span", element("span", class_=f"{shape} {mark}"), text(said), class_="keyed")
            for mark, said in marks
        ),
        class_="note",
    )


def dead_units(design: StudyDesign, records: Sequence[RunRecord]) -> Section | None:
    """The share of dead units by hidden layer; None where there is no hidden layer."""
    figure = dead_figure(design, records)
    if not figure.rows:
        return None
    said = text(f"A unit is dead where it is zero on the whole probe batch. Mean over the seeds.{_left_out(design)}")
    columns = str(len(figure.layers))
    drawn = chart("dead", "Share of dead units", dead_spec(figure), columns=columns, least="330", rows="kept")
    return Section("dead-units", "Dead units", join([element("p", said, class_="note"), _keys("key dot"), drawn]))
