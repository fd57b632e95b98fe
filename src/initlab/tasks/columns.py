"""The columns of a table as people have them: numbers, categories, gaps, identifiers, and what is none of these.

What a column is, and how many numbers a row of it becomes, is read off the whole table, so that every split has the
same inputs; every number that is fitted (fillings, levels, scales) comes from the training rows of a split alone.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import DataError
from initlab.tasks.split import standardized

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "nil", "?", "<na>", "-", "--", ".", ".."})
"""Cells that stand for no value, in small letters, as pandas and the UCI tables write them."""
FEWEST_OF_LEVEL, SHARE_OF_LEVEL = 3, 0.01
"""A level of a category with fewer training rows than these is rare, and counts as "other"."""
TYPOS, MOSTLY = 0.05, 0.9
"""Words among numbers, at most: slips of the pen. A column of whose words this share are dates is one of dates."""

_CLOCK = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
_ZONE = r"(\s*(Z|UTC|[+-]\d{2}:?\d{2}))?"
_DAY = r"(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))"
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_NAMED = rf"(\d{{1,2}}[ .-]+{_MONTH}[ ,-]+\d{{2,4}}|{_MONTH} +\d{{1,2}},? +\d{{4}}|{_MONTH}[ -]\d{{4}})"
_DATE = re.compile(rf"({_DAY}|{_NAMED})([T ]+{_CLOCK}{_ZONE})?|{_CLOCK}", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,?\d+")
_SIGNED_NUMBER = re.compile(r"[^\w\s]{0,2}\s*[+-]?(\d{1,3}([ ,.']\d{3})+|\d+)([.,]\d+)?\s*(%|[^\w\s]{1,2})?")


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, NaN where it is missing: a number a row, and where some are missing a mark of it."""

    name: str
    values: NDArray[np.float64]

    def fitted(self, train: NDArray[np.intp], *, standardize: bool) -> NDArray[np.float64]:
        """(rows, 1 or 2): gaps filled by the training rows' median, and 1 where there was one.

        Args:
            train: Training rows.
            standardize: Bring the numbers, not the marks, to mean 0 and variance 1 over the training rows.
        """
        gaps = np.isnan(self.values)
        known = self.values[train][~gaps[train]]
        filled = np.where(gaps, np.median(known) if known.size else 0.0, self.values)[:, None]
        if standardize:
            filled = standardized(filled[train], filled)[1].astype(np.float64)
        return np.hstack([filled, _told(gaps, train)]) if gaps.any() else filled


@dataclass(frozen=True)
class CategoryColumn:
    """A column of words, "" where it is missing: a number for each level, one for "other", and one for a gap."""

    name: str
    words: tuple[str, ...]

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that are common in the whole table, sorted: each has a place in a row of numbers."""
        return _common(self.words)

    @property
    def has_others(self) -> bool:
        """Whether a level of the whole table is rare."""
        return bool({*self.words} - {*self.levels, ""})

    def fitted(self, train: NDArray[np.intp], *, standardize: bool) -> NDArray[np.float64]:
        """(rows, places), 0 or 1: a gap counts as the training rows' commonest level; what is rare in them as "other".

        A place that is the same in all training rows is 0 in all rows: nothing was learned of it.

        Args:
            train: Training rows.
            standardize: Changes nothing.
        """
        seen = [self.words[i] for i in train]
        counts = Counter(word for word in seen if word)
        common = max(sorted(counts), key=lambda word: counts[word], default="")
        words = np.array([word or common for word in self.words])
        active = {*_common(seen)} & {*self.levels}
        places = [
            _told(words == level if level in active else np.zeros(len(words), bool), train) for level in self.levels
        ]
        if self.has_others:
            places.append(_told(~np.isin(words, list(active)), train))
        gaps = np.array([not word for word in self.words])
        return np.hstack([*places, *([_told(gaps, train)] if gaps.any() else [])])


Column = NumberColumn | CategoryColumn


def _told(flags: NDArray[np.bool_], train: NDArray[np.intp]) -> NDArray[np.float64]:
    """(rows, 1): the flags as 0 and 1; all 0 where the training rows do not differ in them."""
    return (flags & (flags[train].any() and not flags[train].all())).astype(np.float64)[:, None]


def _common(words: Sequence[str]) -> tuple[str, ...]:
    least = max(FEWEST_OF_LEVEL, math.ceil(SHARE_OF_LEVEL * len(words)))
    return tuple(sorted(word for word, count in Counter(words).items() if word and count >= least))


@dataclass(frozen=True)
class Read:
    """The columns that can be learned from, and what is to be said of the others.

    Attributes:
        columns: In the table's order.
        places: Of each its place in the table, from 0.
        notes: Sentences.
    """

    columns: tuple[Column, ...]
    places: tuple[int, ...]
    notes: tuple[str, ...]


def read_columns(
    names: Sequence[str], cells: Sequence[Sequence[str]], lines: Sequence[int], *, delimiter: str, where: str
) -> Read:
    """The columns of a table, each by its cells.

    A column is one of numbers where all of its cells but the missing ones are; of dates, which are refused, where nine
    tenths of its words are; else one of words. Words of which no two are the same are an identifier, and dropped, as is
    a column of no value, of one word, or of rare words alone.

    Args:
        names: Of the columns.
        cells: (columns, rows), texts without blanks around them.
        lines: The line of each row, for errors.
        delimiter: Between fields; where it is no comma, a comma may be a decimal one.
        where: The file, for errors.

    Raises:
        DataError: A column of dates or of numbers with signs, or a slip of the pen in one of numbers.

    Example:
        >>> cells = [["3", "", "4"], ["S", "S", "C"]]
        >>> found = read_columns(["age", "port"], cells, [2, 3, 4], delimiter=",", where="table.csv")
        >>> found.columns[0].fitted(np.array([0, 1, 2]), standardize=False).tolist()
        [[3.0, 0.0], [3.5, 1.0], [4.0, 0.0]]
    """
    columns: dict[int, Column] = {}
    said: dict[str, list[str]] = {key: [] for key in ("comma", "identifier", "rare", "constant", "words", "filled")}
    for place, (title, column) in enumerate(zip(names, cells, strict=True)):
        name = title or f"column {place + 1}"
        told = ["" if cell.lower() in MISSING else cell for cell in column]
        known = [cell for cell in told if cell]
        if not known or (len({*told}) == 1 and not is_number(known[0])):
            said["constant"].append(name)
            continue
        has_commas = delimiter != "," and all(_DECIMAL_COMMA.fullmatch(cell) for cell in known)
        if has_commas and any("," in cell for cell in known):
            said["comma"].append(name)
            told = [cell.replace(",", ".") for cell in told]
        read = _column(name, told, lines, where)
        if read is None:
            said["identifier"].append(name)
            continue
        if isinstance(read, CategoryColumn) and not read.levels and "" not in told:
            said["rare"].append(name)
            continue
        columns[place] = read
        if isinstance(read, CategoryColumn):
            more = ' and "other"' if read.has_others else ""
            said["words"].append(f"{name} ({len(read.levels)} levels{more})")
        if "" in told:
            said["filled"].append(f"{name} ({told.count('')})")
    return Read(tuple(columns.values()), tuple(columns), _notes(said))


def _column(name: str, cells: list[str], lines: Sequence[int], where: str) -> Column | None:
    """The column of these cells, "" where missing; None: an identifier."""
    known = [cell for cell in cells if cell]
    words = [cell for cell in known if not is_number(cell)]
    if not words:
        return NumberColumn(name, _numbers(name, cells, lines, where))
    for pattern, what, fix in (
        (_DATE, "a date or time", "give what matters of it as numbers (year, month, days since), or drop the column"),
        (_SIGNED_NUMBER, "a number with signs", "write it with digits and a point alone"),
    ):
        alike = [cell for cell in words if pattern.fullmatch(cell)]
        if len(alike) >= MOSTLY * len(words):
            raise DataError(f"column {name}: '{alike[0]}' is {what}", where=where, fix=fix)
    if len(words) <= max(1, TYPOS * len(known)) and len(known) > len(words):
        line = lines[cells.index(words[0])]
        told = f"row {line}, {name}: '{words[0]}' is no finite number"
        raise DataError(told, where=where, fix="mend that cell, or leave it empty if it is not known")
    if len({*known}) == len(known) and len(known) > FEWEST_OF_LEVEL:
        return None
    return CategoryColumn(name, tuple(cells))


def _numbers(name: str, cells: Sequence[str], lines: Sequence[int], where: str) -> NDArray[np.float64]:
    values = np.array([float(cell) if cell else math.nan for cell in cells])
    with np.errstate(over="ignore"):
        torn = ~np.isfinite(values.astype(np.float32)) & np.array([bool(cell) for cell in cells])
    if torn.any():
        row = int(np.argmax(torn))
        told = f"row {lines[row]}, {name}: '{cells[row]}' is no finite number"
        raise DataError(told, where=where, fix="mend that cell, or leave it empty if it is not known")
    return values


def _notes(said: dict[str, list[str]]) -> tuple[str, ...]:
    sentences: dict[str, Callable[[str], str]] = {
        "comma": lambda them: f"Decimal commas: {them}.",
        "identifier": lambda them: f"Dropped, since every row has another text: {them}.",
        "rare": lambda them: f"Dropped, since each of its words is rare: {them}.",
        "constant": lambda them: f"Dropped, since it has no two values: {them}.",
        "words": lambda them: f"Categories, 0 or 1 a level: {them}.",
        "filled": lambda them: f"Gaps filled by the training rows' median or mode, and marked: {them}.",
    }
    return tuple(told(", ".join(said[key])) for key, told in sentences.items() if said[key])


def is_number(cell: str) -> bool:
    """Whether a cell reads as a number.

    Example:
        >>> is_number("1e-3"), is_number("3,5")
        (True, False)
    """
    try:
        float(cell)
    except ValueError:
        return False
    return True
