"""What Keras' own callbacks and initlab's trackers write of a fit, entry by entry: writes docs/tracker_entries.csv.

KERAS_BACKEND=tensorflow python docs/tracker_entries.py      # about 20 seconds

One small network is fitted by ``keras.callbacks.TensorBoard(histogram_freq=1, write_images=True)`` and by
``wandb.integration.keras.WandbMetricsLogger``, and once by ``initlab.compare(..., histograms_every=1)``. The event
files are read by TensorBoard's own reader, those of W&B by its protocol.
"""

from __future__ import annotations

import csv
import json
import os
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

TABLE = Path(__file__).parent / "tracker_entries.csv"
EPOCHS, ROWS, BATCH = 3, 48, 16
HEAD = ("where", "entry", "kind", "steps of Keras", "steps here")

Entries = dict[tuple[str, str, str], str]
"""Steps by run, entry and kind."""


def net() -> Any:
    """A convolution, a batch norm and a dense layer."""
    import keras

    layers = [
        keras.Input((6, 5, 1)),
        keras.layers.Conv2D(4, (3, 2), name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.ReLU(name="relu"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(3, name="out", activation="softmax"),
    ]
    return keras.Sequential(layers, name="net")


def rows() -> tuple[Any, Any, Any, Any]:
    """Images of three classes, told apart by their brightness."""
    rng = np.random.default_rng(7)
    y = rng.integers(0, 3, 2 * ROWS)
    x = (rng.normal(size=(2 * ROWS, 6, 5, 1)) + y[:, None, None, None]).astype(np.float32)
    return x[:ROWS], y[:ROWS], x[ROWS:], y[ROWS:]


def fit(folder: Path) -> None:
    """The fit by Keras, with its callback and with that of W&B."""
    import keras
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    x_train, y_train, x_test, y_test = rows()
    model = net()
    model.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
    board = keras.callbacks.TensorBoard(str(folder / "keras"), histogram_freq=1, write_images=True)
    place = folder / "keras-wandb"
    place.mkdir()
    with wandb.init(project="x", dir=str(place), mode="offline", settings=wandb.Settings(silent=True, console="off")):
        told = [board, WandbMetricsLogger()]
        given = {"epochs": EPOCHS, "batch_size": BATCH, "validation_data": (x_test, y_test), "verbose": 0}
        model.fit(x_train, y_train, callbacks=told, **given)


def compared(folder: Path) -> None:
    """The fit by initlab, in this process, as only it has the function."""
    import initlab

    given: dict[str, Any] = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": 0.001, "seeds": 1}
    given |= {
        "schemes": ["he_normal"],
        "histograms_every": 1,
        "out": folder / "ours",
        "track": ["tensorboard", "wandb"],
    }
    found = initlab.compare(build=lambda: net(), data=rows(), **given)
    if set(found.logging.values()) != {"ok"}:
        raise SystemExit(f"{found.logging}")


def board_entries(folder: Path) -> Entries:
    """What TensorBoard's own reader finds in each run below a folder."""
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = dict.fromkeys(("scalars", "histograms", "images", "tensors"), 0)
    found: Entries = {}
    for part in ("train", "validation", ""):
        read = EventAccumulator(str(folder / part), size_guidance=everything).Reload()
        for kind, steps in (("scalars", read.Scalars), ("histograms", read.Histograms), ("images", read.Images)):
            found |= {(part, tag, kind): _told(e.step for e in steps(tag)) for tag in read.Tags()[kind]}
        for tag in read.Tags()["tensors"]:
            plugin = read.SummaryMetadata(tag).plugin_data.plugin_name
            found[part, tag, PLUGINS.get(plugin, plugin)] = _told(e.step for e in read.Tensors(tag))
    return found


PLUGINS = {"graph_keras_model": "graph of layers"}
"""How a kind of entry is called where TensorFlow writes it as a tensor."""


def wandb_entries(folder: Path) -> Entries:
    """What W&B's file holds, by the entry's name: the values of its own step of epochs."""
    (file,) = (f for f in folder.glob("wandb/offline-run-*/run-*.wandb") if b"all runs" not in f.read_bytes())
    steps: dict[str, list[int]] = {}
    for record in _records(file):
        if record.WhichOneof("record_type") == "history":
            items = {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
            for name in items:
                if name.startswith("epoch/"):
                    steps.setdefault(name, []).append(items["epoch/epoch"])
    return {("", name, "W&B"): _told(found) for name, found in steps.items()}


def _records(file: Path) -> Iterator[Any]:
    """The records of a W&B file: 7 bytes, then LevelDB's log format, blocks of 32 KiB with a head before each part."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, whole, place, block = file.read_bytes(), b"", 7, 32_768
    while place + 7 <= len(data):
        if block - place % block < 7:  # no room for a head: the rest of the block is padding
            place += block - place % block
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or its last part
            yield Record.FromString(whole)
            whole = b""


def _told(steps: Any) -> str:
    return " ".join(f"{step}" for step in sorted(set(steps)))


def measure(folder: Path) -> list[tuple[str, ...]]:
    """A row an entry of the fit: its run, name and kind, and its steps by Keras' callbacks and here."""
    fit(folder)
    compared(folder)
    place = folder / "ours" / "tensorboard" / "he_normal" / "seed-0"
    theirs = board_entries(folder / "keras") | wandb_entries(folder / "keras-wandb")
    ours = board_entries(place) | wandb_entries(folder / "ours")
    keys = [*theirs, *(key for key in ours if key not in theirs)]
    return [(key[0] or "the run", *key[1:], theirs.get(key, "-"), ours.get(key, "-")) for key in keys]


def read_table() -> list[Mapping[str, str]]:
    """The rows that were measured."""
    with open(TABLE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TABLE
    with tempfile.TemporaryDirectory() as there:
        found = measure(Path(there))
    with open(target, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *found])
