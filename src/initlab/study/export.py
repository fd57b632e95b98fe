"""The learning curves of a study as one Arrow table, and as ``curves.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import MissingDependencyError
from initlab.core.files import write_whole
from initlab.study.records import RunRecord

if TYPE_CHECKING:
    import pyarrow

_CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def curves_table(records: Sequence[RunRecord], *, study: str) -> pyarrow.Table:
    """A row a run and epoch, in the order of the records; a run without curves has one row, with null epoch.

    Args:
        records: Runs of one study.
        study: Its name, the first column.

    Returns:
        Columns study, scheme, seed, run_id, status, epoch (0: at initialization), learning_rate, train_loss,
        train_accuracy, test_loss, test_accuracy. A value that a run does not have is NaN.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    pa = _pyarrow()
    lengths = [max((len(values) for values in r.curves.values()), default=0) for r in records]
    rows = np.array([max(1, n) for n in lengths], np.int64)
    epochs = np.concatenate([np.zeros(0, np.int32), *(np.arange(n, dtype=np.int32) for n in rows)])
    there = np.repeat([n > 0 for n in lengths], rows) if lengths else np.zeros(0, bool)
    rates = [r.spec.optimizer.learning_rate for r in records]
    columns = {
        "study": _texts([study] * len(records), rows),
        "scheme": _texts([r.spec.scheme for r in records], rows),
        "seed": _numbers(np.repeat(np.array([r.spec.seed for r in records], np.int64), rows), pa.int64()),
        "run_id": _texts([r.run_id for r in records], rows),
        "status": _texts([r.status for r in records], rows),
        "epoch": _numbers(epochs, pa.int32(), there=there),
        "learning_rate": _numbers(np.repeat(np.array(rates, np.float64), rows), pa.float64()),
    }
    for name in _CURVES:
        parts = [r.curves.get(name, np.full(n, np.nan)) for r, n in zip(records, rows.tolist(), strict=True)]
        columns[name] = _numbers(np.concatenate([np.zeros(0), *parts]), pa.float64())
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def _numbers(
    values: NDArray[np.generic], kind: pyarrow.DataType, *, there: NDArray[np.bool_] | None = None
) -> pyarrow.Array:
    """An Arrow array of these bytes; ``pyarrow.array`` would import pandas, which takes a third of a second."""
    pa = _pyarrow()
    bits = None if there is None else pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(np.ascontiguousarray(values))])


def _texts(words: Sequence[str], rows: NDArray[np.int64]) -> pyarrow.Array:
    """Each word as often as its record has rows."""
    pa = _pyarrow()
    coded = {word: word.encode() for word in words}
    ends = np.cumsum([0, *map(len, coded.values())], dtype=np.int32)
    parts = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(coded.values()))]
    distinct = pa.Array.from_buffers(pa.string(), len(coded), parts)
    places = {word: i for i, word in enumerate(coded)}
    return distinct.take(_numbers(np.repeat(np.array([places[word] for word in words], np.int32), rows), pa.int32()))


def write_curves(records: Sequence[RunRecord], file: Path, *, study: str) -> None:
    """Write ``curves_table`` as Parquet; the file is there whole, or as it was before.

    Args:
        records: Runs of one study.
        file: Where, e.g. ``runs/iris/curves.parquet``; its folder exists.
        study: The study's name.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        ResourceError: It cannot be written.
    """
    table = curves_table(records, study=study)
    import pyarrow.parquet

    buffer = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    write_whole(file, buffer.getvalue().to_pybytes())


def _pyarrow() -> pyarrow:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingDependencyError(
            "the curves' table needs the package 'pyarrow'", fix="pip install 'initlab[lab]'"
        ) from error
    return pyarrow
