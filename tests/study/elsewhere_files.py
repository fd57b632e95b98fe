"""The same runs as each tool would have written them."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import pyarrow
import pyarrow.parquet

# Scheme and seed to the course of an accuracy.
Courses = Mapping[tuple[str, int], list[float]]


def long_csv(folder: Path, courses: Courses) -> Path:
    lines = ["scheme;seed;metric;value;step"]
    for (scheme, seed), course in courses.items():
        lines += [f'"{scheme}";{seed};accuracy;{value!r};{step}' for step, value in enumerate(course)]
    return _written(folder / "long.csv", "\n".join(lines))


def wide_csv(folder: Path, courses: Courses) -> Path:
    rows = [f'"{scheme}",{seed},{course[-1]!r}' for (scheme, seed), course in courses.items()]
    return _written(folder / "wide.csv", "\n".join(["scheme,seed,accuracy", *rows]))


def parquet(folder: Path, courses: Courses) -> Path:
    rows = [(scheme, seed, step, v) for (scheme, seed), course in courses.items() for step, v in enumerate(course)]
    columns = dict(zip(("scheme", "seed", "step", "accuracy"), map(list, zip(*rows, strict=True)), strict=True))
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "runs.parquet")
    return folder / "runs.parquet"


def tensorboard(folder: Path, courses: Courses) -> Path:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.record_writer import RecordWriter

    for (scheme, seed), course in courses.items():
        place = folder / f"{scheme}-seed{seed}"
        place.mkdir()
        writer = RecordWriter(str(place / "events.out.tfevents.17000.host"))
        writer.write(Event(wall_time=17000.0, file_version="brain.Event:2").SerializeToString())
        for step, value in enumerate(course):
            summary = Summary(value=[Summary.Value(tag="accuracy", simple_value=value)])
            writer.write(Event(wall_time=17000.0, step=step, summary=summary).SerializeToString())
        writer.close()
    return folder


def wandb(folder: Path, courses: Courses) -> Path:
    for (scheme, seed), course in courses.items():
        place = folder / f"offline-run-{scheme}-{seed}"
        place.mkdir()
        (place / "run-x.wandb").write_bytes(wandb_bytes({"scheme": scheme, "seed": seed}, course))
    return folder


def wandb_bytes(config: Mapping[str, object], course: list[float], *, code: int | None = 0) -> bytes:
    """The file of a run: LevelDB's log of protobuf messages, as wandb 0.31 writes it."""
    kind = import_module("wandb.proto.wandb_internal_pb2").Record
    start, records = kind(), []
    for key, value in config.items():
        start.run.config.update.add(key=key, value_json=json.dumps(value))
    start.run.host = "h" * 40_000  # a record that is longer than a block
    records.append(start)
    for step, value in enumerate(course):
        record = kind()
        record.history.step.num = step
        record.history.item.add(nested_key=["accuracy"], value_json=json.dumps(value))
        record.history.item.add(nested_key=["_runtime"], value_json="1.5")
        records.append(record)
    if code is not None:
        end = kind()
        end.exit.exit_code = code
        records.append(end)
    return b":W&B\xe1\xbe\x00" + leveldb_log([record.SerializeToString() for record in records], at=7)


def leveldb_log(records: list[bytes], *, at: int) -> bytes:
    out = b""
    for record in records:
        first = True
        while first or record:
            left = 32_768 - (at + len(out)) % 32_768
            if left < 7:
                out += bytes(left)
                continue
            part, record = record[: left - 7], record[left - 7 :]
            kind = {(True, False): 1, (True, True): 2, (False, True): 3, (False, False): 4}[first, bool(record)]
            out += struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part
            first = False
    return out


def mlflow_files(folder: Path, courses: Courses) -> Path:
    for number, ((scheme, seed), course) in enumerate(courses.items()):
        run = folder / "0" / f"{number:032x}"
        _written(run / "meta.yaml", f"run_id: {number:032x}\nlifecycle_stage: active\nstatus: 3\n")
        _written(run / "params" / "scheme", scheme)
        _written(run / "params" / "seed", str(seed))
        _written(run / "metrics" / "accuracy", "".join(f"17000 {v!r} {k}\n" for k, v in enumerate(course)))
    _written(folder / "0" / "meta.yaml", "name: Default\n")
    return folder


def mlflow_base(folder: Path, courses: Courses) -> Path:
    with sqlite3.connect(folder / "mlflow.db") as base:
        base.executescript(
            "CREATE TABLE runs (run_uuid, name, status, lifecycle_stage);"
            "CREATE TABLE params (key, value, run_uuid);"
            "CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan);"
        )
        for number, ((scheme, seed), course) in enumerate(courses.items()):
            base.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED', 'active')", (number, f"run {number}"))
            base.execute("INSERT INTO params VALUES ('scheme', ?, ?), ('seed', ?, ?)", (scheme, number, seed, number))
            for step, value in enumerate(course):
                base.execute("INSERT INTO metrics VALUES ('accuracy', ?, 1, ?, ?, 0)", (value, number, step))
    base.close()
    return folder / "mlflow.db"


def _written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


WRITERS: dict[str, Callable[[Path, Courses], Path]] = {
    "long CSV": long_csv,
    "wide CSV": wide_csv,
    "Parquet": parquet,
    "TensorBoard": tensorboard,
    "W&B": wandb,
    "MLflow's files": mlflow_files,
    "MLflow's database": mlflow_base,
}
