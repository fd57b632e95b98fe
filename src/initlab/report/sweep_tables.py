"""The table of a sweep: for a terminal, as plain text, and as JSON."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from initlab.report.tables import estimate_text
from initlab.report.text import counted, folded_call, rounded, visible
from initlab.study.sweep_table import SweepRow, SweepTable, power

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

LEAST_NAME = 14
DEPTH_CELL, GAP = 13, 1


def sweep_notes(table: SweepTable) -> str:
    """What the columns mean; one text for the terminal and the page."""
    starred = not table.has_remedies and any(0 < row.diverged < row.runs for row in table.rows)
    return (
        f"Mean over {counted(table.seeds, 'seed')} of the test accuracy after training; bold where it reaches 90 % of "
        "the best on the same data. Gradient ratio: mean square of dL/dz at the first hidden layer over that at the "
        "last, z what the activation takes, before the first step (of a recurrent net: first step over last); 1 is "
        "ideal, and not enough: a net may keep its gradient and still make all inputs alike. Adam, which divides a "
        "gradient by its own size, bears more than SGD, until the gradient is lost in "
        f"rounding.{' * some of the runs diverged.' if starred else ''}"
    )


def sweep_layout(table: SweepTable, *, width: int) -> Group:
    """A renderable for ``rich``: a block a group, then the notes.

    Where a sweep goes over depths a row is a scheme, with accuracy and gradient ratio side by side under each depth;
    else a row is a remedy.

    Args:
        table: The sweep.
        width: Columns of characters.
    """
    from rich.console import Group
    from rich.text import Text

    blocks = [_remedies(table)] if table.has_remedies else [_by_depth(table, width)]
    title = Text(f"{visible(table.title)}; {counted(table.seeds, 'seed')}", style="bold")
    return Group(title, Text(), *blocks, Text(), Text(sweep_notes(table), style="dim"))


def _by_depth(table: SweepTable, width: int) -> Table:
    from rich.text import Text

    depths = list(dict.fromkeys(row.depth for row in table.rows))
    found = {(row.group, row.scheme, row.depth): row for row in table.rows}
    drawn = _empty_table("scheme", [f"depth {depth}\naccur.  ratio" for depth in depths])
    room = max(LEAST_NAME, width - (DEPTH_CELL + GAP) * len(depths) - GAP)
    for group in table.groups:
        drawn.add_row(Text(visible(group), style="bold italic"))
        for scheme in dict.fromkeys(row.scheme for row in table.of(group)):
            cells = [found.get((group, scheme, depth)) for depth in depths]
            name = "\n".join(folded_call(visible(scheme), room))
            drawn.add_row(Text(name), *(Text() if row is None else _depth_cell(row) for row in cells))
        drawn.add_section()
    return drawn


def _depth_cell(row: SweepRow) -> Text:
    from rich.text import Text

    if row.accuracy.mean is None:
        accuracy = "div. " if row.diverged else "fail."
    else:
        accuracy = f"{row.accuracy.mean:.2f}{'*' if row.diverged else ' '}"
    return Text(f"{accuracy} {power(row.ratio):>6} ", style="bold" if row.trains else "dim")


def _remedies(table: SweepTable) -> Table:
    from rich.text import Text

    drawn = _empty_table("remedy", ["gradient\nratio", "in\ntheory", "test accuracy\n[95 % interval]", "trains"])
    for group in table.groups:
        drawn.add_row(Text(visible(group), style="bold italic"))
        for row in table.of(group):
            style = "bold" if row.trains else ""
            drawn.add_row(*(Text(cell, style=style) for cell in remedy_cells(row)))
        drawn.add_section()
    return drawn


def remedy_cells(row: SweepRow) -> tuple[str, ...]:
    """The cells of one row: what was done, the ratio, the ratio in theory, the accuracy, and whether it trains."""
    trains = "yes" if row.trains else "no"
    return visible(row.label), power(row.ratio), power(row.predicted), accuracy_text(row), trains


def accuracy_text(row: SweepRow) -> str:
    """The accuracy with its interval, and how many runs diverged.

    Example:
        >>> from initlab.study.records import Estimate
        >>> none = Estimate(None, None, None, (None,))
        >>> accuracy_text(SweepRow("a", "b", "plain", 9, "zeros", 1.0, 1.0, none, 0.1, 3, 3, 0, False))
        '3 of 3 diverged'
    """
    lost = f"{row.diverged} of {row.runs} diverged" if row.diverged else ""
    if row.accuracy.mean is None:
        return lost or "failed"
    return f"{estimate_text(row.accuracy)}\n{lost}" if lost else estimate_text(row.accuracy)


def _empty_table(first: str, headings: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    drawn.add_column(first, vertical="bottom", no_wrap=True)
    for heading in headings:
        drawn.add_column(heading, justify="right", vertical="bottom", no_wrap=True)
    return drawn


def sweep_text(table: SweepTable, *, width: int = 80) -> str:
    """The table as plain text without colours, no line longer than the width.

    Args:
        table: The sweep.
        width: Columns of characters.
    """
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False, force_terminal=False)
    with console.capture() as capture:
        console.print(sweep_layout(table, width=width))
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def sweep_json(table: SweepTable, folder: str | PurePath) -> dict[str, Any]:
    """What ``--json`` prints: plain dicts, lists, strings and finite numbers.

    Args:
        table: The sweep.
        folder: Where the records lie.

    Returns:
        A dict for ``json.dumps(..., allow_nan=False)``; a number that does not exist is None.
    """
    return {
        "sweep": table.name,
        "title": table.title,
        "folder": str(folder),
        "seeds": table.seeds,
        "verdict": list(table.verdict),
        "gradient_ratio": "mean square of dL/dz at the first hidden layer over that at the last, before training",
        "rows": [_row_json(row) for row in table.rows],
    }


def _row_json(row: SweepRow) -> dict[str, Any]:
    plain = asdict(row)
    plain["gradient_ratio"] = rounded(plain.pop("ratio"), digits=15)
    plain["gradient_ratio_predicted"] = rounded(plain.pop("predicted"), digits=15)
    estimate = plain.pop("accuracy")
    plain["test_accuracy"] = {**estimate, "per_seed": list(estimate["per_seed"])}
    return plain
