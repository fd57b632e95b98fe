"""What an audit gives: a row a parameter, printable, comparable, and an error where something is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from textwrap import TextWrapper
from typing import Literal

from initlab.core.errors import InitlabError
from initlab.core.plans.account import Account, Kept, Row, account, percent

Verdict = Literal["wrong", "unknown", "kept", "ok"]

WIDTH = 80
_INDENT = 9
_FACTS = ("declared", "found", "why")
_CELL = "padding:.1em .6em;background:transparent;text-align:left;vertical-align:top"
_WORST_FIRST: dict[Verdict, int] = {"wrong": 0, "unknown": 1, "kept": 2, "ok": 3}


@dataclass(frozen=True)
class AuditEntry:
    """One parameter's row.

    Attributes:
        path: The canonical path.
        native: The framework's own name.
        declared: The law, or what is to be done with it, in words.
        found: What is there, in words.
        verdict: ``ok``; ``wrong``; ``kept``: nothing was declared of it; ``unknown``: it cannot be tested.
        why: The reason of the verdict.
        errors: Standard errors by which it misses; infinite where chance cannot do it, 0 where nothing is wrong.
        size: Its numbers; 0 where it has none of its own.
        unjudged: Why its numbers were held to nothing; None where they were.
    """

    path: str
    native: str
    declared: str
    found: str
    verdict: Verdict
    why: str
    errors: float = 0.0
    size: int = 0
    unjudged: Kept | None = None

    def to_dict(self) -> dict[str, object]:
        """The row as plain JSON data; infinite errors are null."""
        return {
            "path": self.path,
            "name": self.native,
            "declared": self.declared,
            "found": self.found,
            "verdict": self.verdict,
            "why": self.why,
            "errors": self.errors if math.isfinite(self.errors) else None,
            "unjudged": self.unjudged,
        }


@dataclass(frozen=True)
class Audit:
    """Whether every parameter of a model holds what was declared: ``print`` it, ask ``ok``.

    Attributes:
        model: The model's class name.
        declared: What it was held to, in words.
        entries: A row a parameter, in the model's order.
        notes: What concerns more than one parameter, or could not be seen.
        limit: The standard errors that chance was allowed.

    Example:
        >>> row = AuditEntry("0/weight", "fc.weight", "N(0, 0.02^2)", "all zero", "wrong", "never drawn", math.inf)
        >>> print(Audit("Net", "normal(std=0.02)", (row,)))
        audit of Net against normal(std=0.02): 1 of 1 parameters is wrong
        wrong    fc.weight
                 declared N(0, 0.02^2); found all zero
                 never drawn
        ok       0 of 1
    """

    model: str
    declared: str
    entries: tuple[AuditEntry, ...]
    notes: tuple[str, ...] = ()
    limit: float = 4.0

    def __iter__(self) -> Iterator[AuditEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, path: str) -> AuditEntry:
        """The row of a parameter, by its canonical path or the framework's own name."""
        for entry in self.entries:
            if path in (entry.path, entry.native):
                return entry
        raise KeyError(path)

    @property
    def wrong(self) -> tuple[AuditEntry, ...]:
        """The rows that are wrong, the worst first."""
        wrong = (entry for entry in self.entries if entry.verdict == "wrong")
        return tuple(sorted(wrong, key=lambda entry: -entry.errors))

    @property
    def ok(self) -> bool:
        """Whether no parameter is wrong."""
        return not self.wrong

    def assert_ok(self) -> None:
        """Nothing, if no parameter is wrong.

        Raises:
            InitlabError: What is wrong, the worst first.
        """
        if self.ok:
            return
        groups = [list(rows) for _, rows in groupby(_worst_first(self.wrong), key=_group)]
        told = [f"{_names(rows)}: {rows[0].why}, {_found_words(rows[0])}" for rows in groups[:3]]
        more = f"; and {len(groups) - 3} other kinds" if groups[3:] else ""
        raise InitlabError(f"{self._headline()}: {'; '.join(told)}{more}", fix="print the audit to see every row")

    def __str__(self) -> str:
        lines = _wrap(self._headline(), first="", rest="  ")
        for _, grouped in groupby(_worst_first(self.entries), key=_group):
            rows = list(grouped)
            lines += _lines(rows) if rows[0].verdict != "ok" else []
        lines.append(f"{'ok':<{_INDENT}}{sum(e.verdict == 'ok' for e in self.entries)} of {len(self.entries)}")
        for note in self.notes:
            lines += _wrap(note, first=f"{'note':<{_INDENT}}", rest=" " * _INDENT)
        return "\n".join(lines)

    @property
    def account(self) -> Account:
        """The shares of the model's numbers that were held to what was declared, and why the others were not."""
        return account(Row(entry.native or entry.path, entry.size, entry.unjudged) for entry in self.entries)

    def _headline(self) -> str:
        count, judged = len(self.wrong), self.account
        found = (
            f"{count} of {len(self)} parameters {'is' if count == 1 else 'are'} wrong" if count else "nothing is wrong"
        )
        if judged.held:
            rest = f"{percent(judged.kept)}{' of the numbers' if count else ''} were not judged: {judged.reasons()}"
            found += f"; {rest}" if count else f" in {percent(1.0 - judged.kept)} of the numbers; {rest}"
        return f"audit of {self.model} against {self.declared}: {found}"

    def to_dict(self) -> dict[str, object]:
        """The audit as plain JSON data."""
        return {
            "model": self.model,
            "declared": self.declared,
            "ok": self.ok,
            "limit": self.limit,
            "unjudged_share": self.account.kept,
            "parameters": [entry.to_dict() for entry in self.entries],
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        """The rows that are not right as a table, for notebooks."""
        heads = "".join(f'<th style="{_CELL}">{name}</th>' for name in ("verdict", "parameter", *_FACTS))
        rows = "".join(_row_html(entry) for entry in _worst_first(self.entries) if entry.verdict != "ok")
        style = "border-collapse:collapse;color:inherit"
        table = f'<table style="{style}"><tr>{heads}</tr>{rows}</table>' if rows else ""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f'<div style="overflow-x:auto"><p>{escape(self._headline())}</p>{table}{notes}</div>'


def _row_html(entry: AuditEntry) -> str:
    cells = (entry.verdict, entry.native or entry.path, *(getattr(entry, fact) for fact in _FACTS))
    return "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in cells) + "</tr>"


def _worst_first(entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    """By verdict and error, rows of one kind together: each kind stands where its worst row does."""
    worst: dict[tuple[str, ...], float] = {}
    for entry in entries:
        worst[_group(entry)] = max(entry.errors, worst.get(_group(entry), 0.0))
    places = {group: at for at, group in enumerate(worst)}
    return sorted(entries, key=lambda e: (_WORST_FIRST[e.verdict], -worst[_group(e)], places[_group(e)], -e.errors))


def _group(entry: AuditEntry) -> tuple[str, ...]:
    """Rows that differ in their layer's number and their samples' numbers alone are told once."""
    words = re.sub(r"-?\d+(\.\d+)?(e[-+]?\d+)?", "#", f"{entry.found} {entry.why}")
    return entry.verdict, _numberless_name(entry), entry.declared, words


def _numberless_name(entry: AuditEntry) -> str:
    return re.sub(r"(?<=[./])\d+(?=[./])", "*", entry.native or entry.path)


def _names(rows: Sequence[AuditEntry]) -> str:
    return f"{_numberless_name(rows[0])} ({len(rows)} of them)" if len(rows) > 1 else rows[0].native or rows[0].path


def _lines(rows: Sequence[AuditEntry]) -> list[str]:
    first, rest = f"{rows[0].verdict:<{_INDENT}}", " " * _INDENT
    lines = _wrap(_names(rows), first=first, rest=rest)
    if rows[0].verdict == "wrong":
        lines += _wrap(f"declared {rows[0].declared}; {_found_words(rows[0])}", first=rest, rest=rest)
    return lines + _wrap(rows[0].why, first=rest, rest=rest)


def _found_words(entry: AuditEntry) -> str:
    return entry.found if entry.found.startswith("looks like") else f"found {entry.found}"


def _wrap(text: str, *, first: str, rest: str) -> list[str]:
    return TextWrapper(WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False).wrap(text)
