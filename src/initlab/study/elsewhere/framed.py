"""TensorBoard's event files and W&B's offline files: framed records, each checked before it is parsed.

TensorBoard: TFRecord, a length of 8 bytes, its masked CRC-32C, the bytes, their masked CRC-32C. W&B: the log format of
LevelDB after 7 bytes of head, blocks of 32 KiB, fragments with CRC-32, length, and a type (whole, first, middle, last).
wandb has no public reader of its files: the messages are parsed by ``wandb.proto.wandb_internal_pb2``, which it calls
internal, and a version that writes another format is refused by the head or by a checksum.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from initlab.core.errors import DataError, MissingDependencyError, as_text
from initlab.study.elsewhere.runs import MOST_BYTES, ForeignRun, by_config

LARGEST_RECORD = 64 << 20
_BLOCK, _HEAD, _SCALARS = 32_768, 7, 4096
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_WANDB_HEAD = b":W&B\xe1\xbe\x00"


def tensorboard_runs(files: Sequence[Path], root: Path) -> Iterator[ForeignRun]:
    """A run a folder, with the scalars of all event files in it.

    Raises:
        DataError: A file is damaged.
        MissingDependencyError: tensorboardX, which has the format of the events, is not installed.
    """
    try:
        from initlab.study.trackers.events import Event, masked_crc32c
    except ImportError as error:
        raise MissingDependencyError(
            "event files need the package 'tensorboardX'", where="--runs", fix="pip install 'initlab[trackers]'"
        ) from error
    folders: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        folders[file.parent].append(file)
    for folder, parts in folders.items():
        name = folder.relative_to(root).as_posix()
        run = by_config(name if name != "." else folder.resolve().name, {})
        for file in sorted(parts):
            for data in tf_records(file, masked_crc32c):
                event = _parsed(Event(), data, file)
                for value in event.summary.value:
                    for number in _scalar(value):
                        run.note(as_text(value.tag), number, int(event.step))
        yield run


def _scalar(value: Any) -> list[float]:
    """The number of a summary's value, be it written as one or as a tensor of one; else nothing."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return [float(value.simple_value)]
    if kind != "tensor" or any(dim.size != 1 for dim in value.tensor.tensor_shape.dim):
        return []
    tensor = value.tensor
    if tensor.dtype == 1:  # DT_FLOAT
        content = struct.unpack("<f", tensor.tensor_content) if len(tensor.tensor_content) == 4 else tensor.float_val
    elif tensor.dtype == 2:  # DT_DOUBLE
        content = struct.unpack("<d", tensor.tensor_content) if len(tensor.tensor_content) == 8 else tensor.double_val
    else:
        return []
    return [float(content[0])] if len(content) == 1 else []


def tf_records(file: Path, checksum: Any) -> Iterator[bytes]:
    """The records of an event file; one that the writer did not end is left out.

    The checksum of a long record, which holds pictures or histograms and no scalar, is not taken: in Python it is slow.

    Raises:
        DataError: A checksum does not hold, or a record is larger than any scalar's.
    """
    with _opened(file) as (source, size):
        while len(head := source.read(12)) == 12:
            length, crc = struct.unpack("<QI", head)
            if crc != checksum(head[:8]) or length > LARGEST_RECORD:
                raise DataError(f"byte {source.tell() - 12} starts no record", where=str(file), fix="write it anew")
            if source.tell() + length + 4 > size:
                return
            data, end = source.read(length), source.read(4)
            if length <= _SCALARS and struct.unpack("<I", end)[0] != checksum(data):
                raise DataError(f"a record before byte {source.tell()} is damaged", where=str(file), fix="delete it")
            yield data


def wandb_runs(files: Sequence[Path], root: Path) -> Iterator[ForeignRun]:
    """A run a ``.wandb`` file.

    Raises:
        DataError: A file is damaged, or of another format.
        MissingDependencyError: wandb is not installed.
    """
    try:
        kind = import_module("wandb.proto.wandb_internal_pb2").Record
    except ImportError as error:
        raise MissingDependencyError(
            "W&B's offline files need the package 'wandb'", where="--runs", fix="pip install 'initlab[trackers]'"
        ) from error
    for file in files:
        yield _wandb_run(file, root, kind)


def _wandb_run(file: Path, root: Path, kind: Any) -> ForeignRun:
    config: dict[str, str] = {}
    name, ended, values = file.relative_to(root).as_posix() if file != root else file.name, "it did not end", []
    for data in log_records(file):
        record = _parsed(kind(), data, file)
        which = record.WhichOneof("record_type")
        if which == "run":
            config |= _config(record.run.config.update)
        elif which == "config":
            config |= _config(record.config.update)
        elif which == "exit":
            ended = "" if record.exit.exit_code == 0 else f"it failed with code {record.exit.exit_code}"
        elif which == "history":
            step = int(record.history.step.num)
            for item in record.history.item:
                key, number = _key(item), _number(item.value_json)
                if number is not None and not key.startswith("_"):
                    values.append((key, number, step))
    run = by_config(name, config, unfinished=ended)
    for key, number, step in values:
        run.note(as_text(key), number, step)
    return run


def _key(item: Any) -> str:
    return ".".join(item.nested_key) or str(item.key)


def _number(text: str) -> float | None:
    """A number of JSON, in which W&B writes NaN and infinities as words; None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        value = float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _config(items: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in items:
        key = _key(item)
        if not key.startswith("_"):
            try:
                found |= flat(key, json.loads(item.value_json))
            except (ValueError, RecursionError):
                found[key] = item.value_json
    return found


def flat(key: str, value: object) -> dict[str, str]:
    """A value of a configuration as text, those within a table under ``key.name``.

    Example:
        >>> flat("opt", {"name": "adam", "betas": [0.9, 0.95]})
        {'opt.name': 'adam', 'opt.betas': '[0.9, 0.95]'}
    """
    if isinstance(value, Mapping) and value:
        return {name: text for part, inner in value.items() for name, text in flat(f"{key}.{part}", inner).items()}
    return {key: value if isinstance(value, str) else json.dumps(value)}


def log_records(file: Path) -> Iterator[bytes]:
    """The records of a log in LevelDB's format behind W&B's head; one that the writer did not end is left out.

    Raises:
        DataError: The head is another's, a checksum does not hold, or a record is larger than any run's.
    """
    with _opened(file) as (source, size):
        if source.read(_HEAD) != _WANDB_HEAD:
            raise DataError("it is no offline file of W&B that is known", where=str(file), fix="wandb sync, and export")
        parts: list[bytes] = []
        while (at := source.tell()) + _HEAD <= size:
            if (left := _BLOCK - at % _BLOCK) < _HEAD:
                source.seek(left, 1)
                continue
            crc, length, kind = struct.unpack("<IHB", source.read(_HEAD))
            if source.tell() + length > size:
                return
            data = source.read(length)
            if zlib.crc32(data, zlib.crc32(bytes([kind]))) != crc or not _WHOLE <= kind <= _LAST:
                raise DataError(f"the record at byte {at} is damaged", where=str(file), fix="wandb sync, and export")
            parts = [data] if kind in (_WHOLE, _FIRST) else [*parts, data]
            if sum(map(len, parts)) > LARGEST_RECORD:
                raise DataError(f"the record at byte {at} is too large", where=str(file), fix="wandb sync, and export")
            if kind in (_WHOLE, _LAST):
                yield b"".join(parts)
                parts = []


def _parsed(message: Any, data: bytes, file: Path) -> Any:
    try:
        message.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError lies in google.protobuf, which no stub of ours types
        if type(error).__name__ != "DecodeError":
            raise
        raise DataError("a record holds no message of that format", where=str(file), fix="write it anew") from error
    return message


@contextmanager
def _opened(file: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A plain file and its size, once it is known to be no larger than anything that is read."""
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise DataError(f"it holds {size:,} bytes, more than {MOST_BYTES:,}", where=str(file), fix="export less")
    with open(file, "rb") as source:
        yield source, size
