"""A diagnosis for a terminal of 80 columns, and for a notebook."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING

from initlab.probing.checks.registry import NAMED
from initlab.probing.checks.wording import listed
from initlab.probing.records import Finding
from initlab.probing.show.profile_text import plain

if TYPE_CHECKING:
    from initlab.probing.diagnosis import Diagnosis

WIDTH = 80
_INDENT = 7


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """The verdict, and a paragraph a finding: what it is and where, its numbers, what to do."""
    lines = textwrap.wrap(verdict(diagnosis), WIDTH, subsequent_indent="  ")
    for finding in diagnosis.findings:
        lines += ["", *_paragraph(finding)]
    if diagnosis.limits.changed:
        told = ", ".join(f"{name} {value:g}" for name, value in diagnosis.limits.changed.items())
        lines += ["", *textwrap.wrap(f"limits that are not the defaults: {told}", WIDTH)]
    return "\n".join(lines)


def verdict(diagnosis: Diagnosis) -> str:
    """The first line: healthy or not, and how many findings there are."""
    alarms = len(diagnosis.alarms)
    notes = len(diagnosis.findings) - alarms
    layers = f"{diagnosis.layers} weighted layer{'' if diagnosis.layers == 1 else 's'}"
    counts = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((alarms, "alarm"), (notes, "note")) if n]
    state = "healthy" if diagnosis.healthy else "not healthy"
    return f"{plain(diagnosis.model)} is {state}: {' and '.join(counts) or 'nothing found'} in {layers}"


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """The same as a list, for notebooks; every name in it is data."""
    items = "".join(
        f"<li><b>{escape(finding.severity)}: {escape(finding.kind)}</b> <code>{escape(_where(finding))}</code>"
        f"<br>{escape(plain(finding.what))}<br>→ {escape(plain(finding.fix))}{escape(_scheme(finding))}</li>"
        for finding in diagnosis.findings
    )
    return f"<div><p><b>{escape(verdict(diagnosis))}</b></p><ul>{items}</ul></div>"


def _paragraph(finding: Finding) -> list[str]:
    first = f"{finding.severity.upper():<{_INDENT}}{finding.kind}"
    where, rest = _where(finding), " " * _INDENT
    if len(first) + 2 + len(where) <= WIDTH:
        lines = [f"{first}{where:>{WIDTH - len(first)}}"]
    else:
        lines = [first, *_wrapped(where, first=rest)]
    lines += _wrapped(plain(finding.what), first=rest)
    return lines + _wrapped(plain(finding.fix) + _scheme(finding), first=f"{rest}-> ")


def _scheme(finding: Finding) -> str:
    return f" [{finding.schemes}]" if finding.schemes else ""


def _where(finding: Finding) -> str:
    return plain(listed(finding.where, NAMED))


def _wrapped(text: str, *, first: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)
