"""What commands share in printing: JSON on standard output, progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

    from initlab.study.run import Progress as RunProgress


def print_json(data: object) -> None:
    """Print JSON on standard output; NaN and infinities cannot pass."""
    json.dump(data, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def numbers(option: str, words: str) -> list[float]:
    """The numbers of a list with commas.

    Raises:
        OptionError: A part is no number.

    Example:
        >>> numbers("--learning-rates", "1e-3, 0.01")
        [0.001, 0.01]
    """
    from initlab.core.errors import OptionError

    try:
        return [float(word) for word in words.split(",")]
    except ValueError as error:
        raise OptionError(f"'{words}' is no list of numbers", where=option, fix="e.g. 1e-3,1e-2") from error


def tracker_notices(logging: Mapping[str, str]) -> None:
    """Print a line on standard error for every tracker that is degraded."""
    for tracker, outcome in logging.items():
        if outcome != "ok":
            print(f"initlab: notice: the tracker {tracker} is {outcome}", file=sys.stderr)


def print_pairs(title: str, pairs: Mapping[str, str]) -> None:
    """Print a heading and two columns, folded to the terminal's width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in pairs.items():
        table.add_row(Text(key), Text(value))
    console.print(Text(title, style="bold"))
    console.print(table)


@contextmanager
def run_progress() -> Iterator[RunProgress]:
    """A progress bar on standard error: runs done, share, time left; silent where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task: TaskID | None = None

        def update(*, done: int, total: int, diverged: int, failed: int) -> None:
            nonlocal task
            counts = {"diverged": diverged, "failed": failed}
            note = ", ".join(["training", *(f"{count} {word}" for word, count in counts.items() if count)])
            if task is None:  # what the store had costs no time, so the time left is told from the rest
                task = progress.add_task(note, total=total, completed=done)
            else:
                progress.update(task, completed=done, description=note)

        yield update
