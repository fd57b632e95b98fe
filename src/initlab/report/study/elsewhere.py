"""The table of runs that were made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from initlab.report.drawing.text import p_value, visible

if TYPE_CHECKING:
    from initlab.study.elsewhere.judging import Trial
    from initlab.study.records import Pair

MOST_ROWS = 40


def print_runs(
    trials: Sequence[Trial], pairs: Sequence[Pair], *, sign: int, title: str, texts: Sequence[str], baseline: str
) -> None:
    """Print a row a configuration, the best first, then the texts; what nobody sees in a name is left out or shown.

    Args:
        trials: The configurations.
        pairs: Those that were tested.
        sign: -1 where scores are minus the metric.
        title: Of the table.
        texts: What stands below, a paragraph each.
        baseline: The configuration that the last column is against.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, title=Text(visible(title)), title_justify="left", pad_edge=False)
    table.add_column("configuration", overflow="fold")
    for heading in ("runs", "diverged", "mean", "95 % interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for trial in trials[:MOST_ROWS]:
        told = trial.estimate if sign > 0 else trial.estimate.negated()
        ends = "-" if told.low is None or told.high is None else f"[{told.low:.4g}, {told.high:.4g}]"
        pair = next((pair for pair in pairs if {pair.first, pair.second} == {trial.name, baseline}), None)
        p = "against" if trial.name == baseline else "-" if pair is None else p_value(pair.p)
        mean = "-" if told.mean is None else f"{told.mean:.4g}"
        count, lost = len(trial.scores), len(trial.scores) - len(trial.finite)
        table.add_row(Text(visible(trial.name)), str(count), str(lost), mean, ends, p)
    console.print(table)
    if len(trials) > MOST_ROWS:
        console.print(Text(f"and {len(trials) - MOST_ROWS} more configurations"))
    for text in texts:
        console.print(Text(visible(text)))
