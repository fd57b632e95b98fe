"""The table of a study: for a terminal, as plain text, and as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

from initlab.core.facts.user_model import OwnModel
from initlab.report.drawing.text import (
    count_of,
    folded_call,
    median_epochs,
    number,
    p_value,
    round_to,
    share,
    sparkline,
    visible,
)
from initlab.study.records import Analysis, Estimate, SchemeRow, StudyDesign

if TYPE_CHECKING:
    from rich.table import Table

# A scheme's name folds onto more lines before it gets narrower than this.
NARROWEST_NAME = 14
# Most names with one option fit: normal(std=0.05).
USUAL_NAME = 16
WIDEST_NAME = 40
# Bars of a loss' course.
SPARK = 8

Losses: TypeAlias = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        heading: In lines.
        cells: One a scheme.
        short: The cells where space is short.
        rank: Columns of a higher rank are the first to go where space is very short; 0 stays.
    """

    heading: tuple[str, ...]
    cells: tuple[str, ...]
    short: tuple[str, ...] = ()
    rank: int = 0

    @property
    def width(self) -> int:
        """Characters of its longest line."""
        return max(len(line) for line in (*self.heading, *self.cells))

    def shortened(self) -> Column:
        """The column with its short cells."""
        return replace(self, cells=self.short or self.cells)


def table_columns(analysis: Analysis, losses: Losses | None = None) -> tuple[Column, ...]:
    """The table's columns as text, the scheme first; the page and the terminal show the same.

    Args:
        analysis: What the study says.
        losses: The mean train loss by epoch of every scheme, for a column that draws it.
    """
    rows, best = analysis.rows, analysis.best
    lost = [None if row.seeds_vs_best is None else (row.losses_to_best, row.seeds_vs_best) for row in rows]
    standing = ["best" if row.scheme == best else "–" for row in rows]
    diverged = [(row.diverged, row.runs) for row in rows]
    return (
        Column(("scheme",), tuple(visible(row.scheme) + (" *" if row.changed else "") for row in rows)),
        Column(
            (_score_name(analysis), "[95 % interval]"),
            tuple(estimate_text(_signed_score(row.test_accuracy, analysis)) for row in rows),
        ),
        Column(("train", "−", "test"), tuple(share(row.gap.mean, signed=True) for row in rows), rank=4),
        Column(("final", "train", "loss"), tuple(number(row.train_loss.mean) for row in rows), rank=2),
        Column(
            ("epochs", "to", "90 %"),
            tuple(median_epochs(row.epochs_to_target, limit=analysis.epochs) for row in rows),
            rank=3,
        ),
        Column(
            ("diverged",),
            tuple(f"{n} of {m}" for n, m in diverged),
            short=tuple(f"{n}/{m}" for n, m in diverged),
            rank=1 if any(row.diverged for row in rows) else 6,
        ),
        Column(
            ("worse", "than", "best"),
            tuple(f"{pair[0]} of {pair[1]}" if pair else own for pair, own in zip(lost, standing, strict=True)),
            short=tuple(f"{pair[0]}/{pair[1]}" if pair else own for pair, own in zip(lost, standing, strict=True)),
        ),
        Column(("p",), tuple("" if row.scheme == best else p_value(row.p_vs_best) for row in rows), rank=1),
        *_rate_column(rows),
        *_loss_column(rows, losses),
    )


def _loss_column(rows: Sequence[SchemeRow], losses: Losses | None) -> tuple[Column, ...]:
    """The course of the loss as bars, on one logarithmic scale for all schemes."""
    finite = [loss for course in (losses or {}).values() for loss in course if loss is not None and loss > 0]
    if losses is None or not finite:
        return ()
    low, high = min(finite), max(finite)
    cells = tuple(sparkline(losses.get(row.scheme, ()), low=low, high=high, width=SPARK) for row in rows)
    return (Column(("train", "loss"), cells, rank=5),)


def _rate_column(rows: Sequence[SchemeRow]) -> tuple[Column, ...]:
    """Each scheme's own learning rate, where a study has a grid of them."""
    if all(row.learning_rate is None for row in rows):
        return ()
    cells = tuple("" if row.learning_rate is None else f"{row.learning_rate:g}" for row in rows)
    return (Column(("learning", "rate"), cells, rank=1),)


def estimate_text(estimate: Estimate) -> str:
    """A mean with its interval.

    Example:
        >>> estimate_text(Estimate(0.9667, 0.95, 0.98, (0.96, 0.97)))
        '0.967 [0.950, 0.980]'
        >>> estimate_text(Estimate(0.3, None, None, (0.3,)))
        '0.300'
    """
    if estimate.low is None or estimate.high is None:
        return share(estimate.mean)
    return f"{share(estimate.mean)} [{share(estimate.low)}, {share(estimate.high)}]"


def _score_name(analysis: Analysis) -> str:
    return "test loss" if _are_losses(analysis) else "test accuracy"


def _are_losses(analysis: Analysis) -> bool:
    """Whether the scores are losses with their sign turned: an accuracy is never below 0, minus a loss never above."""
    return any(row.test_accuracy.mean is not None and row.test_accuracy.mean < 0 for row in analysis.rows)


def _signed_score(score: Estimate, analysis: Analysis) -> Estimate:
    """The estimate of what ``_score_name`` names: a loss has its own sign."""
    return score.negated() if _are_losses(analysis) else score


def table_notes(analysis: Analysis) -> str:
    """What the columns mean, and what did not finish; one text for the terminal and the page."""
    target = -analysis.target if _are_losses(analysis) else analysis.target
    notes = [
        f"Mean over {_runs(analysis)}.",
        *([analysis.data] if analysis.data else []),
        f"Epochs to 90 %: median number of epochs until {_score_name(analysis)} is {share(target)}"
        + (", which is 90 % of the best scheme's." if analysis.target >= 0 else "."),
        f"Worse than best: {'seeds' if analysis.splits == 1 else 'runs'} on which the scheme scores below the best "
        "one; p is corrected over all pairs.",
    ]
    if analysis.best is None:
        notes.append("No scheme is best: each lost more than half of its runs.")
    elif any(row.p_vs_best is None and row.scheme != analysis.best for row in analysis.rows):
        notes.append("No p (–): so few seeds cannot tell a difference from chance.")
    if not any(row.diverged for row in analysis.rows):
        notes.append("No run diverged.")
    else:
        notes.append(
            "A run that diverged is worse than every run that finished; a pair with one is tested by signed ranks and "
            "has no interval."
        )
    lost = [f"{visible(row.scheme)} {row.runs - n} of {row.runs}" for row in analysis.rows if (n := _lost(row))]
    if lost:
        notes.append(f"Means are over the runs that finished: {', '.join(lost)}.")
    if any(row.learning_rate is not None for row in analysis.rows):
        notes.append("Learning rate: the scheme's own, at which its train loss is least, with equal budget at each.")
    failed = [f"{visible(row.scheme)} {row.failed} of {row.runs}" for row in analysis.rows if row.failed]
    if failed:
        notes.append(f"Runs that did not finish: {', '.join(failed)}.")
    changed = sum(row.changed for row in analysis.rows)
    if changed:
        of = f"{changed} of {sum(row.runs for row in analysis.rows)}"
        notes.append(f"* {of} runs were made with other code, or with numerics that round otherwise.")
    return " ".join(notes)


def _runs(analysis: Analysis) -> str:
    """E.g. ``20 seeds``, or ``5 splits of 3 seeds``."""
    if analysis.splits == 1:
        return count_of(analysis.seeds, "seed")
    return f"{count_of(analysis.splits, 'split')} of {count_of(analysis.seeds // analysis.splits, 'seed')}"


def _lost(row: SchemeRow) -> int:
    return row.diverged + row.failed


def print_table(analysis: Analysis, *, width: int | None = None, losses: Losses | None = None) -> Table:
    """A rich table with a row a scheme; the best scheme's is bold.

    It takes what it needs of the width and no more. Where space is short ``3 of 20`` becomes ``3/20``, the gaps narrow
    and names fold onto more lines; below some 75 characters columns go, one of zero divergences first. No cell is cut.

    Args:
        analysis: What the study says.
        width: Columns of characters; None for the terminal's.
        losses: As in ``table_columns``.

    Returns:
        A renderable for ``rich.console.Console.print``.
    """
    import shutil

    from rich import box
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size().columns if width is None else width
    layout = _layout(table_columns(analysis, losses), width)
    title = f"{visible(analysis.study)}: {count_of(len(analysis.rows), 'scheme')}, {_runs(analysis)}"
    table = Table(
        title=Text(f"{title}, {count_of(analysis.epochs, 'epoch')}", style="bold"),
        caption=Text(table_notes(analysis), style="dim"),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, layout.gap - 1, 0, 0),
        pad_edge=False,
        collapse_padding=True,
        show_edge=False,
    )
    for i, column in enumerate(layout.columns):
        heading = Text("\n".join(column.heading))
        table.add_column(heading, justify="right" if i else "left", no_wrap=True, vertical="bottom")
    names = ["\n".join(folded_call(name, layout.name_width)) for name in layout.columns[0].cells]
    for i, row in enumerate(analysis.rows):
        cells = [names[i], *(column.cells[i] for column in layout.columns[1:])]
        table.add_row(*map(Text, cells), style="bold" if row.scheme == analysis.best else "")
    return table


@dataclass(frozen=True)
class Layout:
    """The columns shown, the gap between them and the room for names, in characters."""

    columns: tuple[Column, ...]
    gap: int
    name_width: int


def _layout(columns: tuple[Column, ...], width: int) -> Layout:
    """The roomiest layout that fits; the last resort is the scheme, its accuracy and its losses."""
    short = tuple(column.shortened() for column in columns)
    wished = min(columns[0].width, WIDEST_NAME)
    usual = min(wished, USUAL_NAME)
    tries = [(columns, gap, 6, wished) for gap in (3, 2)] + [(short, gap, 6, wished) for gap in (2, 1)]
    tries += [(short, gap, rank, usual) for rank in (6, 5) for gap in (2, 1)]
    tries += [(short, gap, rank, NARROWEST_NAME) for rank in (5, 4, 3, 2, 1, 0) for gap in (2, 1)]
    for candidates, gap, rank, least in tries:
        shown = tuple(column for column in candidates if column.rank <= rank)
        room = width - sum(column.width + gap for column in shown[1:])
        if room >= min(least, wished):
            break
    return Layout(shown, gap, max(2, min(room, wished)))


def table_text(analysis: Analysis, *, width: int = 80, losses: Losses | None = None) -> str:
    """The table as plain text without colours, no line longer than the width.

    Args:
        analysis: What the study says.
        width: Columns of characters.
        losses: As in ``table_columns``.

    Returns:
        Lines without trailing spaces.
    """
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False, force_terminal=False)
    with console.capture() as capture:
        console.print(print_table(analysis, width=width, losses=losses))
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def analysis_json(
    design: StudyDesign, analysis: Analysis, folder: str | PurePath, *, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What ``--json`` prints: plain dicts, lists, strings and finite numbers, as ``compare_schema()`` describes.

    Args:
        design: What was asked.
        analysis: What came of it.
        folder: Where the records lie.
        environment: Versions and machine facts of the runs.

    Returns:
        A dict for ``json.dumps(..., allow_nan=False)``; a number that does not exist is None.
    """
    return {
        "study": analysis.study,
        "folder": str(folder),
        "conclusion": analysis.conclusion,
        "best": analysis.best,
        "seeds": analysis.seeds,
        "splits": analysis.splits,
        "epochs": analysis.epochs,
        "target": round_to(analysis.target, digits=15),
        "task": design.task,
        "schemes": [_row_json(row) for row in analysis.rows],
        "pairs": [_finite(asdict(pair)) for pair in analysis.pairs],
        "environment": dict(environment or {}),
        **({} if design.model is None else {"model": _model_json(design.model)}),
    }


def _model_json(model: OwnModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "framework": model.framework,
        "parameters": model.parameters,
        "layers": list(model.layers),
        "row_shape": list(model.row_shape),
    }


def _row_json(row: SchemeRow) -> dict[str, Any]:
    return {
        "scheme": row.scheme,
        "test_accuracy": _finite(asdict(row.test_accuracy)),
        "train_loss": _finite(asdict(row.train_loss)),
        "gap": _finite(asdict(row.gap)),
        "epochs_to_target": list(row.epochs_to_target),
        "runs": row.runs,
        "diverged": row.diverged,
        "failed": row.failed,
        "losses_to_best": row.losses_to_best,
        "p_vs_best": round_to(row.p_vs_best, digits=15),
        "seeds_vs_best": row.seeds_vs_best,
        **({} if row.learning_rate is None else {"learning_rate": row.learning_rate}),
        **({"changed": row.changed} if row.changed else {}),
    }


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same mapping with tuples as lists and None for every float that is not finite."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        return round_to(value, digits=15) if isinstance(value, float) else value

    return {key: plain(value) for key, value in values.items()}


@cache
def _schema_text() -> str:
    return (files("initlab.report") / "compare.schema.json").read_text(encoding="utf-8")


def compare_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what ``initlab compare --json`` prints.

    Example:
        >>> compare_schema()["title"]
        'initlab compare --json'
    """
    schema: dict[str, Any] = json.loads(_schema_text())
    return schema
