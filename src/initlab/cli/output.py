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
    """A bar on standard error that always moves: phase, runs done, time passed, and time left once it can be told.

    Silent where standard error is no terminal.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Left(TextColumn):
        """The time left; nothing while it is not known."""

        def render(self, task: Task) -> Text:
            left = task.time_remaining
            return Text("" if left is None or task.finished else f"about {_clock(left)} left")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("runs"))
    console = Console(stderr=True)
    with Progress(
        *columns, TimeElapsedColumn(), Left(""), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        starting = progress.add_task("starting, compiling", total=None)
        task: TaskID | None = None

        def update(*, done: int, total: int, diverged: int, failed: int) -> None:
            nonlocal task
            counts = {"diverged": diverged, "failed": failed}
            note = ", ".join(["training", *(f"{count} {word}" for word, count in counts.items() if count)])
            if task is None:  # what the store had costs no time, so the time left is told from the rest
                progress.remove_task(starting)
                task = progress.add_task(note, total=total, completed=done)
            else:
                progress.update(task, completed=done, description=note)

        yield update


def _clock(seconds: float) -> str:
    """Minutes and seconds.

    Example:
        >>> _clock(125.4)
        '2:05'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
