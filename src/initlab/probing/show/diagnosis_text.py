"""A diagnosis for a terminal of 80 columns, and for a notebook."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from html import escape

from initlab.core.plans.account import percent
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import NAMED
from initlab.probing.checks.wording import listed
from initlab.probing.records import Finding, Mended, Verdict
from initlab.probing.show.profile_text import plain

WIDTH = 80
VERDICTS: Mapping[Verdict, str] = {
    "sick": "sick", "hard": "hard to train", "healthy": "healthy", "not judged": "not judged",
}  # fmt: skip
_INDENT = 7
_TRIED: Mapping[Mended, str] = {
    "yes": "  # tried: mends it", "partly": "  # tried: mends a part of it", "no": "", "not tried": "",
}  # fmt: skip


def diagnosis_text(head: str, findings: Sequence[Finding], *, limits: Limits, names: Mapping[str, str]) -> str:
    """The verdict, and a paragraph a cause: where it is, its numbers, what to do and how, and what follows from it."""
    lines = textwrap.wrap(head, WIDTH, subsequent_indent="  ")
    for finding in findings:
        lines += _consequence(finding) if finding.cause else ["", *_paragraph(finding, names)]
    if limits.changed:
        told = ", ".join(f"{name} {value:g}" for name, value in limits.changed.items())
        lines += ["", *textwrap.wrap(f"limits that are not the defaults: {told}", WIDTH)]
    return "\n".join(lines)


def headline(
    model: str, verdict: Verdict, findings: Sequence[Finding], *, layers: int, unseen: float = 0.0, guessed: str = ""
) -> str:
    """The first line: the verdict, and how many findings there are.

    Args:
        model: The model's class name.
        verdict: What it is.
        findings: What was found.
        layers: Weighted layers that were probed.
        unseen: The share of the numbers that were not seen, where that is too much for a verdict; else 0.
        guessed: What the batch was, where it was guessed.
    """
    alarms = sum(finding.severity == "alarm" for finding in findings)
    notes = len(findings) - alarms
    probed = f"{layers} weighted layer{'' if layers == 1 else 's'}"
    counts = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((alarms, "alarm"), (notes, "note")) if n]
    state = VERDICTS[verdict]
    if unseen and verdict == "not judged":
        state = f"not judged, for {percent(unseen)} of its numbers were not seen at work"
    elif guessed and verdict == "not judged":
        state = "not judged, for its input was guessed"
    source = f"; guessed: {guessed}" if guessed else ""
    return f"{plain(model)} is {state}: {' and '.join(counts) or 'nothing found'} in {probed}{source}"


def diagnosis_html(head: str, findings: Sequence[Finding], *, names: Mapping[str, str]) -> str:
    """The same as a list, for notebooks; every name in it is data."""
    items = "".join(
        f"<li><b>{escape(finding.severity)}: {escape(finding.kind)}</b> <code>{escape(_where(finding, names))}</code>"
        f"<br>{escape(plain(finding.what))}<br>→ {escape(plain(finding.fix))}{_code(finding)}</li>"
        for finding in findings
    )
    return f"<div><p><b>{escape(head)}</b></p><ul>{items}</ul></div>"


def _paragraph(finding: Finding, names: Mapping[str, str]) -> list[str]:
    word = "HARD" if finding.severity == "alarm" and finding.grade == "hard" else finding.severity.upper()
    first = f"{word:<{_INDENT}}{finding.kind}"
    where, rest = _where(finding, names), " " * _INDENT
    if len(first) + 2 + len(where) <= WIDTH:
        lines = [f"{first}{where:>{WIDTH - len(first)}}"]
    else:
        lines = [first, *_wrap(where, first=rest)]
    lines += _wrap(plain(finding.what), first=rest)
    lines += _wrap(plain(finding.fix), first=f"{rest}-> ")
    line = pasted(finding)
    return [*lines, *(_wrap(plain(line + _TRIED[finding.mended]), first=f"{rest}   ") if line else [])]


def _consequence(finding: Finding) -> list[str]:
    """What follows from the finding above it: mended with it."""
    return _wrap(plain(f"{finding.kind}: {finding.what}"), first=f"{' ' * _INDENT}hence ")


def pasted(finding: Finding) -> str:
    """The line of Python that draws what a finding offers; empty where it offers no scheme.

    Example:
        >>> pasted(Finding("dead units", "alarm", ("0",), "...", "...", scheme="he_normal"))
        'initlab.initialize(model, "he_normal", seed=0)'
    """
    if not finding.schemes:
        return ""
    return f"initlab.initialize(model, {json.dumps(finding.schemes, ensure_ascii=False)}, seed=0)"


def _code(finding: Finding) -> str:
    line = pasted(finding) + _TRIED[finding.mended] if finding.schemes else ""
    return f"<br><code>{escape(plain(line))}</code>" if line else ""


def _where(finding: Finding, names: Mapping[str, str]) -> str:
    return plain(listed([names.get(one, one) for one in finding.where], NAMED))


def _wrap(text: str, *, first: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)
