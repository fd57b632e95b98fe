"""A table of runs, CSV or Parquet, long (a row a value) or wide (a column a metric)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from initlab.core.errors import DataError, MissingDependencyError, OptionError, as_text
from initlab.core.files import read_file
from initlab.study.elsewhere.runs import MOST_BYTES, MOST_RUNS, SEED_KEYS, ForeignRun

MOST_ROWS, _MOST_CSV, _BATCH = 20_000_000, 1 << 27, 10_000
_STEPS = ("step", "epoch", "global_step")
_SEPARATORS = ",;\t"
Rows = Iterator[tuple[int, Sequence[str]]]


def table_runs(file: Path, *, by: Sequence[str] = ()) -> list[ForeignRun]:
    """The runs of a table.

    Args:
        file: Columns scheme, seed, metric, value and perhaps step; or scheme, seed and a column a metric. Without a
            seed each row is a run.
        by: Columns that make a configuration, in place of ``scheme``.

    Raises:
        DataError: A value is no number, a run has two values at one step, or the file is too large.
        OptionError: A column is missing.
    """
    header, rows = _parquet(file) if file.suffix == ".parquet" else _csv(file)
    names = [name.strip().lower() for name in header]
    configs = [_place(names, header, name, file) for name in by] or [_place(names, header, "scheme", file)]
    seed = next((names.index(key) for key in SEED_KEYS if key in names), None)
    step = next((names.index(key) for key in _STEPS if key in names), None)
    if seed is None and step is not None:
        raise OptionError("there are steps and no seed, which would tell runs apart", where=str(file), fix="add a seed")
    is_long = {"metric", "value"} <= set(names)
    if seed is None and is_long:
        raise OptionError("a long table tells runs apart by a seed", where=str(file), fix="add the column seed")
    spent = {*configs, *(k for k in (seed, step) if k is not None)}
    wide = [] if is_long else [k for k in range(len(names)) if k not in spent and names[k]]
    label, cell = (names.index("metric"), names.index("value")) if is_long else (-1, -1)
    found: dict[tuple[str, ...], ForeignRun] = {}
    for line, row in rows:
        key = tuple(row[k].strip() for k in configs) + ((row[seed].strip(),) if seed is not None else (str(line),))
        run = found.get(key)
        if run is None:
            if len(found) >= MOST_RUNS:
                raise DataError(f"more than {MOST_RUNS:,} runs", where=str(file), fix="name a part of them")
            config = {as_text(header[k]): as_text(row[k].strip()) for k in configs}
            run = found[key] = ForeignRun(
                f"{file.name}, line {line}", config, as_text(key[-1]) if seed is not None else ""
            )
        at = 0 if step is None else _whole(row[step], line, file)
        values = [(row[label].strip(), row[cell])] if is_long else [(header[k].strip(), row[k]) for k in wide]
        for metric, text in values:
            number = _value(text, line, file, strict=is_long)
            if number is None:
                continue
            known = run.metrics.get(as_text(metric))
            if known is not None and known.step == at:
                what = f"line {line} gives {as_text(metric)} of {as_text(', '.join(key))} a second time"
                raise DataError(what, where=str(file), fix="a run has one value a step: tell runs apart by a seed")
            run.note(as_text(metric), number, at)
    return list(found.values())


def _place(names: Sequence[str], header: Sequence[str], name: str, file: Path) -> int:
    if name.lower() not in names:
        known = ", ".join(header[:12]) + (" ..." if len(header) > 12 else "")
        raise OptionError(
            f"there is no column '{name}', but {known}", where=str(file), fix="name what makes a configuration: --by"
        )
    return names.index(name.lower())


def _whole(text: str, line: int, file: Path) -> int:
    try:
        return int(float(text))
    except (ValueError, OverflowError) as error:
        raise DataError(f"line {line}: the step '{as_text(text)}' is no number", where=str(file)) from error


def _value(text: str, line: int, file: Path, *, strict: bool) -> float | None:
    """The number of a cell; None for an empty one, and for words in a wide table, which are no metric."""
    text = text.strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        if not strict:
            return None
        raise DataError(f"line {line}: the value '{as_text(text[:40])}' is no number", where=str(file)) from error


def _csv(file: Path) -> tuple[list[str], Rows]:
    try:
        raw = read_file(file, most=_MOST_CSV)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"it cannot be read: {error.strerror}", where=str(file), fix="export less") from error
    except UnicodeDecodeError as error:
        raise DataError(f"byte {error.start} is not UTF-8", where=str(file), fix="save it as UTF-8") from error
    first = text[: text.find("\n")] if "\n" in text else text
    sign = max(_SEPARATORS, key=first.count)
    rows = _csv_rows(text, sign, file)
    return next((list(row) for _, row in rows), []), rows


def _csv_rows(text: str, sign: str, file: Path) -> Rows:
    reader, width = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True), 0
    try:
        for row in reader:
            width = width or len(row)
            if row and len(row) != width:
                what = f"line {reader.line_num} has {len(row)} fields, the first has {width}"
                raise DataError(what, where=str(file), fix="mend that line")
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} cannot be read ({error})", where=str(file)) from error


def _parquet(file: Path) -> tuple[list[str], Rows]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("Parquet needs the package 'pyarrow'", fix="pip install 'initlab[lab]'") from error
    try:
        source = pyarrow.parquet.ParquetFile(file)
        told = source.metadata
        size = sum(told.row_group(k).total_byte_size for k in range(told.num_row_groups))
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError("it is no Parquet file that can be read", where=str(file), fix="write it anew") from error
    if told.num_rows > MOST_ROWS or not 0 <= size <= MOST_BYTES:
        what = f"it unpacks to {told.num_rows:,} rows and {size:,} bytes"
        raise DataError(what, where=str(file), fix="keep the last step of each run")
    return list(told.schema.to_arrow_schema().names), _parquet_rows(source, file)


def _parquet_rows(source: object, file: Path) -> Rows:
    import pyarrow

    line = 0
    try:
        for batch in source.iter_batches(batch_size=_BATCH):  # type: ignore[attr-defined]
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                line += 1
                yield line, ["" if cell is None else str(cell) for cell in row]
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"it is damaged after row {line}", where=str(file), fix="write it anew") from error
