"""The list of rows and the summary of many as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from initlab.papers.out_of_reach import OUT_OF_REACH
from initlab.papers.paper import PAPERS, VERDICTS
from initlab.papers.result import WIDTH, PaperResult, folded
from initlab.report.drawing.text import count_of


def list_text(*, width: int = WIDTH) -> str:
    """Every row with its claim in a few words and its verdict, then what cannot be had here."""
    lines = ["Landmark claims at desk size; one of them: initlab paper NAME, all: --all", ""]
    longest = max(len(name) for name in PAPERS)
    for name in PAPERS:
        row = PAPERS[name]
        mark = {"holds": "", "holds with a condition": " (with a condition)", "differs": " (differs)"}
        lines.append(f"{name:<{longest}}  {row.title}{mark.get(row.recorded, '')}")
    lines += ["", "Out of reach here, and what it would take:"]
    for one in OUT_OF_REACH:
        lines += folded(
            f"{one.claim} ({one.source}): {one.takes}{f'; nearest: {one.nearest}' if one.nearest else ''}",
            width,
            inset=4,
            first=2,
        )
    return "\n".join(lines)


def list_data() -> dict[str, object]:
    """The list as plain data."""
    rows = [
        {"name": p.name, "title": p.title, "claim": p.claim, "citation": p.citation, "recorded": p.recorded}
        for p in (PAPERS[name] for name in PAPERS)
    ]
    return {"rows": rows, "out_of_reach": [asdict(one) for one in OUT_OF_REACH]}


def row_text(result: PaperResult) -> str:
    """One row of many as a line: its verdict and what it took."""
    longest = max(len(name) for name in PAPERS)
    note = "" if result.as_recorded else f"  (recorded: {result.paper.recorded})"
    return f"{result.paper.name:<{longest}}  {result.verdict:<22} {result.seconds:>6.1f} s{note}"


def total_text(results: Sequence[PaperResult]) -> str:
    """How many rows have which verdict, in how many seconds."""
    counts = {verdict: sum(r.verdict == verdict for r in results) for verdict in VERDICTS}
    told = ", ".join(f"{verdict}: {count}" for verdict, count in counts.items() if count)
    seconds = sum(r.seconds for r in results)
    return f"{count_of(len(results), 'row')} in {seconds:.0f} s; {told}"
