"""The verb of many trainings: compare."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initlab.core.errors import MissingDependencyError, OptionError
from initlab.report.facts import DatasetFacts, dataset_facts
from initlab.report.files import write_whole
from initlab.report.html import write_report
from initlab.report.png import write_curves_png
from initlab.report.tables import analysis_json, print_table, table_text
from initlab.study.analysis import analyse
from initlab.study.design import load_study, with_overrides
from initlab.study.export import write_curves
from initlab.study.records import Analysis, RunRecord, StudyDesign
from initlab.study.run import Progress, run_study
from initlab.study.trackers import FinishedStudy, check_trackers
from initlab.study.trackers import track as feed
from initlab.tasks import load_task

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Comparison:
    """A study that was carried out: its records, what they say, and where everything lies.

    Attributes:
        design: What was asked.
        facts: The data, as counted.
        records: A record a run.
        analysis: The table's numbers, all pairs, and the conclusion.
        folder: Holds the records, ``curves.parquet``, ``curves.png``, ``report.html`` and ``comparison.json``.
        command: The command line that repeats it.
        logging: By tracker ``ok``, or ``degraded`` and why.
    """

    design: StudyDesign
    facts: DatasetFacts
    records: Sequence[RunRecord]
    analysis: Analysis
    folder: Path
    command: str
    logging: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Runs that failed, timed out or were skipped; a run that diverged is a result."""
        return sum(record.status not in ("ok", "diverged") for record in self.records)

    def table(self, *, width: int = 80) -> str:
        """The table as plain text."""
        return table_text(self.analysis, width=width)

    def __str__(self) -> str:
        return f"{self.table()}\n\n{self.analysis.conclusion}\n\nEverything is in {self.folder}"

    def print(self) -> None:
        """Print table, conclusion and folder, in the terminal's width and colours."""
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        console.print(print_table(self.analysis, width=console.width))
        console.print()
        console.print(Text(self.analysis.conclusion, style="bold"))
        console.print()
        console.print(Text(f"Everything is in {self.folder}: report.html, curves.png, curves.parquet, records/"))

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready data; the keys are in ``initlab/report/compare.schema.json``."""
        found = analysis_json(self.design, self.analysis, self.folder)
        return {**found, "logging": dict(self.logging)} if self.logging else found

    def to_pandas(self) -> pandas.DataFrame:
        """One row a run and epoch: scheme, seed, status, epoch, losses and accuracies.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError("to_pandas needs pandas", fix="pip install pandas") from error
        return pandas.read_parquet(self.folder / "curves.parquet")

    def report(self, path: str | Path) -> Path:
        """Write the report, one offline HTML file; returns its path."""
        write_report(Path(path), self.design, self.records, self.analysis, self.facts, self.command)
        return Path(path)


def compare(
    study: str | Path | StudyDesign,
    *,
    schemes: Sequence[str] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    jobs: int | None = None,
    out: str | Path | None = None,
    data: str | Path | None = None,
    framework: str | None = None,
    track: Sequence[str] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Train one network under many schemes and seeds, and say which is better and how sure that is.

    Every finished run is kept in the folder: the same call again trains nothing, more seeds train only the new ones,
    and a call that was stopped goes on.

    Args:
        study: A ready-made study (``initlab list studies``), the path of a study's TOML, or a design.
        schemes: Schemes to compare instead of the study's, e.g. ``["zeros", "normal(std=0.01)"]``.
        seeds: Number of seeds, 1 or more; each scheme trains on the same ones.
        epochs: Passes over the training data, 1 or more.
        jobs: Worker processes, 1 or more; one a core where left out.
        out: Folder of the results; ``runs/STUDY`` where left out.
        data: Folder or file of the data set, where it does not travel with initlab.
        framework: What trains: ``jax`` (initlab's own engine), ``torch`` or ``keras``.
        track: Trackers that are given every run once it is done: ``tensorboard``, ``wandb`` (offline unless
            ``WANDB_MODE`` says otherwise), ``csv``. What becomes of them is in ``Comparison.logging``.
        progress: Called with the numbers of runs done, planned, diverged and failed.

    Returns:
        The comparison; its folder holds the records, curves, picture and report.

    Raises:
        UnknownNameError: An unknown study, scheme, data set, framework or tracker; the nearest is offered.
        OptionError: A number out of its range, or ``out`` is a file.
        DataError: The data are missing, torn or not what they say they are.
        StoreError: A stored record is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = compare("iris", schemes=["zeros"], seeds=1, jobs=1, out=folder)
        >>> result.analysis.rows[0].test_accuracy.per_seed      # the test set's share of the commonest training class
        (0.3,)
    """
    design = study if isinstance(study, StudyDesign) else load_study(study)
    design = with_overrides(design, schemes=schemes, seeds=seeds, epochs=epochs, framework=framework)
    trackers = check_trackers(track)
    folder = Path(out) if out is not None else Path("runs") / design.name
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"'{folder}' is a file", where="out", fix="name a folder")
    dataset = load_task(design.task, data=data, **design.task_options)
    records = run_study(design, dataset, folder, jobs=jobs, progress=progress)
    command = _command(study, schemes=schemes, seeds=seeds, epochs=epochs, data=data, framework=framework)
    result = Comparison(design, dataset_facts(dataset), records, analyse(design, records), folder, command)
    _write(result)
    if not trackers:
        return result
    finished = FinishedStudy(records, result.analysis, dataset, folder, (folder / "curves.png").read_bytes())
    result = replace(result, logging=feed(trackers, finished))
    _write_json(result)
    return result


def _write(result: Comparison) -> None:
    folder = result.folder
    folder.mkdir(parents=True, exist_ok=True)
    write_curves(result.records, folder / "curves.parquet", study=result.design.name)
    write_curves_png(folder / "curves.png", result.design, result.records)
    _write_json(result)
    result.report(folder / "report.html")


def _write_json(result: Comparison) -> None:
    data = json.dumps(result.to_dict(), indent=2, allow_nan=False).encode()
    write_whole(result.folder / "comparison.json", data)


def _command(study: str | Path | StudyDesign, **options: object) -> str:
    name = study.name if isinstance(study, StudyDesign) else str(study)
    words = ["initlab", "compare", name]
    for option, value in options.items():
        if isinstance(value, list | tuple):
            words += [f"--{option}", ",".join(value)]
        elif value is not None:
            words += [f"--{option}", "DATA" if option == "data" else str(value)]
    return shlex.join(words)
