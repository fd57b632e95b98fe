"""What a paper's claim is here: a sentence, the paper's number, a function that measures it, and what counts as met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, TypeAlias

from initlab.core.errors import OptionError
from initlab.core.registry import Registry
from initlab.papers.figure import Figure

Side = Literal["paper", "condition", "correction"]
Verdict = Literal["holds", "holds with a condition", "differs", "not reproduced"]
Constants: TypeAlias = Mapping[str, float]

VERDICTS: tuple[Verdict, ...] = ("holds", "holds with a condition", "differs", "not reproduced")


@dataclass(frozen=True)
class Check:
    """One number that a row measures, and the interval in which it counts as met.

    Attributes:
        key: The name of the number in what the row measures.
        what: What the number is.
        low: The lower end of the interval.
        high: The upper end.
        said: The number that is held against ours, as it is written: ``"1.76"``, ``"below 1e-20"``.
        why: Where the interval comes from.
        side: ``paper``: what the paper says, as it is quoted; ``condition``: what it says where a condition is
            named; ``correction``: what is true instead.
    """

    key: str
    what: str
    low: float
    high: float
    said: str
    why: str
    side: Side = "paper"

    @property
    def is_two_sided(self) -> bool:
        """Whether the interval has two ends."""
        return isfinite(self.low) and isfinite(self.high)

    def is_met(self, value: float) -> bool:
        """Whether a number lies in the interval; NaN lies in none."""
        return bool(self.low <= value <= self.high)


def near(key: str, what: str, value: float, within: float, why: str, *, said: str = "", side: Side = "paper") -> Check:
    """A number that lies within ``within`` of a value.

    Example:
        >>> near("x", "x", 2.0, 0.5, "given").is_met(2.4)
        True
    """
    return Check(key, what, float(value - within), float(value + within), said or f"{value:.10g}", why, side)


def about(key: str, what: str, value: float, share: float, why: str, *, said: str = "", side: Side = "paper") -> Check:
    """A number that lies within a share of a value.

    Example:
        >>> about("x", "x", 2.0, 0.1, "given").is_met(1.7)
        False
    """
    return near(key, what, value, share * abs(value), why, said=said, side=side)


def at_least(key: str, what: str, value: float, why: str, *, said: str = "", side: Side = "paper") -> Check:
    """A number of ``value`` or more."""
    return Check(key, what, value, float("inf"), said or f"at least {value:g}", why, side)


def at_most(key: str, what: str, value: float, why: str, *, said: str = "", side: Side = "paper") -> Check:
    """A number of ``value`` or less."""
    return Check(key, what, float("-inf"), value, said or f"at most {value:g}", why, side)


@dataclass(frozen=True)
class Measured:
    """What a row measures.

    Attributes:
        numbers: By the keys of its checks.
        figure: The row's figure.
        errors: Standard errors by key; a number without one is exact but for rounding.
    """

    numbers: Mapping[str, float]
    figure: Figure
    errors: Mapping[str, float] = field(default_factory=dict)


Measure: TypeAlias = Callable[[Constants, int], Measured]


@dataclass(frozen=True)
class Paper:
    """A claim of a paper beside what measures it.

    Attributes:
        name: First author, year and what it is about.
        title: The claim in a few words.
        claim: The claim in one sentence.
        citation: Where it is made, with equation, figure or table.
        quoted: The paper's number in its own terms.
        checks: What is held against what.
        measure: Measures, from constants and a seed.
        constants: What the measurement is made with.
        breaks: Constants with which the verdict falls.
        recorded: The verdict that stands.
        remark: For a verdict with a condition, the condition; for one that differs, what differs and why.
    """

    name: str
    title: str
    claim: str
    citation: str
    quoted: str
    checks: tuple[Check, ...]
    measure: Measure
    constants: Constants
    breaks: Constants
    recorded: Verdict = "holds"
    remark: str = ""

    @property
    def command(self) -> str:
        """What runs it."""
        return f"initlab paper {self.name}"


PAPERS = Registry[Paper]("paper", listing="initlab paper")


def register_paper(
    name: str,
    *,
    title: str,
    claim: str,
    citation: str,
    quoted: str,
    checks: tuple[Check, ...],
    constants: Constants,
    breaks: Constants,
    recorded: Verdict = "holds",
    remark: str = "",
) -> Callable[[Measure], Measure]:
    """Make a function that measures a row of ``PAPERS``; it is returned unchanged.

    Raises:
        OptionError: The name is taken, or what breaks the row is none of its constants.
    """
    if not breaks or not set(breaks) <= set(constants):
        raise OptionError(f"'{name}' is broken by {dict(breaks)}", fix=f"name some of {', '.join(constants)}")

    def register(function: Measure) -> Measure:
        row = Paper(name, title, claim, citation, quoted, checks, function, constants, breaks, recorded, remark)
        PAPERS.add(name, row)
        return function

    return register


def verdict_of(checks: tuple[Check, ...], numbers: Mapping[str, float]) -> Verdict:
    """The verdict over a claim: what is met of what the paper says, of its condition, of the correction.

    A claim *holds* where all that the paper says is met; it *holds with a condition* where that is not met as quoted,
    and all is met where the condition is named; it *differs* where it is not met and what is said instead is. Where
    none of these is met it is *not reproduced*.

    Example:
        >>> checks = (near("q", "q", 1.0, 0.1, ""), near("q", "q", 0.8, 0.1, "", side="correction"))
        >>> [verdict_of(checks, {"q": q}) for q in (1.0, 0.8, 0.5)]
        ['holds', 'differs', 'not reproduced']
    """
    met = {
        side: [c.is_met(numbers[c.key]) for c in checks if c.side == side]
        for side in ("paper", "condition", "correction")
    }
    if all(met["paper"]):
        return "holds"
    if met["condition"] and all(met["condition"]) and all(met["correction"]):
        return "holds with a condition"
    if met["correction"] and all(met["correction"]) and all(met["condition"]):
        return "differs"
    return "not reproduced"


def finite(value: float) -> float | None:
    """The value, or None where it is no finite number: JSON has no name for such."""
    return value if isfinite(value) else None
