"""Messages between a study and its workers: a JSON body, then the raw bytes of its arrays. No pickle, no copies."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle, groupby
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.factories import named
from initlab.core.facts.user_model import OwnModel
from initlab.core.training.dataset import Dataset
from initlab.core.training.live import Epoch
from initlab.core.training.protocol import Histogram, Quantity, Start, Trained, TrainingSetup, UserTrainingSetup
from initlab.study.codec import Arrays, group_of, histograms_of, outcome_arrays, spec_from_json
from initlab.study.records import RunSpec

Message: TypeAlias = tuple[dict[str, Any], Arrays]
_LENGTH = struct.Struct("<Q")


class Readable(Protocol):
    """A binary stream that can be read from."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill part of the buffer; the number of bytes, 0 at the end."""
        ...


def write_message(stream: BinaryIO, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> None:
    """Write one message whole.

    Raises:
        OSError: The reader is gone.
    """
    flat = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    shapes = [[name, array.dtype.str, list(array.shape)] for name, array in flat.items()]
    head = json.dumps({"body": body, "arrays": shapes}).encode()
    stream.write(_LENGTH.pack(len(head)) + head)
    for array in flat.values():
        stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def read_message(stream: Readable) -> Message:
    """The next message's body and arrays.

    Raises:
        EOFError: The writer is gone, before or within the message.
    """
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    head = json.loads(_exactly(stream, length))
    arrays: Arrays = {}
    for name, kind, shape in head["arrays"]:
        arrays[name] = np.empty(shape, np.dtype(kind))
        _fill(stream, arrays[name].reshape(-1).view(np.uint8).data)
    return head["body"], arrays


def _exactly(stream: Readable, size: int) -> bytes:
    data = bytearray(size)
    _fill(stream, memoryview(data))
    return bytes(data)


def _fill(stream: Readable, view: memoryview) -> None:
    found = 0
    while found < len(view):
        n = stream.readinto(view[found:])
        if not n:
            raise EOFError
        found += n


def setup_message(
    spec: RunSpec,
    dataset: Dataset,
    *,
    build: str | None = None,
    activation: str = "",
    live: bool | None = None,
    code: Mapping[str, Any] | None = None,
) -> Message:
    """What the runs of a study share: the spec of any of them, the data, and the names of what is the user's own.

    Args:
        spec: That of any run.
        dataset: The data.
        build: What builds an own model.
        activation: The function of an own activation, whose module registers it when it is imported.
        code: What a worker is to import (``same_code.told_code``); None for whatever it finds.
        live: Whether epochs are told as they end, with variables (True) or without; None: they are not.
    """
    facts = {
        "name": dataset.name,
        "kind": dataset.kind,
        "class_names": dataset.class_names,
        "image_shape": dataset.image_shape,
    }
    names = ("x_train", "y_train", "x_test", "y_test")
    body = {"spec": spec.to_json(), "dataset": facts, "build": build, "activation": activation, "live": live}
    body["code"] = dict(code) if code is not None else None
    return body, {name: getattr(dataset, name) for name in names}


def setup_of(body: Mapping[str, Any], arrays: Arrays) -> TrainingSetup | UserTrainingSetup:
    """The setup that ``setup_message`` took apart."""
    facts = body["dataset"]
    dataset = Dataset(
        facts["name"],
        arrays["x_train"],
        arrays["y_train"],
        arrays["x_test"],
        arrays["y_test"],
        kind=facts["kind"],
        class_names=tuple(facts["class_names"]),
        image_shape=tuple(facts["image_shape"]) if facts["image_shape"] else None,
    )
    spec, build = spec_from_json(body["spec"]), body["build"]
    return setup_for(spec, dataset) if build is None else user_setup_for(spec, dataset, partial(_build, build))


def _build(dotted: str) -> object:
    """What the function of that name returns; its module is imported when a model is built, not when it is named."""
    build = named(dotted)
    assert callable(build)
    return build()


def setup_for(spec: RunSpec, dataset: Dataset) -> TrainingSetup:
    """What a run of initlab's own network shares with every other of its study."""
    assert not isinstance(spec.arch, OwnModel)
    return TrainingSetup(spec.arch, dataset, spec.optimizer, spec.budget, spec.loss, spec.histogram_epochs)


def user_setup_for(spec: RunSpec, dataset: Dataset, build: Callable[[], object]) -> UserTrainingSetup:
    """What a run of the user's own model, which ``build`` returns, shares with every other of its study."""
    assert isinstance(spec.arch, OwnModel)
    return UserTrainingSetup(build, spec.arch, dataset, spec.optimizer, spec.budget, spec.loss, spec.histogram_epochs)


def starts_message(starts: list[Start]) -> Message:
    """Models to be trained together."""
    arrays = {f"{i}/{path}": w for i, start in enumerate(starts) for path, w in start.weights.items()}
    return {"seeds": [(start.seed, start.init_seed) for start in starts]}, arrays


def starts_of(body: Mapping[str, Any], arrays: Arrays) -> list[Start]:
    """The models that ``starts_message`` took apart."""
    return [Start(seed, group_of(arrays, str(i)), built) for i, (seed, built) in enumerate(body["seeds"])]


def epoch_message(epoch: Epoch, places: Sequence[int]) -> Message:
    """An epoch of models, by their places among those that train together."""
    bars = [bar for model in epoch.histograms for bar in model]
    arrays: Arrays = {"curves": epoch.curves, "layers": epoch.layers}
    if bars:
        arrays["bounds"] = np.array([(bar.low, bar.high) for bar in bars], np.float64)
        arrays["counts"] = np.stack([bar.counts for bar in bars])
    arrays |= {f"variables/{name}": values for name, values in epoch.variables.items()}
    arrays["graph"] = np.frombuffer(epoch.graph, np.uint8)
    lines = [(bar.layer, bar.quantity) for bar in epoch.histograms[0]] if bars else []
    return {"kind": "epoch", "number": epoch.number, "places": list(places), "histograms": lines}, arrays


def epoch_messages(epochs: Sequence[tuple[Epoch, Sequence[int]]]) -> Iterator[Message]:
    """Epochs with the places of their models; of those of the same models that hold numbers alone one message."""
    for (places, plain), group in groupby(epochs, key=lambda one: (tuple(one[1]), _is_plain(one[0]))):
        found = [epoch for epoch, _ in group]
        if plain and len(found) > 1:
            arrays: Arrays = {"curves": np.stack([epoch.curves for epoch in found])}
            arrays["layers"] = np.stack([epoch.layers for epoch in found])
            yield {"kind": "epoch", "numbers": [epoch.number for epoch in found], "places": places}, arrays
        else:
            yield from (epoch_message(epoch, places) for epoch in found)


def _is_plain(epoch: Epoch) -> bool:
    return not (epoch.histograms or epoch.variables or epoch.graph)


def epochs_of(body: Mapping[str, Any], arrays: Arrays) -> list[Epoch]:
    """The epochs of one message, but for their starts; the message's ``places`` name the models."""
    if "numbers" not in body:
        return [epoch_of(body, arrays)]
    parts = zip(body["numbers"], arrays["curves"], arrays["layers"], strict=True)
    return [Epoch(number, (), curves, layers) for number, curves, layers in parts]


def epoch_of(body: Mapping[str, Any], arrays: Arrays) -> Epoch:
    """The epoch that ``epoch_message`` took apart, but for its starts; the message's ``places`` name the models."""
    number: int = body["number"]
    lines: list[tuple[str, Quantity]] = body["histograms"]
    found = zip(cycle(lines), arrays.get("bounds", ()), arrays.get("counts", ()), strict=False)
    bars = [Histogram(number, *line, float(low), float(high), counts) for line, (low, high), counts in found]
    return Epoch(
        number,
        (),
        arrays["curves"],
        arrays["layers"],
        [bars[i : i + len(lines)] for i in range(0, len(bars), len(lines))] if lines else (),
        group_of(arrays, "variables"),
        arrays["graph"].tobytes(),
    )


def trained_message(results: list[Trained]) -> Message:
    """What training gave."""
    arrays: Arrays = {}
    lines = []
    for i, t in enumerate(results):
        bars, measured = outcome_arrays(t)
        arrays |= {f"{i}/{name}": values for name, values in measured.items()}
        step = None if t.diverged_step is None else int(t.diverged_step)
        facts = {"status": t.status, "reason": t.reason, "diverged_step": step, "wall": float(t.wall)}
        lines.append({**facts, "histograms": bars})
    return {"kind": "trained", "models": lines}, arrays


def trained_of(body: Mapping[str, Any], arrays: Arrays) -> list[Trained]:
    """What ``trained_message`` took apart."""
    return [_trained_from(line, group_of(arrays, str(i))) for i, line in enumerate(body["models"])]


def _trained_from(line: Mapping[str, Any], arrays: Arrays) -> Trained:
    return Trained(
        status=line["status"],
        reason=line["reason"],
        diverged_step=line["diverged_step"],
        curves=group_of(arrays, "curves"),
        layers=group_of(arrays, "layers"),
        histograms=histograms_of(line["histograms"], arrays),
        predictions=arrays["predictions"],
        wall=line["wall"],
        first_weights=arrays.get("first_weights"),
    )
