"""CSV: ``csv/SCHEME/seed-N/scalars.csv`` and ``histograms.csv``, and the pictures beside them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from initlab.core.training.protocol import Histogram
from initlab.study.trackers.protocol import TrackedRun, path_part, register_tracker

_TABLES = {
    "scalars": ("epoch", "name", "value"),
    "histograms": ("epoch", "name", "low", "high", "count"),
}


class CsvFiles:
    """A run's numbers as plain files, which grow epoch by epoch.

    Args:
        folder: The run's own folder.
        sent: The last epoch of what an earlier session left there that is kept; -1 for none.
    """

    def __init__(self, folder: Path, *, sent: int = -1) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, head in _TABLES.items():
            self._write(name, [head, *self._kept(name, sent)], mode="w")

    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        """A row a number, and a row a histogram's bin."""
        rows: list[tuple[object, ...]] = []
        for name, bars in histograms.items():
            width = (bars.high - bars.low) / len(bars.counts)
            for i, count in enumerate(bars.counts.tolist()):
                rows.append((epoch, name, bars.low + i * width, bars.low + (i + 1) * width, count))
        self._write("histograms", rows)
        self._write("scalars", [(epoch, name, repr(value)) for name, value in scalars.items()])

    def show(self, pictures: Mapping[str, bytes], text: str) -> None:
        """A PNG file a picture, and ``summary.txt``."""
        for name, data in pictures.items():
            (self.folder / f"{path_part(name)}.png").write_bytes(data)
        (self.folder / "summary.txt").write_text(text, encoding="utf-8")

    def close(self, summary: Mapping[str, float | str]) -> None:
        """The final numbers are ``summary.csv``."""
        self._write("summary", [("name", "value"), *summary.items()], mode="w")

    def _kept(self, name: str, sent: int) -> list[Sequence[object]]:
        """The whole rows of the epochs up to the one that is kept."""
        file = self.folder / f"{name}.csv"
        if sent < 0 or not file.is_file():
            return []
        with open(file, newline="", encoding="utf-8") as lines:
            return [row for row in csv.reader(lines) if row[0].isdecimal() and int(row[0]) <= sent]

    def _write(self, name: str, rows: Iterable[Sequence[object]], *, mode: str = "a") -> None:
        with open(self.folder / f"{name}.csv", mode, newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


@register_tracker("csv")
def open_csv(run: TrackedRun) -> CsvFiles:
    """A run's numbers as CSV files, and its pictures beside them."""
    return CsvFiles(run.folder.joinpath("csv", *run.place), sent=run.sent)
