"""CSV: ``csv/SCHEME/seed-N/scalars.csv`` and ``histograms.csv``, and the pictures beside them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from initlab.core.training.protocol import Histogram
from initlab.study.trackers.protocol import TrackedRun, path_part, register_tracker


class CsvFiles:
    """A run's numbers as plain files.

    Args:
        folder: The run's own folder; what an earlier run left there is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._scalars: list[tuple[object, ...]] = [("epoch", "name", "value")]
        self._histograms: list[tuple[object, ...]] = [("epoch", "name", "low", "high", "count")]

    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        """A row a number, and a row a histogram's bin."""
        self._scalars += [(epoch, name, repr(value)) for name, value in scalars.items()]
        for name, bars in histograms.items():
            width = (bars.high - bars.low) / len(bars.counts)
            for i, count in enumerate(bars.counts.tolist()):
                self._histograms.append((epoch, name, bars.low + i * width, bars.low + (i + 1) * width, count))

    def show(self, pictures: Mapping[str, bytes], text: str) -> None:
        """A PNG file a picture, and ``summary.txt``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, data in pictures.items():
            (self.folder / f"{path_part(name)}.png").write_bytes(data)
        (self.folder / "summary.txt").write_text(text, encoding="utf-8")

    def close(self, summary: Mapping[str, float | str]) -> None:
        """Write the tables; the final numbers are ``summary.csv``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        final: list[tuple[object, ...]] = [("name", "value"), *summary.items()]
        tables = {"scalars": self._scalars, "histograms": self._histograms, "summary": final}
        for name, rows in tables.items():
            with open(self.folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)


@register_tracker("csv")
def open_csv(run: TrackedRun) -> CsvFiles:
    """A run's numbers as CSV files, and its pictures beside them."""
    return CsvFiles(run.folder.joinpath("csv", *run.place))
