"""The verb of a sweep: how deep a network may be, and what mends one that is too deep."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from initlab.core.errors import OptionError
from initlab.core.files import check_folder, make_folder, write_whole
from initlab.core.training.dataset import Dataset
from initlab.report.drawing.markup import element, join, text
from initlab.report.drawing.png import render
from initlab.report.study.notebook import swept_html
from initlab.report.study.notebook_progress import notebook_progress
from initlab.report.study.sweep_html import write_sweep_report
from initlab.report.study.sweep_specs import sweep_picture_spec
from initlab.report.study.sweep_tables import sweep_json, sweep_layout, sweep_text
from initlab.study.design import data_options
from initlab.study.records import RunRecord, StudyDesign
from initlab.study.resuming import changed_of
from initlab.study.run import Progress
from initlab.study.sweep import Sweep, load_sweep, run_sweep, with_sweep_overrides
from initlab.study.sweep_table import SweepTable, tabulate
from initlab.tasks import load_task

CONTENTS = "report.html, sweep.png, sweep.json, and the records"


@dataclass(frozen=True, eq=False)
class Swept:
    """A sweep that was carried out.

    Attributes:
        table: Its numbers and verdict.
        folder: Holds a folder a variant with its records, and ``sweep.json``, ``sweep.png`` and ``report.html``.
        command: The command line that repeats it.
    """

    table: SweepTable
    folder: Path
    command: str

    @property
    def failed(self) -> int:
        """Runs that failed or timed out; a run that diverged is a result."""
        return sum(row.failed for row in self.table.rows)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        folder = element("p", text(f"Everything is in {self.folder}: {CONTENTS}"))
        return join([swept_html(self.table), folder])

    def text(self, *, width: int = 80) -> str:
        """The table as plain text."""
        return sweep_text(self.table, width=width)

    def __str__(self) -> str:
        verdict = "\n".join(fill(sentence, 80) for sentence in self.table.verdict)
        return f"{self.text()}\n\n{verdict}\n\nEverything is in {self.folder}"

    def print(self) -> None:
        """Print table, verdict and folder, in the terminal's width and colours."""
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        console.print(sweep_layout(self.table, width=console.width))
        console.print()
        for sentence in self.table.verdict:
            console.print(Text(sentence, style="bold"))
        console.print()
        console.print(Text(f"Everything is in {self.folder}: {CONTENTS}"))

    def to_dict(self) -> dict[str, Any]:
        """The sweep as JSON-ready data; the keys are in ``initlab/report/sweep.schema.json``."""
        return sweep_json(self.table, self.folder)


def sweep(
    name: str,
    *,
    schemes: Sequence[str] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    jobs: int | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
    timeout: float | None = None,
    allow_changed: bool = False,
    fresh: bool = False,
    store: str | Path | None = None,
) -> Swept:
    """Train every variant of a sweep, and put the gradient at the start beside the accuracy at the end.

    Every finished run is kept in the folder: the same call again trains nothing, and a call that was stopped goes on.

    Args:
        name: ``depth`` or ``depth-remedies``.
        schemes: Schemes to compare at every depth; the remedies bring their own.
        seeds: Number of seeds, 1 or more.
        epochs: Passes over the training data, 1 or more.
        batch_size: Rows a step, 1 or more.
        learning_rate: Above 0.
        jobs: Worker processes, 1 or more; one a core where left out.
        out: Folder of the results; ``runs/SWEEP`` where left out.
        progress: Called with the numbers of runs done, planned, diverged and failed; left out, a notebook shows a bar.
        timeout: As in ``compare``.
        allow_changed: As in ``compare``.
        fresh: As in ``compare``.
        store: As in ``compare``.

    Returns:
        The sweep; ``table.rows`` has a row a variant and scheme: its gradient ratio (mean square at the first hidden
        layer over that at the last, 1 is ideal), its accuracy (0 to 1), and whether it trains.

    Raises:
        UnknownNameError: An unknown sweep or scheme; the nearest is offered.
        OptionError: A number out of its range, ``out`` is a file, or schemes for a sweep of remedies.
        StoreError: A stored record is damaged.
    """
    found = load_sweep(name)
    if schemes is not None and found.has_remedies:
        raise OptionError("remedies bring their own schemes", where="schemes", fix="leave schemes out")
    changes: dict[str, Any] = {
        "schemes": schemes,
        "seeds": seeds,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    found = with_sweep_overrides(found, **changes)
    folder = Path(out) if out is not None else Path("runs") / found.name
    check_folder(folder, option="out")
    if store is not None:
        check_folder(Path(store), option="store")
    with notebook_progress(progress) as told:
        records = run_sweep(
            found,
            _data,
            folder,
            jobs=jobs,
            progress=told,
            timeout=timeout,
            store=store,
            changed=changed_of(allow=allow_changed, fresh=fresh),
        )
    result = Swept(tabulate(found, records, _data), folder, _command(name, changes))
    _write(result, found, records)
    return result


def _data(design: StudyDesign) -> Dataset:
    return load_task(design.task, data=None, **data_options(design))


def _write(result: Swept, found: Sweep, records: Mapping[str, Sequence[RunRecord]]) -> None:
    make_folder(result.folder)
    write_whole(result.folder / "sweep.json", json.dumps(result.to_dict(), indent=2, allow_nan=False).encode())
    write_whole(result.folder / "sweep.png", render(sweep_picture_spec(result.table), form="png"))
    page = result.folder / "report.html"
    write_sweep_report(page, result.table, command=result.command, sweep=found, records=records)


def _command(name: str, changes: dict[str, Any]) -> str:
    study, _, remedies = name.partition("-")
    words = ["initlab", "compare", study, *([f"--{remedies}"] if remedies else [])]
    for option, value in changes.items():
        if value is not None:
            told = ",".join(value) if isinstance(value, list | tuple) else f"{value}"
            words += [f"--{option.replace('_', '-')}", told]
    return shlex.join(words)
