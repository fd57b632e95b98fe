"""A user's own table of numbers, a CSV file, as a data set."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from initlab.core.errors import DataError, OptionError, UnknownNameError
from initlab.core.training.dataset import Dataset, Kind
from initlab.tasks.arrays import from_arrays
from initlab.tasks.files import read_bytes

SNIFFED, FEWEST_COUNTED, MOST_CLASSES = 20, 5, 20
"""Lines that the separator is told from; rows from which on a count is no chance; whole numbers that may be classes."""


@dataclass(frozen=True)
class _Row:
    line: int
    cells: list[str]


def from_csv(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    test_size: float = 0.2,
    name: str | None = None,
    seed: int = 42,
    kind: Kind | None = "classification",
    standardize: bool = True,
    delimiter: str | None = None,
) -> Dataset:
    r"""A data set of a table whose columns but one are numbers, standardised over the training rows.

    The first line holds the names if ``target`` is named, or if no field of it but the last reads as a number; the name
    of the first may be empty, as pandas writes its index. Columns that count the rows, 0 or 1 to the last, are
    identifiers and are dropped. Blank lines are skipped; the file may be gzipped. ``notes`` of the data set says how
    the file was read and what was dropped.

    Args:
        path: The file, UTF-8.
        target: Name of the column to predict; None for the last.
        test_size: Share of the test set, between 0 and 1.
        name: Its name in tables and reports; None for the file's own.
        seed: Of the shuffling.
        kind: Classes (whole numbers or text), or numbers to predict; None: as the column looks, numbers if one of them
            is a fraction, or if they are more than 20 different ones.
        standardize: Bring each column to mean 0 and variance 1 over the training rows.
        delimiter: What stands between two fields; None: a comma, a semicolon or a tab, as the first lines look.

    Returns:
        The data set, split as ``shuffled_split`` says.

    Raises:
        DataError: The file is missing or torn: the message names the line, counted from 1.
        UnknownNameError: No column is called ``target``.
        OptionError: An option is out of its range.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "fruit.csv")
        ...     with open(path, "w") as file:
        ...         _ = file.write("weight,fruit\n1,plum\n3,plum\n9,fig\n1,plum\n3,fig\n")
        ...     fruit = from_csv(path)
        >>> fruit.class_names, fruit.x_train.shape, fruit.y_test.tolist()
        (('fig', 'plum'), (4, 1), [1])
    """
    file = Path(path).expanduser()
    text = _text(file)
    delimiter = _delimiter(text) if delimiter is None else delimiter
    header, rows = _header(list(_rows(file, text, delimiter)), named=target is not None)
    if not rows or len(header) < 2:
        raise DataError("the table needs a row of data and two columns or more", where=str(file))
    if target is not None and target not in header:
        raise UnknownNameError(f"column of {file.name}", target, header)
    column = header.index(target) if target is not None else len(header) - 1
    labels = [row.cells.pop(column).strip() for row in rows]
    del header[column]
    dropped = _drop_counters(header, rows)
    if not header:
        raise DataError(
            "every column but the target counts the rows", where=str(file), fix="give a column to learn from"
        )
    kind = kind or _kind(labels)
    dataset = from_arrays(
        np.array([_numbers(row, header, file) for row in rows]),
        _labels(labels, rows, kind, file),
        test_size=test_size,
        name=name or file.name.split(".")[0],
        seed=seed,
        kind=kind,
        standardize=standardize,
    )
    told = [f"Fields are separated by {_NAMES.get(delimiter, repr(delimiter))}."]
    told += (
        [f"Dropped, since it counts the rows: {', '.join(name or 'the first column' for name in dropped)}."]
        if dropped
        else []
    )
    return replace(dataset, source=f"{file.name}, a table of {len(rows)} rows", notes=" ".join(told))


_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}


def _text(file: Path) -> str:
    raw = read_bytes(file)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"byte {error.start} is not UTF-8", where=str(file), fix="save the table as UTF-8") from error


def _delimiter(text: str) -> str:
    """The separator that gives the first lines one number of fields, or else the first line most; else a comma."""
    lines = [line for line in text.splitlines()[:SNIFFED] if line.strip()]
    found = {}
    for sign in _NAMES:
        try:
            widths = [len(cells) for cells in csv.reader(lines, delimiter=sign)]
        except csv.Error:
            continue
        first = max(widths[:1], default=0)
        found[sign] = (first > 1 and len(set(widths)) == 1, first)
    return max(found, key=lambda sign: found[sign], default=",")


def _drop_counters(header: list[str], rows: list[_Row]) -> list[str]:
    """Take the columns away that count the rows from 0 or 1; their names."""
    counts = [[str(i + start) for i in range(len(rows))] for start in (0, 1)]
    found = [k for k in range(len(header)) if [row.cells[k].strip() for row in rows] in counts]
    found = found if len(rows) >= FEWEST_COUNTED else []
    names = [header[k] for k in found]
    for k in reversed(found):
        del header[k]
        for row in rows:
            del row.cells[k]
    return names


def _rows(file: Path, text: str, delimiter: str) -> Iterator[_Row]:
    if len(delimiter) != 1:
        raise OptionError(f"the delimiter must be one character, got {delimiter!r}")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    width = 0
    try:
        for cells in reader:
            if not cells:
                continue
            width = width or len(cells)
            if len(cells) != width:
                raise DataError(
                    f"row {reader.line_num} has {len(cells)} fields, the first has {width}",
                    where=str(file),
                    fix="mend that row; the file may be cut off",
                )
            yield _Row(reader.line_num, cells)
    except csv.Error as error:
        raise DataError(f"row {reader.line_num} cannot be read ({error})", where=str(file)) from error


def _header(rows: list[_Row], *, named: bool) -> tuple[list[str], list[_Row]]:
    first = [cell.strip() for cell in rows[0].cells] if rows else []
    if named or (
        any(first[:-1]) and all(bool(cell or k == 0) and not _is_number(cell) for k, cell in enumerate(first[:-1]))
    ):
        return first, rows[1:]
    return [f"column {i}" for i in range(1, len(first) + 1)], rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(row: _Row, features: list[str], file: Path) -> list[float]:
    for feature, cell in zip(features, row.cells, strict=True):
        if not _is_number(cell) or not math.isfinite(float(cell)):
            found = f"'{cell}' is no finite number" if cell.strip() else "the field is empty"
            raise DataError(f"row {row.line}, {feature}: {found}", where=str(file), fix="mend or drop that row")
    return [float(cell) for cell in row.cells]


def _kind(labels: list[str]) -> Kind:
    numbers = [float(label) for label in labels if _is_number(label)]
    fractions = any(not number.is_integer() for number in numbers)
    many = len(set(numbers)) > MOST_CLASSES
    return "regression" if len(numbers) == len(labels) and (fractions or many) else "classification"


def _labels(labels: list[str], rows: list[_Row], kind: Kind, file: Path) -> ArrayLike:
    for label, row in zip(labels, rows, strict=True):
        if not label or (kind == "regression" and not _is_number(label)):
            found = f"'{label}' is no number" if label else "the field is empty"
            raise DataError(f"row {row.line}, target: {found}", where=str(file), fix="mend or drop that row")
    return [float(label) for label in labels] if all(map(_is_number, labels)) else labels
