"""How every figure looks: colours of schemes, texts and lines, on the page and in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from initlab.report.drawing.palette import line_style
from initlab.report.drawing.text import visible

Spec: TypeAlias = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
# A long call is written on two lines, to leave room to the marks.
FOLDED_LABEL = "length(datum.label) > 20 ? split(replace(datum.label, '(', '\\n('), '\\n') : datum.label"


def page_config() -> Spec:
    """Texts and lines in the colour of the page around them, so that dark and printed pages need no second drawing."""
    return _config(ink="currentColor", grid_opacity=0.14, font="system-ui, sans-serif")


def picture_config() -> Spec:
    """Dark texts on white."""
    return {**_config(ink="#222222", grid_opacity=0.12, font="sans-serif"), "background": "white"}


def _config(*, ink: str, grid_opacity: float, font: str) -> Spec:
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    return {
        "background": "transparent",
        "font": font,
        "view": {"stroke": ink, "strokeOpacity": 0.25},
        "axis": {
            **text,
            "domainColor": ink,
            "tickColor": ink,
            "gridColor": ink,
            "gridOpacity": grid_opacity,
            "labelLimit": 280,
            "titleLimit": 600,
            "labelOverlap": True,
        },
        "axisX": {"labelSeparation": 6},
        "header": {**text, "labelLimit": 400, "labelFontWeight": "bold"},
        "legend": {**text, "labelLimit": 400, "symbolSize": 400, "symbolStrokeWidth": 2.5},
        "title": {"color": ink, "fontSize": 13, "anchor": "start"},
    }


def style_scales(schemes: Sequence[str]) -> tuple[Spec, Spec]:
    """Colour and dash of every scheme, by its place in the study."""
    names = [visible(scheme) for scheme in schemes]
    styles = [line_style(i) for i in range(len(names))]
    colour = {"domain": names, "range": [style.colour for style in styles]}
    return colour, {"domain": names, "range": [list(style.dash) for style in styles]}
