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

LEAST_NAME = 14


def sweep_notes(table: SweepTable) -> str:
    """What the columns mean; one text for the terminal and the page."""
    return (
        f"Mean over {counted(table.seeds, 'seed')} of the test accuracy after training; bold where it reaches 90 % of "
        "the best on the same data. Gradient ratio: mean square of dL/dz at the first hidden layer over that at the "
        "last, z what the activation takes, before the first step (of a recurrent net: first step over last); 1 is "
        "ideal. Adam, which divides a gradient by its own size, bears more than SGD, until the gradient is lost in "
        "rounding."
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
    headings = [heading for depth in depths for heading in (f"depth {depth}\naccuracy", "gradient\nratio")]
    drawn = _empty_table("scheme", headings)
    for group in table.groups:
        drawn.add_row(Text(visible(group), style="bold italic"))
        schemes = dict.fromkeys(row.scheme for row in table.of(group))
        for scheme in schemes:
            name = "\n".join(folded_call(visible(scheme), max(LEAST_NAME, width - 16 * len(depths))))
            cells = [cell for depth in depths for cell in _cells(found.get((group, scheme, depth)))]
            drawn.add_row(Text(name), *cells)
        drawn.add_section()
    return drawn


def _cells(row: SweepRow | None) -> list[Any]:
    from rich.text import Text

    if row is None:
        return [Text(), Text()]
    style = "bold" if row.trains else "dim"
    return [Text(_accuracy(row), style=style), Text(power(row.ratio), style="" if row.trains else "dim")]


def _accuracy(row: SweepRow) -> str:
    if row.accuracy.mean is None:
        return "diverged" if row.diverged else "failed"
    return f"{row.accuracy.mean:.2f}" + (f" ({row.diverged} div.)" if row.diverged else "")


def _remedies(table: SweepTable) -> Table:
    from rich.text import Text

    headings = ["gradient\nratio", "in\ntheory", "test accuracy\n[95 % interval]", "diverged", "trains"]
    drawn = _empty_table("remedy", headings)
    for group in table.groups:
        drawn.add_row(Text(visible(group), style="bold italic"))
        for row in table.of(group):
            style = "bold" if row.trains else ""
            drawn.add_row(*(Text(cell, style=style) for cell in remedy_cells(row)))
        drawn.add_section()
    return drawn


def remedy_cells(row: SweepRow) -> tuple[str, ...]:
    """The cells of one row: what was done, the ratio, the ratio in theory, accuracy, divergences, whether it trains."""
    return (
        visible(row.label),
        power(row.ratio),
        power(row.predicted),
        estimate_text(row.accuracy),
        f"{row.diverged}/{row.runs}" if row.diverged else "0",
        "yes" if row.trains else "no",
    )


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
