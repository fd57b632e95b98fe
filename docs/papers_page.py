"""What landmark claims come to at desk size: fills docs/papers.md, and draws its figures.

python docs/papers_page.py                # every row, about five minutes
python docs/papers_page.py NAME ...       # some
python docs/papers_page.py --check        # exit 1 where the page says other than a run

The page is an essay; a row's part stands between ``<!-- paper: NAME -->`` and ``<!-- /paper -->``.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import build
from typeset import formula, source

from initlab.papers import PAPERS, PaperResult, paper
from initlab.papers.out_of_reach import OUT_OF_REACH
from initlab.papers.paper import VERDICTS
from initlab.papers.result import Line, shown
from initlab.report.drawing.png import render

DOCS = Path(__file__).parent
PAGE, FIGURES = DOCS / "papers.md", DOCS / "images" / "papers"
ROW = "<!-- paper: {0} -->\n{1}\n<!-- /paper -->"
WORDS = {"holds": "hold", "holds with a condition": "hold with a condition", "differs": "differ"}
SIDES = {"paper": "", "condition": "under the condition: ", "correction": "what is true: "}


def block(result: PaperResult) -> str:
    """A row's part of the page: claim, numbers, verdict, command, figure."""
    p = result.paper
    head = "| what | held against | ours | counts as met | why |\n| --- | --- | --- | --- | --- |"
    rows = "\n".join(map(table_row, result.lines))
    said = f" {formula(p.remark)}" if p.remark else ""
    return (
        f"> {formula(p.claim)}\n>\n> *{source(p.citation)}:* {formula(p.quoted)}\n\n{head}\n{rows}\n\n"
        f"Verdict: **{result.verdict}**.{said} Run it: `{p.command}`; see it fall: "
        f"`{p.command} {' '.join(f'--set {k}={v:g}' for k, v in p.breaks.items())}`.\n\n"
        f"![{formula(result.figure.title)}](images/papers/{p.name}.svg)"
    )


def table_row(line: Line) -> str:
    """One number."""
    c = line.check
    error = f" ± {line.error:.2g}" if line.error else ""
    met = f"{shown(c.low)} to {shown(c.high)}" if c.is_two_sided else c.said
    cells = (SIDES[c.side] + c.what, c.said, f"{shown(line.ours)}{error}", met, c.why)
    return "| " + " | ".join(formula(cell).replace("|", "\\|") for cell in cells) + " |"


def table_of_rows() -> str:
    """Every row with its verdict, as a list to jump from."""
    rows = [f"| `{name}` | {formula(PAPERS[name].title)} | {PAPERS[name].recorded} |" for name in PAPERS]
    counts = Counter(PAPERS[name].recorded for name in PAPERS)
    said = f"Of {len(rows)} claims " + ", ".join(f"{counts[v]} {WORDS[v]}" for v in VERDICTS if counts[v]) + "."
    return "\n".join(["| row | claim | verdict |", "| --- | --- | --- |", *rows, "", said])


def unreachable() -> str:
    """What cannot be had, and what it would take."""
    rows = [
        f"| {formula(o.claim)} | {formula(o.source)} | {formula(o.takes)} | {f'`{o.nearest}`' if o.nearest else ''} |"
        for o in OUT_OF_REACH
    ]
    return "\n".join(["| claim | source | what it would take | nearest row |", "| --- | --- | --- | --- |", *rows])


def put(text: str, name: str, content: str) -> str:
    """The page with one part replaced.

    Raises:
        KeyError: It has no such part.
    """
    found = re.search(rf"<!-- paper: {name} -->\n.*?<!-- /paper -->", text, re.DOTALL)
    if found is None:
        raise KeyError(f"{PAGE.name} has no part for '{name}'")
    return text[: found.start()] + ROW.format(name, content) + text[found.end() :]


def main(arguments: list[str]) -> int:
    """Write the page, or say where it is wrong."""
    check = "--check" in arguments
    names = [a for a in arguments if not a.startswith("-")] or list(PAPERS)
    kept = text = PAGE.read_text(encoding="utf-8")
    text = put(put(text, "all rows", table_of_rows()), "out of reach", unreachable())
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name in names:
        result = paper(name)
        text = put(text, name, block(result))
        if not check:
            (FIGURES / f"{name}.svg").write_bytes(build.named_anew(render(result.figure.spec(), form="svg")))
        print(f"{name}: {result.verdict}, {result.seconds:.1f} s", flush=True)
    if check:
        return int(differs(kept, text))
    PAGE.write_text(text, encoding="utf-8")
    return 0


def differs(kept: str, text: str) -> bool:
    """Whether a part of the page is other than a run's, but for the third digit of a number."""
    number = re.compile(r"-?\d+\.?\d*(?:e[+-]?\d+)?")
    ours, theirs = number.findall(kept), number.findall(text)
    same_words = number.sub("#", kept) == number.sub("#", text)
    close = all(abs(float(a) - float(b)) <= 1e-2 * abs(float(b)) + 1e-9 for a, b in zip(ours, theirs, strict=False))
    if not (same_words and len(ours) == len(theirs) and close):
        print("the page says other than a run: python docs/papers_page.py")
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
