"""Confusion matrices as Vega-Lite: one with its numbers, and a small one a scheme."""

from __future__ import annotations

from initlab.report.drawing.palette import END_COLOUR
from initlab.report.drawing.text import visible
from initlab.report.drawing.theme import SCHEMA, Spec
from initlab.report.study.class_figures import Confusion, ConfusionFigure
from initlab.report.study.layer_course_specs import COLUMNS, scheme_facet

# A root lets the rare mistakes show beside the many rows that are right.
STRENGTH = {"type": "pow", "exponent": 0.35, "domain": [0, 1], "range": [0, 1]}
# A cell darker than this takes white letters, on white and on dark ground.
DARK_CELL = 0.6


def _axes(classes: tuple[str, ...], *, labelled: bool) -> tuple[Spec, Spec]:
    names = [visible(name) for name in classes]
    axis: Spec = {"labels": False, "ticks": False}
    if labelled:
        axis = {"grid": False, "labelOverlap": True, "labelAngle": 0}
    x = {"field": "predicted", "type": "nominal", "sort": names, "title": "Predicted class", "axis": axis}
    y = {"field": "true", "type": "nominal", "sort": names, "title": "True class", "axis": axis}
    return x, y


def _rows(matrix: Confusion, classes: tuple[str, ...]) -> list[Spec]:
    names = [visible(name) for name in classes]
    rows = []
    for true, counts in zip(names, matrix.counts, strict=True):
        total = sum(counts) or 1
        for predicted, count in zip(names, counts, strict=True):
            cell = {"true": true, "predicted": predicted, "rows": round(count / matrix.seeds, 1)}
            rows.append({**cell, "share": round(count / total, 4)})
    return rows


def confusion_spec(figure: ConfusionFigure, matrix: Confusion) -> Spec:
    """One scheme's matrix: test rows by true and predicted class, as a mean over the seeds."""
    x, y = _axes(figure.classes, labelled=True)
    tooltip = [{"field": name, "type": "nominal"} for name in ("true", "predicted", "rows", "share")]
    white = {"condition": {"test": f"datum.share > {DARK_CELL}", "value": "#ffffff"}, "value": "currentColor"}
    size = len(figure.classes)
    letters = {"field": "rows", "type": "quantitative", "format": ".4~g" if matrix.seeds > 1 else "d"}
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": max(120, 34 * size),
        "data": {"values": _rows(matrix, figure.classes)},
        "encoding": {"x": x, "y": y, "tooltip": tooltip},
        "layer": [
            {"mark": {"type": "rect", "color": END_COLOUR}, "encoding": {"opacity": _opacity()}},
            {
                "transform": [{"filter": "datum.rows > 0"}],
                "mark": {"type": "text", "fontSize": 11 if size > 6 else 13},
                "encoding": {"text": letters, "color": white},
            },
        ],
    }


def _opacity() -> Spec:
    return {"field": "share", "type": "quantitative", "scale": STRENGTH, "legend": None}


def confusion_panels_spec(figure: ConfusionFigure) -> Spec:
    """A small matrix a scheme, without numbers: what differs between schemes shows in the pattern."""
    x, y = _axes(figure.classes, labelled=False)
    rows = [
        {"scheme": visible(matrix.scheme), "place": place, **row}
        for place, matrix in enumerate(figure.matrices)
        for row in _rows(matrix, figure.classes)
        if row["rows"]
    ]
    tooltip = [{"field": name, "type": "nominal"} for name in ("scheme", "true", "predicted", "rows", "share")]
    names = [visible(name) for name in figure.classes]
    every = {"scale": {"domain": names}}
    return {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "facet": scheme_facet(),
        "columns": COLUMNS,
        "spec": {
            "width": 180,
            "height": 130,
            "mark": {"type": "rect", "color": END_COLOUR},
            "encoding": {"x": {**x, **every}, "y": {**y, **every}, "opacity": _opacity(), "tooltip": tooltip},
        },
    }
