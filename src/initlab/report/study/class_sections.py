"""The sections about classes and images: what is confused with what, examples, and the first layer as pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from initlab.core.training.dataset import Dataset
from initlab.report.drawing.markup import Html, element, join, json_block, text
from initlab.report.drawing.text import count_of
from initlab.report.study.class_figures import (
    Confusion,
    ConfusionFigure,
    Picture,
    confusion_figure,
    example_pictures,
    weight_pictures,
)
from initlab.report.study.class_specs import confusion_panels_spec, confusion_spec
from initlab.report.study.sections import Section, chart
from initlab.study.records import Analysis, RunRecord, StudyDesign


def predictions(
    design: StudyDesign, records: Sequence[RunRecord], analysis: Analysis, dataset: Dataset | None
) -> Section | None:
    """Confusion matrices, and of images examples; None for regression, or where the data are not at hand."""
    figure = None if dataset is None else confusion_figure(design, records, dataset)
    if dataset is None or figure is None:
        return None
    best = None if analysis.best is None else figure.of(analysis.best)
    shown = [] if best is None else [element("div", _matrix(figure, best), class_="narrow")]
    pictures = [_picture(picture) for picture in example_pictures(records, analysis, dataset)]
    shown += [element("div", *pictures, class_="pair")] if pictures else []
    if len(figure.matrices) > 1:
        about = "The stronger a cell, the larger its share of the true class. One strong column: a constant answer. "
        about += "Classes stand in the order of the matrix above." if best is not None else ""
        spec = confusion_panels_spec(figure)
        fitting = {"columns": "4", "least": "215"}
        shown.append(chart("confusion-panels", "Confusion, scheme by scheme", spec, about=about, **fitting))
    return Section("predictions", "What is taken for what", join(shown))


def _matrix(figure: ConfusionFigure, matrix: Confusion) -> Html:
    over = "its one run" if matrix.seeds == 1 else f"{count_of(matrix.seeds, 'seed')}, as a mean"
    about = f"Test rows of {matrix.scheme} by true and predicted class, over {over}."
    return chart("confusion", f"Confusion matrix of {matrix.scheme}", confusion_spec(figure, matrix), about=about)


def first_layer(records: Sequence[RunRecord], analysis: Analysis, dataset: Dataset | None) -> Section | None:
    """The first layer's weights as images; None where the rows are none, or the data are not at hand."""
    pictures = () if dataset is None else weight_pictures(records, analysis, dataset)
    if not pictures:
        return None
    said = "The weights into the first 25 units, of the scheme that did best and of the one that did worst: red above "
    said += "zero, blue below, white at it, grey where not finite."
    grids = element("div", *(_picture(picture) for picture in pictures), class_="pair")
    return Section("first-layer", "The first layer", join([element("p", text(said), class_="note"), grids]))


def _picture(picture: Picture) -> Html:
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    image = element("img", id=f"picture-{picture.name}", class_="picture", alt=picture.title, src=source)
    about = [element("p", text(picture.about))] if picture.about else []
    caption = element("figcaption", element("h3", text(picture.title)), *about)
    return element("figure", caption, image, json_block(picture.numbers, id=f"picture-{picture.name}-numbers"))
