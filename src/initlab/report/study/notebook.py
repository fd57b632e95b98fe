"""A comparison or a sweep as a notebook shows it: the answer, the table and the curves, in one self-contained text.

No script, no style sheet and no address: what is shown needs no network, and takes its colours from the page around it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from initlab.report.drawing.markup import Html, element, join, text
from initlab.report.drawing.png import render
from initlab.report.drawing.text import count_of
from initlab.report.drawing.theme import page_config
from initlab.report.study.figures import loss_figure, score_figure
from initlab.report.study.specs import picture_spec
from initlab.report.study.sweep_specs import sweep_picture_spec
from initlab.report.study.sweep_tables import cell_headings, cell_rows, sweep_notes
from initlab.report.study.tables import table_columns, table_notes
from initlab.study.rates import at_chosen_rates
from initlab.study.records import Analysis, RunRecord, StudyDesign
from initlab.study.sweep_table import SweepTable

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
    asked = (
        f"{design.title or design.name}: {count_of(len(analysis.rows), 'scheme')}, {count_of(analysis.seeds, 'seed')}"
    )
    asked += f", {count_of(analysis.epochs, 'epoch')}"
    columns = table_columns(analysis)
    rows = [
        [(column.cells[i], row.scheme == analysis.best) for column in columns] for i, row in enumerate(analysis.rows)
    ]
    table = _table([column.heading for column in columns], rows)
    return _page((analysis.conclusion,), asked, table, table_notes(analysis), curves_svg(design, records))


def swept_html(swept: SweepTable) -> Html:
    """The verdict, the table, what its columns mean, and accuracy beside gradient ratio as inline SVG.

    Args:
        swept: The numbers.

    Raises:
        MissingDependencyError: vl-convert is not installed.
    """
    asked = f"{swept.title}; {count_of(swept.seeds, 'seed')}"
    spec = {**sweep_picture_spec(swept, ink="currentColor"), "config": {**page_config(), "font": "sans-serif"}}
    del spec["title"]
    drawing = inline_svg(render(spec, form="svg").decode())
    table = _table([heading.split("\n") for heading in cell_headings(swept)], cell_rows(swept))
    return _page(swept.verdict, asked, table, sweep_notes(swept), drawing)


def _page(said: Sequence[str], asked: str, table: Html, notes: str, drawing: Html) -> Html:
    parts = [
        *(element("p", element("strong", text(sentence))) for sentence in said),
        element("p", text(asked), style="opacity:.75"),
        element("div", table, style="overflow-x:auto"),
        element("p", text(notes), style="font-size:smaller;opacity:.75"),
        element("div", drawing, style="overflow-x:auto;max-width:62em"),
    ]
    return element("div", join(parts), style="color:inherit;background:transparent")


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
    return inline_svg(render({**spec, "config": {**page_config(), "font": "sans-serif"}}, form="svg").decode())


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


def _table(headings: Sequence[Sequence[str]], rows: Sequence[Sequence[tuple[str, bool]]]) -> Html:
    """A table of cells, each with whether it stands out; a heading is given by its lines."""
    heads = [join(map(text, heading), between=element("br")) for heading in headings]
    head = element("tr", *(element("th", cell, style=_style(i) + _LINE) for i, cell in enumerate(heads)))
    style = "border-collapse:collapse;color:inherit;font-variant-numeric:tabular-nums"
    return element("table", element("thead", head), element("tbody", *map(_row, rows)), style=style)


def _row(cells: Sequence[tuple[str, bool]]) -> Html:
    weights = (";font-weight:bold" if strong else "" for _, strong in cells)
    row = (
        element("td", text(cell[0]), style=_style(i) + w)
        for i, (cell, w) in enumerate(zip(cells, weights, strict=True))
    )
    return element("tr", *row, style="background:transparent")


def _style(column: int) -> str:
    """Names are set left, numbers right."""
    return f"{_CELL};text-align:{'right' if column else 'left'}"
