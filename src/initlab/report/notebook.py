"""A comparison as a notebook shows it: the answer, the table and the learning curves, in one self-contained text.

No script, no style sheet and no address: what is shown needs no network, and takes its colours from the page around it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from initlab.report.figures import loss_figure, score_figure
from initlab.report.markup import Html, element, joined, text
from initlab.report.png import drawn
from initlab.report.specs import picture_spec
from initlab.report.tables import table_columns, table_notes
from initlab.report.text import counted
from initlab.report.theme import page_config
from initlab.study.rates import at_chosen_rates
from initlab.study.records import Analysis, RunRecord, StudyDesign

_CELL = "padding:.15em .8em .15em 0;background:transparent;vertical-align:bottom"
_LINE = ";border-bottom:1px solid currentColor"
_OWN_NAME = re.compile(r'(?<= id=")(?=[^"])|(?<=url\(#)|(?<=href="#)')


def comparison_html(design: StudyDesign, records: Sequence[RunRecord], analysis: Analysis) -> Html:
    """The answer in one sentence, a row a scheme, what the columns mean, and the curves as inline SVG.

    Args:
        design: What was asked.
        records: All runs.
        analysis: What they say.

    Raises:
        MissingDependencyError: vl-convert is not installed.
    """
    asked = f"{design.title or design.name}: {counted(len(analysis.rows), 'scheme')}, {counted(analysis.seeds, 'seed')}"
    parts = [
        element("p", element("strong", text(analysis.conclusion))),
        element("p", text(f"{asked}, {counted(analysis.epochs, 'epoch')}"), style="opacity:.75"),
        element("div", _table(analysis), style="overflow-x:auto"),
        element("p", text(table_notes(analysis)), style="font-size:smaller;opacity:.75"),
        element("div", curves_svg(design, records), style="overflow-x:auto;max-width:62em"),
    ]
    return element("div", joined(parts), style="color:inherit;background:transparent")


def curves_svg(design: StudyDesign, records: Sequence[RunRecord]) -> Html:
    """Test accuracy and train loss by epoch as an SVG element, on a transparent ground and in the page's text colour.

    Args:
        design: What was asked.
        records: All runs, at every learning rate.

    Raises:
        MissingDependencyError: vl-convert is not installed.
    """
    chosen = at_chosen_rates(design, records)
    spec = picture_spec(score_figure(design, chosen), loss_figure(design, chosen), title="")
    del spec["title"]
    for panel in spec["hconcat"]:
        # A point an epoch that carries a tooltip is most of the drawing's bytes, and no tooltip shows without a script.
        panel["layer"] = [layer for layer in panel["layer"] if layer["mark"].get("opacity") != 0]
    return inline_svg(drawn({**spec, "config": {**page_config(), "font": "sans-serif"}}, form="svg").decode())


def inline_svg(drawing: str) -> Html:
    """The drawing as an element of a page: as wide as its place, and with names that no other drawing has.

    Several cells of a notebook are one page, in which ``#clip0`` of one drawing would cut the others.

    Args:
        drawing: An SVG file whose texts are escaped.

    Example:
        >>> inline_svg('<svg width="9" height="5"><g id="a"/></svg>')
        '<svg style="max-width:100%;height:auto" width="9" height="5"><g id="i-6f57f0-a"/></svg>'
    """
    prefix = f"i-{hashlib.sha256(drawing.encode()).hexdigest()[:6]}-"
    body = drawing[drawing.index("<svg") :]
    return Html(_OWN_NAME.sub(prefix, body).replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1))


def _table(analysis: Analysis) -> Html:
    columns = table_columns(analysis)
    heads = [joined(map(text, column.heading), between=element("br")) for column in columns]
    head = element("tr", *(element("th", cell, style=_style(i) + _LINE) for i, cell in enumerate(heads)))
    body = [_row(analysis, [column.cells[i] for column in columns], i) for i in range(len(analysis.rows))]
    style = "border-collapse:collapse;color:inherit;font-variant-numeric:tabular-nums"
    return element("table", element("thead", head), element("tbody", *body), style=style)


def _row(analysis: Analysis, cells: Sequence[str], place: int) -> Html:
    weight = ";font-weight:bold" if analysis.rows[place].scheme == analysis.best else ""
    row = (element("td", text(cell), style=_style(i) + weight) for i, cell in enumerate(cells))
    return element("tr", *row, style="background:transparent")


def _style(column: int) -> str:
    """Names are set left, numbers right."""
    return f"{_CELL};text-align:{'right' if column else 'left'}"
