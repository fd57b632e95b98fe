"""The section about learning rates: how each scheme fares at every rate of the grid, and which one it was given."""

from __future__ import annotations

from collections.abc import Sequence

from initlab.report.drawing.markup import Html, element, join, table, text
from initlab.report.drawing.palette import START_COLOUR
from initlab.report.drawing.text import round_to, share, visible
from initlab.report.drawing.theme import SCHEMA, Spec, style_scales
from initlab.report.study.figures import is_regression
from initlab.report.study.layer_course_specs import COLUMNS, scheme_facet
from initlab.report.study.sections import Section, chart
from initlab.study.rates import RateCell, is_tuning, rate_cells
from initlab.study.records import Estimate, RunRecord, StudyDesign
from initlab.study.stats import estimate

_TUNED = (
    "Every scheme trained at every rate, with the same budget, on seeds of their own and without a fifth of the "
    "training rows, the validation rows. Of the rates with the fewest runs lost it got the one with the best mean "
    "validation score; then it trained at that rate on all training rows with the reported seeds, which, like the test "
    "rows, had no say in the choice."
)
_BY_TRAIN_LOSS = (
    "Every scheme trained at every rate, with the same budget and seeds. It is compared at the rate with the fewest "
    "divergences and then the least mean train loss at the end, so no test row had a say in the choice."
)


def rates(design: StudyDesign, records: Sequence[RunRecord]) -> Section | None:
    """Every scheme at every learning rate; None for a study without a grid.

    Args:
        design: What was asked.
        records: All runs at all rates.
    """
    cells = rate_cells(design, records)
    if not cells:
        return None
    regression = is_regression(records)
    scored = [(cell, _scores(cell, regression=regression)) for cell in cells]
    tuned = any(map(is_tuning, records))
    rows = "validation" if tuned else "test"
    label = f"Minus {rows} loss" if regression else f"{rows.capitalize()} accuracy"
    said = f"{_TUNED if tuned else _BY_TRAIN_LOSS} A flat curve is a scheme that forgives a wrong rate."
    edge = [visible(cell.scheme) for cell in cells if cell.is_chosen and _is_at_edge(cell, design)]
    if edge:
        said += f" The rate lies at the end of the grid, and a better one perhaps beyond it: {', '.join(edge)}."
    about = "Mean over the seeds that finished, with its 95 % interval; a ring is the rate chosen, grey the others."
    fitting = {"columns": f"{COLUMNS}", "least": "215"}
    drawn = chart("rates", f"{label} by learning rate", _spec(scored, label), about=about, **fitting)
    return Section("rates", "Learning rates", join([element("p", text(said), class_="note"), drawn, _table(scored)]))


def _scores(cell: RateCell, *, regression: bool) -> Estimate:
    sign, name, bounds = (-1.0, "test_loss", None) if regression else (1.0, "test_accuracy", (0.0, 1.0))
    return estimate([sign * run.final(name) if run.status == "ok" else None for run in cell.runs], bounds=bounds)


def _is_at_edge(cell: RateCell, design: StudyDesign) -> bool:
    grid = design.learning_rates
    return len(grid) > 1 and cell.rate in (min(grid), max(grid))


def _spec(scored: Sequence[tuple[RateCell, Estimate]], label: str) -> Spec:
    schemes = list(dict.fromkeys(cell.scheme for cell, _ in scored))
    rows = [{"place": schemes.index(cell.scheme), **_values(cell, score)} for cell, score in scored]
    ticks = sorted({cell.rate for cell, _ in scored})
    x: Spec = {"field": "rate", "type": "quantitative", "title": "Learning rate"}
    x |= {"scale": {"type": "log", "nice": False, "padding": 12}}
    x |= {"axis": {"values": ticks[:: -(-len(ticks) // 4)], "format": "~g", "grid": False}}
    y: Spec = {"type": "quantitative", "title": label, "scale": {"zero": False, "padding": 8}, "axis": {"tickCount": 4}}
    colour = {"field": "scheme", "type": "nominal", "scale": style_scales(schemes)[0], "legend": None}
    names = ("scheme", "rate", "mean", "low", "high", "diverged", "chosen")
    tooltip = [{"field": name, "type": "nominal"} for name in names]
    others: Spec = {
        "data": {"name": "others", "values": [{**row, "line": row["place"]} for row in rows]},
        "mark": {"type": "line", "strokeWidth": 1, "color": START_COLOUR, "opacity": 0.35},
        "encoding": {"x": x, "y": {**y, "field": "mean"}, "detail": {"field": "line", "type": "nominal"}},
    }
    interval: Spec = {
        "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
        "mark": {"type": "rule", "strokeWidth": 1.5},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
    }
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 2, "point": {"filled": True, "size": 40}},
        "encoding": {"x": x, "y": {**y, "field": "mean"}, "color": colour, "tooltip": tooltip},
    }
    ring: Spec = {
        "transform": [{"filter": "datum.chosen && isValid(datum.mean)"}],
        "mark": {"type": "point", "size": 180, "strokeWidth": 2, "opacity": 1, "color": "currentColor"},
        "encoding": {"x": x, "y": {**y, "field": "mean"}},
    }
    return {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "facet": scheme_facet(),
        "columns": COLUMNS,
        "spec": {"width": 180, "height": 120, "layer": [others, interval, line, ring]},
    }


def _values(cell: RateCell, score: Estimate) -> Spec:
    return {
        "scheme": visible(cell.scheme),
        "rate": cell.rate,
        "mean": round_to(score.mean),
        "low": round_to(score.low),
        "high": round_to(score.high),
        "diverged": sum(run.status == "diverged" for run in cell.runs),
        "chosen": cell.is_chosen,
    }


def _table(scored: Sequence[tuple[RateCell, Estimate]]) -> Html:
    grid = sorted({cell.rate for cell, _ in scored})
    rows: dict[str, list[str]] = {}
    for cell, score in scored:
        lost = sum(run.status != "ok" for run in cell.runs)
        words = share(score.mean) + (f", {lost} lost" if lost else "")
        rows.setdefault(cell.scheme, []).append(f"[{words}]" if cell.is_chosen else words)
    shown = table(["scheme", *(f"{rate:g}" for rate in grid)], [(scheme, *cells) for scheme, cells in rows.items()])
    note = "Means; in brackets the rate chosen. Lost: runs that diverged or did not finish, left out of the mean."
    return join([shown, element("p", text(note), class_="note")])
