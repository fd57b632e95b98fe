"""The learning curves of a study as one Arrow table, and as ``curves.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
    epochs = [epoch for n in lengths for epoch in (range(n) if n else [None])]
    columns = {
        "study": pa.array([study] * int(rows.sum()), pa.string()),
        "scheme": pa.array(np.repeat([r.spec.scheme for r in records], rows).tolist(), pa.string()),
        "seed": pa.array(np.repeat([r.spec.seed for r in records], rows), pa.int64()),
        "run_id": pa.array(np.repeat([r.run_id for r in records], rows).tolist(), pa.string()),
        "status": pa.array(np.repeat([r.status for r in records], rows).tolist(), pa.string()),
        "epoch": pa.array(epochs, pa.int32()),
        "learning_rate": pa.array(np.repeat([r.spec.optimizer.learning_rate for r in records], rows), pa.float64()),
    }
    for name in _CURVES:
        parts = [r.curves.get(name, np.full(n, np.nan)) for r, n in zip(records, rows.tolist(), strict=True)]
        columns[name] = pa.array(np.concatenate([np.zeros(0), *parts]), pa.float64())
    return pa.table(columns)


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
