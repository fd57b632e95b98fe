"""A diagnosis for a terminal of 80 columns, and for a notebook."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape

from initlab.core.plans.account import percent
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import NAMED
from initlab.probing.checks.wording import listed
from initlab.probing.records import Finding
from initlab.probing.show.profile_text import plain

WIDTH = 80
_INDENT = 7


def diagnosis_text(head: str, findings: Sequence[Finding], *, limits: Limits) -> str:
    """The verdict, and a paragraph a finding: what it is and where, its numbers, what to do."""
    lines = textwrap.wrap(head, WIDTH, subsequent_indent="  ")
    for finding in findings:
        lines += ["", *_paragraph(finding)]
    if limits.changed:
        told = ", ".join(f"{name} {value:g}" for name, value in limits.changed.items())
        lines += ["", *textwrap.wrap(f"limits that are not the defaults: {told}", WIDTH)]
    return "\n".join(lines)


def verdict(model: str, findings: Sequence[Finding], *, layers: int, unjudged: float = 0.0) -> str:
    """The first line: healthy or not, or not judged, and how many findings there are.

    Args:
        model: The model's class name.
        findings: What was found.
        layers: Weighted layers that were probed.
        unjudged: The share of the numbers that were not seen, where that is too much for a verdict; else 0.
    """
    alarms = sum(finding.severity == "alarm" for finding in findings)
    notes = len(findings) - alarms
    probed = f"{layers} weighted layer{'' if layers == 1 else 's'}"
    counts = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((alarms, "alarm"), (notes, "note")) if n]
    state = "not healthy" if alarms else "healthy"
    if unjudged:
        state = f"not judged, for {percent(unjudged)} of its numbers were not seen at work"
    return f"{plain(model)} is {state}: {' and '.join(counts) or 'nothing found'} in {probed}"


def diagnosis_html(head: str, findings: Sequence[Finding]) -> str:
    """The same as a list, for notebooks; every name in it is data."""
    items = "".join(
        f"<li><b>{escape(finding.severity)}: {escape(finding.kind)}</b> <code>{escape(_where(finding))}</code>"
        f"<br>{escape(plain(finding.what))}<br>→ {escape(plain(finding.fix))}{escape(_scheme(finding))}</li>"
        for finding in findings
    )
    return f"<div><p><b>{escape(head)}</b></p><ul>{items}</ul></div>"


def _paragraph(finding: Finding) -> list[str]:
    first = f"{finding.severity.upper():<{_INDENT}}{finding.kind}"
    where, rest = _where(finding), " " * _INDENT
    if len(first) + 2 + len(where) <= WIDTH:
        lines = [f"{first}{where:>{WIDTH - len(first)}}"]
    else:
        lines = [first, *_wrap(where, first=rest)]
    lines += _wrap(plain(finding.what), first=rest)
    return lines + _wrap(plain(finding.fix) + _scheme(finding), first=f"{rest}-> ")


def _scheme(finding: Finding) -> str:
    return f" [{finding.schemes}]" if finding.schemes else ""


def _where(finding: Finding) -> str:
    return plain(listed(finding.where, NAMED))


def _wrap(text: str, *, first: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)
