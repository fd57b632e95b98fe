"""TensorBoard: event files under ``tensorboard/SCHEME/seed-N``, flushed epoch by epoch, written by tensorboardX.

What Keras' own callback writes is in the run's ``train`` and ``validation`` under the callback's own names, and one
step later: step 0 is the state at initialization, and the callback's step 0 is the end of the first epoch. Beside them,
in the run itself, are the study's own curves, activations, gradients, pictures and texts.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import MissingDependencyError
from initlab.core.training.histograms import bin_counts
from initlab.core.training.protocol import Histogram
from initlab.study.trackers.pictures import variable_image
from initlab.study.trackers.protocol import TrackedRun, register_tracker

FOLDER = "tensorboard"
_FILES = "events.out.tfevents.*"
_KERAS = {"loss": ("train_loss", "test_loss"), "accuracy": ("train_accuracy", "test_accuracy")}


@register_tracker("tensorboard")
class EventFiles:
    """A run's event files, for TensorBoard.

    Args:
        run: The run; what an earlier session left in its place goes on, or is removed where none of it is to go on.
    """

    def __init__(self, run: TrackedRun) -> None:
        _check()
        self._run, self._epoch = run, 0
        folder, going_on = run.folder.joinpath(FOLDER, *run.place), run.sent >= 0
        self._files = {part: _EventFile(folder / part, going_on=going_on) for part in ("", "train", "validation")}
        self._waiting: dict[str, list[Any]] = {part: [] for part in self._files}
        config = "".join(f"    {line}\n" for line in json.dumps(dict(run.config), indent=2).splitlines())
        self._waiting[""] += _text("config", config)

    def log_model(self, epoch: int, variables: Mapping[str, NDArray[Any]], graph: bytes) -> None:
        """A histogram and an image of every variable; the layers as Keras tells them."""
        for name, values in variables.items():
            if np.issubdtype(values.dtype, np.number) and values.size:
                self._waiting["train"].append(_histogram(f"{name}/histogram", values))
                image = variable_image(values, channels_last=self._run.channels_last)
                self._waiting["train"].append(_image(f"{name}/image", image))
        if graph:
            self._waiting["train"].append(_keras_model(graph))

    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        """A scalar a number; a histogram a quantity and layer; the epoch's numbers as Keras' callback names them."""
        self._epoch = epoch
        self._waiting[""] += [_scalar(name, value) for name, value in scalars.items()]
        self._waiting[""] += [_bars(name, bars) for name, bars in histograms.items()]
        trained = {name: scalars[of] for name, (of, _) in _KERAS.items() if of in scalars}
        tested = {name: scalars[of] for name, (_, of) in _KERAS.items() if of in scalars}
        self._waiting["train"] += [_scalar(f"epoch_{name}", value) for name, value in trained.items()]
        self._waiting["validation"] += [_scalar(f"epoch_{name}", value) for name, value in tested.items()]
        if trained and self._run.learning_rate is not None:
            self._waiting["train"].append(_scalar("epoch_learning_rate", self._run.learning_rate))
        evaluated = [_scalar(f"evaluation_{name}_vs_iterations", value) for name, value in tested.items()]
        self._files["validation"].write(epoch * self._run.steps_an_epoch, evaluated, epoch=epoch)
        self._write()

    def show(self, pictures: Mapping[str, bytes], text: str) -> None:
        """The pictures as they are, without decoding them, and the text, at the last epoch."""
        self._waiting[""] += [_image(name, data) for name, data in pictures.items()] + _text("summary", text)

    def close(self, summary: Mapping[str, float | str]) -> None:
        """The final numbers as text, and the files written."""
        self._waiting[""] += _text("final", "".join(f"    {name}: {value}\n" for name, value in summary.items()))
        self._files[""].write(self._epoch, self._waiting[""])

    def _write(self) -> None:
        """What waits for the epoch, as one event a file: it is there whole or not at all."""
        for part, file in self._files.items():
            file.write(self._epoch, self._waiting[part], epoch=self._epoch)
            self._waiting[part] = []


class _EventFile:
    """An event file in a folder, made when its first event comes.

    Args:
        folder: Its folder.
        going_on: Whether epochs that earlier files there have are left out; else those files are removed.
    """

    def __init__(self, folder: Path, *, going_on: bool) -> None:
        self._events = _protocol()
        self._folder = folder
        earlier = sorted(folder.glob(_FILES))
        self._last = max((step for file in earlier for step in _steps(file)), default=-1) if going_on else -1
        self._file = folder / f"events.out.tfevents.{int(time.time())}.initlab.{len(earlier)}"
        for leftover in () if going_on else earlier:
            leftover.unlink()

    def write(self, step: int, values: list[Any], *, epoch: int | None = None) -> None:
        """One event of all values, unless an earlier session wrote that epoch."""
        if values and (epoch is None or epoch > self._last):
            summary = self._events.Summary(value=values)
            self._put(self._events.Event(step=step, wall_time=time.time(), summary=summary))

    def _put(self, event: Any) -> None:
        """Append an event; the file is open for no longer, as many runs are at once."""
        if not self._file.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._append(self._events.Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._append(event)

    def _append(self, event: Any) -> None:
        data, checksum = event.SerializeToString(), self._events.masked_crc32c
        head = struct.pack("<Q", len(data))
        framed = head + struct.pack("<I", checksum(head)) + data + struct.pack("<I", checksum(data))
        with open(self._file, "ab") as file:
            file.write(framed)


def _steps(file: Path) -> Iterator[int]:
    """The steps of the epochs in an event file, up to where it is torn; evaluations count iterations, and no epochs."""
    data, place = file.read_bytes(), 0
    while place + 12 <= len(data):
        (size,) = struct.unpack_from("<Q", data, place)  # a length, its checksum, the event, the event's
        if place + 16 + size > len(data):
            return
        event = _protocol().Event.FromString(data[place + 12 : place + 12 + size])
        if event.summary.value and not event.summary.value[0].tag.startswith("evaluation_"):
            yield event.step
        place += 16 + size


def _scalar(name: str, value: float) -> Any:
    return _protocol().Value(tag=name, simple_value=value)


def _bars(name: str, bars: Histogram) -> Any:
    edges = np.linspace(bars.low, bars.high, len(bars.counts) + 1)
    middles, counts = (edges[:-1] + edges[1:]) / 2, bars.counts.astype(np.float64)
    sums = {"sum": float(counts @ middles), "sum_squares": float(counts @ middles**2)}
    return _buckets(name, bars.low, bars.high, counts, edges, **sums)


def _histogram(name: str, values: NDArray[Any]) -> Any:
    flat = values.astype(np.float64).reshape(-1)
    flat = flat[np.isfinite(flat)]
    low, high, counts = (found[0] for found in bin_counts(flat[None]))
    edges = np.linspace(float(low), float(high), len(counts) + 1)
    least, most = (float(flat.min()), float(flat.max())) if flat.size else (0.0, 0.0)
    sums = {"sum": float(flat.sum()), "sum_squares": float(flat @ flat)}
    return _buckets(name, least, most, counts.astype(np.float64), edges, **sums)


def _buckets(
    name: str, low: float, high: float, counts: NDArray[np.float64], edges: NDArray[np.float64], **sums: float
) -> Any:
    limits = {"bucket_limit": edges[1:].tolist(), "bucket": counts.tolist()}
    bars = _protocol().HistogramProto(min=low, max=high, num=float(counts.sum()), **sums, **limits)
    return _protocol().Value(tag=name, histo=bars)


def _image(name: str, data: bytes) -> Any:
    width, height = struct.unpack(">II", data[16:24])  # the first chunk of a PNG file is its header
    shape = {"height": height, "width": width, "colorspace": 3}
    image = _protocol().Summary.Image(**shape, encoded_image_string=data)
    return _protocol().Value(tag=name, image=image)


def _text(name: str, words: str) -> list[Any]:
    return list(_protocol().text(name, words).value)


def _keras_model(told: bytes) -> Any:
    """A model's layers, for TensorBoard's conceptual graph, as Keras' callback tells them."""
    (value,) = _protocol().text("keras", told.decode()).value
    value.tag = "keras"
    value.metadata.plugin_data.plugin_name, value.metadata.plugin_data.content = "graph_keras_model", b"1"
    value.tensor.tensor_shape.Clear()
    return value


def _protocol() -> Any:
    """What tensorboardX writes with."""
    from initlab.study.trackers import events

    return events


def _check() -> None:
    try:
        import tensorboardX  # noqa: F401  # whether it is there
    except ImportError as error:
        raise MissingDependencyError(
            "the tracker tensorboard needs the package 'tensorboardX'", fix="pip install 'initlab[trackers]'"
        ) from error
