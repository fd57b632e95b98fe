"""MLflow's stores, read as they lie: the plain files of its file store, or the tables of its SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from initlab.core.errors import DataError, as_text
from initlab.core.files import read_file
from initlab.study.elsewhere.runs import MOST_BYTES, ForeignRun, by_config, files_under

_MOST_TEXT, _MOST_METRIC = 1 << 20, 1 << 28
_FINISHED = {"3": "", "FINISHED": ""}
_STATUS = {"1": "it still runs", "2": "it never started", "4": "it failed", "5": "it was killed"} | {
    "RUNNING": "it still runs",
    "SCHEDULED": "it never started",
    "FAILED": "it failed",
    "KILLED": "it was killed",
}


def is_run_folder(meta: Path) -> bool:
    """Whether a ``meta.yaml`` is that of a run, by the folders beside it."""
    return (meta.parent / "params").is_dir() or (meta.parent / "metrics").is_dir()


def file_runs(metas: Sequence[Path], root: Path) -> Iterator[ForeignRun]:
    """A run a folder of the file store; deleted ones are none.

    Raises:
        DataError: A line of a metric is not ``timestamp value step``.
    """
    for meta in metas:
        told = _plain_yaml(meta)
        if told.get("lifecycle_stage", "active") != "active":
            continue
        params = {_name(file, meta.parent / "params"): _text(file) for file in _files(meta.parent / "params")}
        status = told.get("status", "")
        run = by_config(
            meta.parent.relative_to(root).as_posix(), params, unfinished="" if status in _FINISHED else _why(status)
        )
        for file in _files(meta.parent / "metrics"):
            name = as_text(_name(file, meta.parent / "metrics"))
            for number, line in enumerate(_text(file, most=_MOST_METRIC).splitlines(), 1):
                parts = line.split()
                try:
                    run.note(name, float(parts[1]), int(parts[2]) if len(parts) > 2 else 0)
                except (ValueError, IndexError) as error:
                    what = f"line {number} is not 'timestamp value step'"
                    raise DataError(what, where=str(file), fix="log the run again") from error
        yield run


def _why(status: str) -> str:
    return _STATUS.get(status, f"its status is '{as_text(status)}'")


def _plain_yaml(file: Path) -> dict[str, str]:
    """The pairs ``key: value`` of a file that MLflow wrote: it has no other lines."""
    pairs = (line.partition(":") for line in _text(file).splitlines())
    return {key.strip(): value.strip().strip("'\"") for key, colon, value in pairs if colon}


def _files(folder: Path) -> list[Path]:
    return list(files_under(folder)) if folder.is_dir() else []


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _text(file: Path, *, most: int = _MOST_TEXT) -> str:
    try:
        return read_file(file, most=most).decode("utf-8", "replace").strip()
    except OSError as error:
        raise DataError(f"it cannot be read: {error.strerror}", where=str(file)) from error


def sqlite_runs(file: Path) -> Iterator[ForeignRun]:
    """A run a row of the table ``runs``; the file is opened to be read alone.

    Raises:
        DataError: It is no database of MLflow, or too large.
    """
    if (size := file.stat().st_size) > MOST_BYTES:
        raise DataError(f"it holds {size:,} bytes, more than {MOST_BYTES:,}", where=str(file), fix="export less")
    address = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as base:
            _check_tables(base, file)
            rows = base.execute("SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active' ORDER BY 1")
            for uuid, name, status in rows.fetchall():
                params = base.execute("SELECT key, value FROM params WHERE run_uuid = ?", (uuid,))
                why = "" if str(status) in _FINISHED else _why(str(status))
                run = by_config(
                    str(name or uuid), {str(key): str(value) for key, value in params.fetchall()}, unfinished=why
                )
                values = "SELECT key, value, is_nan, step FROM metrics WHERE run_uuid = ? ORDER BY step, timestamp"
                for key, value, is_nan, step in base.execute(values, (uuid,)):
                    run.note(as_text(str(key)), float("nan") if is_nan else float(value), int(step))
                yield run
    except (sqlite3.Error, TypeError, ValueError, UnicodeError) as error:
        raise DataError(
            f"it is no store of MLflow: {error}", where=str(file), fix="name mlruns or mlflow.db"
        ) from error


def _check_tables(base: sqlite3.Connection, file: Path) -> None:
    """Nothing, where what is read are tables: a view runs whatever its maker wrote."""
    kinds = dict(base.execute("SELECT name, type FROM sqlite_master WHERE name IN ('runs', 'params', 'metrics')"))
    if set(kinds) != {"runs", "params", "metrics"} or set(kinds.values()) != {"table"}:
        raise DataError("it has no tables of MLflow", where=str(file), fix="name mlruns or mlflow.db")
