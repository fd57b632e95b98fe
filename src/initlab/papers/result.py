"""What a run says of a claim: its numbers beside the paper's, the verdict, the figure; as text and as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from initlab.core.files import PICTURES, check_target, write_whole
from initlab.papers.figure import Figure
from initlab.papers.paper import Check, Constants, Paper, Verdict, finite
from initlab.report.drawing.png import render

WIDTH = 80
_SIDES = {"paper": "", "condition": "under the condition: ", "correction": "what is true: "}


@dataclass(frozen=True)
class Line:
    """One number beside the paper's.

    Attributes:
        check: What it is held against.
        ours: What was measured.
        error: Its standard error; 0 where it is exact but for rounding.
    """

    check: Check
    ours: float
    error: float

    @property
    def met(self) -> bool:
        """Whether ours lies in the interval."""
        return self.check.is_met(self.ours)


@dataclass(frozen=True)
class PaperResult:
    """What a run says of a paper's claim.

    Attributes:
        paper: The claim.
        lines: Its numbers.
        verdict: What the run says.
        figure: The row's figure, its numbers.
        constants: What it was measured with.
        seed: Of every draw.
        seconds: What it took.
    """

    paper: Paper
    lines: tuple[Line, ...]
    verdict: Verdict
    figure: Figure
    constants: Constants
    seed: int
    seconds: float

    @property
    def as_recorded(self) -> bool:
        """Whether the verdict is the one that stands."""
        return self.verdict == self.paper.recorded

    def picture(self, path: str | PathLike[str]) -> Path:
        """The file shows the figure; the ending is ``.png`` or ``.svg``.

        Raises:
            OptionError: The ending is another, or the folder is not there.
            MissingDependencyError: vl-convert is not installed.
        """
        target = Path(path)
        check_target(target, PICTURES, option="path")
        write_whole(target, render(self.figure.spec(), form="svg" if target.suffix.lower() == ".svg" else "png"))
        return target

    def to_dict(self) -> dict[str, object]:
        """The result as plain data; bounds and numbers that are not finite are None."""
        p = self.paper
        return {
            "name": p.name,
            "title": p.title,
            "claim": p.claim,
            "citation": p.citation,
            "quoted": p.quoted,
            "numbers": [
                {
                    "what": line.check.what,
                    "of": line.check.side,
                    "paper": line.check.said,
                    "ours": finite(line.ours),
                    "error": finite(line.error),
                    "low": finite(line.check.low),
                    "high": finite(line.check.high),
                    "why": line.check.why,
                    "met": line.met,
                }
                for line in self.lines
            ],
            "verdict": self.verdict,
            "recorded": p.recorded,
            "remark": p.remark,
            "constants": dict(self.constants),
            "breaks": dict(p.breaks),
            "figure": self.figure.to_dict(),
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "command": p.command,
        }

    def __str__(self) -> str:
        return _text(self, WIDTH)


def _text(result: PaperResult, width: int) -> str:
    """The claim, its numbers and the verdict; no line is longer than ``width``."""
    p = result.paper
    lines = [f"{p.name}: {result.verdict}", ""]
    for heading, words in (("Claim", p.claim), ("Paper", p.quoted), ("Source", p.citation)):
        lines += folded(f"{heading:<8}{words}", width, inset=8)
    for line in result.lines:
        lines += ["", *_line(line, width)]
    lines += ["", *folded(f"Verdict {_verdict(result)}", width, inset=8)]
    settings = ", ".join(f"{key}={value:g}" for key, value in result.constants.items())
    lines += folded(f"Run     {settings}; seed {result.seed}; {result.seconds:.1f} s", width, inset=8)
    change = " ".join(f"--set {key}={value:g}" for key, value in p.breaks.items())
    lines += folded(f"Falls   {p.command} {change}", width, inset=8)
    return "\n".join(lines)


def _line(line: Line, width: int) -> Iterator[str]:
    yield from folded(f"{_SIDES[line.check.side]}{line.check.what}", width, inset=2, first=2)
    error = f" ± {line.error:.2g}" if line.error else ""
    met = "met" if line.met else "not met"
    yield from folded(f"{line.check.said}; ours {shown(line.ours)}{error}: {met}", width, inset=6, first=4)
    bounds = f"{shown(line.check.low)} to {shown(line.check.high)}: " if line.check.is_two_sided else ""
    yield from folded(f"{bounds}{line.check.why}", width, inset=6, first=4)


def shown(value: float) -> str:
    """A number with as many digits as it takes, ten at most.

    Example:
        >>> shown(1.760954639606739), shown(30.0), shown(2.5e-30)
        ('1.76095464', '30', '2.5e-30')
    """
    return f"{value:.9g}"


def _verdict(result: PaperResult) -> str:
    said = result.verdict if result.as_recorded else f"{result.verdict}; recorded is: {result.paper.recorded}"
    return f"{said}. {result.paper.remark}".rstrip()


def folded(text: str, width: int, *, inset: int, first: int = 0) -> Iterable[str]:
    """The text on lines of at most ``width``, set in behind the first."""
    return textwrap.wrap(text, width, initial_indent=" " * first, subsequent_indent=" " * inset, break_on_hyphens=False)
