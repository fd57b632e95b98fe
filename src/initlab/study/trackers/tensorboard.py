"""TensorBoard: an event file a run, ``tensorboard/SCHEME/seed-N``, written by tensorboardX."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from initlab.core.errors import MissingDependencyError
from initlab.core.training.protocol import Histogram
from initlab.study.trackers.protocol import TrackedRun, register_tracker

FOLDER = "tensorboard"


@register_tracker("tensorboard")
class EventFile:
    """A run's event file, for TensorBoard.

    Args:
        run: The run; event files that an earlier one left in its place are removed, as TensorBoard would mix them.
    """

    def __init__(self, run: TrackedRun) -> None:
        folder = run.folder.joinpath(FOLDER, *run.place)
        _remove_events(folder)
        self._summary, self._epoch = _proto(), 0
        self._writer = _writer_class()(logdir=str(folder))
        config = "".join(f"    {line}\n" for line in json.dumps(dict(run.config), indent=2).splitlines())
        self._writer.add_text("config", config, 0)

    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        """A scalar a number; a histogram a quantity and layer."""
        self._epoch = epoch
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, epoch)
        for name, bars in histograms.items():
            edges = np.linspace(bars.low, bars.high, len(bars.counts) + 1)
            middles, counts = (edges[:-1] + edges[1:]) / 2, bars.counts.astype(np.float64)
            moments = {"num": counts.sum(), "sum": counts @ middles, "sum_squares": counts @ middles**2}
            limits = {"bucket_limits": edges[1:].tolist(), "bucket_counts": counts.tolist()}
            self._writer.add_histogram_raw(name, min=bars.low, max=bars.high, **moments, **limits, global_step=epoch)

    def show(self, pictures: Mapping[str, bytes], text: str) -> None:
        """The pictures as they are, without decoding them, and the text, at the last epoch."""
        for name, data in pictures.items():
            width, height = struct.unpack(">II", data[16:24])  # the first chunk of a PNG file is its header
            image = self._summary.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=data)
            value = self._summary.Summary.Value(tag=name, image=image)
            self._writer.file_writer.add_summary(self._summary.Summary(value=[value]), self._epoch)
        self._writer.add_text("summary", text, self._epoch)

    def close(self, summary: Mapping[str, float | str]) -> None:
        """The final numbers as text, and the file written."""
        final = "".join(f"    {name}: {value}\n" for name, value in summary.items())
        self._writer.add_text("final", final, self._epoch)
        self._writer.close()


def _remove_events(folder: Path) -> None:
    for leftover in folder.glob("events.out.tfevents.*"):
        leftover.unlink()


def _writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            "the tracker tensorboard needs the package 'tensorboardX'", fix="pip install 'initlab[trackers]'"
        ) from error
    return SummaryWriter


def _proto() -> Any:
    try:
        from tensorboardX.proto import summary_pb2
    except ImportError as error:
        raise MissingDependencyError(
            "the tracker tensorboard needs the package 'tensorboardX'", fix="pip install 'initlab[trackers]'"
        ) from error
    return summary_pb2
