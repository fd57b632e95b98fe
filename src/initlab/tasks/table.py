"""A user's own table, a CSV file, as a data set."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from initlab.core.errors import DataError, OptionError, UnknownNameError
from initlab.core.training.dataset import Dataset, Kind
from initlab.tasks.arrays import digest_of, targets_of
from initlab.tasks.columns import Column, is_number, read_columns
from initlab.tasks.files import read_bytes
from initlab.tasks.split import grouped_split, standardized

NO_LABEL = frozenset({"", "na", "n/a", "nan", "null", "?", "<na>"})
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
    r"""A data set of a table of numbers and words, with all that is fitted taken from the training rows.

    The first line holds the names if ``target`` is named, or if no field of it but the last reads as a number or comes
    again below; the name of the first may be empty, as pandas writes its index. Blank lines are skipped; the file may
    be gzipped. Columns that count the rows, 0 or 1 to the last, are identifiers and are dropped, as are words of which
    no two are the same.

    A column of numbers stays one, of words becomes one of 0 and 1 for each level, with the rare ones as "other". Gaps
    are filled by the median or the commonest level, and marked by a column of 0 and 1. Rows that are copies of each
    other are on one side of a split. ``notes`` of the data set says all of it.

    Args:
        path: The file, UTF-8.
        target: Name of the column to predict; None for the last.
        test_size: Share of the test set, between 0 and 1.
        name: Its name in tables and reports; None for the file's own.
        seed: Of the shuffling.
        kind: Classes (whole numbers or text), or numbers to predict; None: as the column looks, numbers if one of them
            is a fraction, or if they are more than 20 different ones.
        standardize: Bring numbers, and a target of numbers, to mean 0 and variance 1 over the training rows.
        delimiter: What stands between two fields; None: a comma, a semicolon or a tab, as the first lines look.

    Returns:
        The data set, split as ``grouped_split`` says; every split has the same columns.

    Raises:
        DataError: The file is missing or torn, or a column holds dates, numbers with signs, or a word among numbers:
            the message names the column, or the line, counted from 1.
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
    table = _table(file, target, delimiter)
    kind = kind or _kind(table.labels)
    targets, class_names = targets_of(_labels(table.labels, table.lines, kind, file), kind)
    groups, copies = _copies([*table.cells, table.labels])
    train, test = grouped_split(groups, test_size=test_size, seed=seed)
    parts = (
        *_inputs(table.columns, train, test, standardize=standardize),
        *_outputs(targets, train, test, standardize=standardize),
    )
    told = [*table.notes]
    if copies:
        told.append(f"Copies of other rows, on the same side of the split: {copies}.")
    if standardize and kind == "regression":
        told.append("The target is standardised over the training rows: a test loss of 1 is that of their mean.")
    ordered = (parts[0], parts[2], parts[1], parts[3])
    return Dataset(
        name or file.name.split(".")[0],
        *ordered,
        kind=kind,
        class_names=class_names,
        source=f"{file.name}, a table of {len(groups)} rows",
        digest=digest_of(ordered, class_names),
        preprocess="standardise" if standardize else "none",
        notes=" ".join(told),
    )


@dataclass(frozen=True)
class _Table:
    """A file read: the columns to learn from, their cells, the labels, each row's line, and what is to be said."""

    columns: tuple[Column, ...]
    cells: list[list[str]]
    labels: list[str]
    lines: list[int]
    notes: tuple[str, ...]


def _table(file: Path, target: str | None, delimiter: str | None) -> _Table:
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
    cells = [[row.cells[k].strip() for row in rows] for k in range(len(header))]
    lines = [row.line for row in rows]
    found = read_columns(header, cells, lines, delimiter=delimiter, where=str(file))
    if not found.columns:
        raise DataError("no column but the target can be learned from", where=str(file), fix=" ".join(found.notes))
    told = [f"Fields are separated by {_NAMES.get(delimiter, repr(delimiter))}."]
    if dropped:
        told.append(f"Dropped, since it counts the rows: {', '.join(name or 'the first column' for name in dropped)}.")
    kept = [cells[place] for place in found.places]
    return _Table(found.columns, kept, labels, lines, (*told, *found.notes))


def _inputs(
    columns: Sequence[Column], train: NDArray[np.intp], test: NDArray[np.intp], *, standardize: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """All columns as numbers, (rows, places), of both parts."""
    x = np.hstack([column.fitted(train, standardize=standardize) for column in columns]).astype(np.float32)
    return x[train], x[test]


def _outputs(
    targets: NDArray[np.int32] | NDArray[np.float32],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    *,
    standardize: bool,
) -> tuple[NDArray[np.int32] | NDArray[np.float32], NDArray[np.int32] | NDArray[np.float32]]:
    if standardize and targets.ndim == 2:
        return standardized(targets[train].astype(np.float64), targets[test].astype(np.float64))
    return targets[train], targets[test]


def _copies(columns: Sequence[Sequence[str]]) -> tuple[NDArray[np.intp], int]:
    """For each row the first row that is equal to it, and how many are copies of an earlier one."""
    first: dict[tuple[str, ...], int] = {}
    groups = np.array([first.setdefault(row, i) for i, row in enumerate(zip(*columns, strict=True))], np.intp)
    return groups, len(groups) - len(first)


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
    are_words = any(first[:-1]) and all(
        bool(cell or k == 0) and not is_number(cell) for k, cell in enumerate(first[:-1])
    )
    come_again = any(cell and cell in {row.cells[k].strip() for row in rows[1:]} for k, cell in enumerate(first[:-1]))
    if named or (are_words and not come_again):
        return first, rows[1:]
    return [f"column {i}" for i in range(1, len(first) + 1)], rows


def _kind(labels: list[str]) -> Kind:
    numbers = [float(label) for label in labels if is_number(label)]
    fractions = any(not number.is_integer() for number in numbers)
    many = len(set(numbers)) > MOST_CLASSES
    return "regression" if len(numbers) == len(labels) and (fractions or many) else "classification"


def _labels(labels: list[str], lines: Sequence[int], kind: Kind, file: Path) -> ArrayLike:
    for label, line in zip(labels, lines, strict=True):
        is_missing = label.lower() in NO_LABEL
        if is_missing or (kind == "regression" and not is_number(label)):
            found = f"'{label}' is no {'label' if is_missing else 'number'}" if label else "the field is empty"
            raise DataError(f"row {line}, target: {found}", where=str(file), fix="mend or drop that row")
    if all(map(is_number, labels)):
        return [float(label) for label in labels]
    different = len({*labels})
    if different > MOST_CLASSES and different > len(labels) / 2:
        told = f"the target has {different} different words in {len(labels)} rows"
        raise DataError(told, where=str(file), fix="name the column to be told with --target, or mend its numbers")
    return labels
