"""Numbers as people read them: points of accuracy, losses, p values, lists of names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Metric = Literal["test_accuracy", "test_loss"]
# Names spelled out in a list before the rest is only counted.
SPELLED = 3


@dataclass(frozen=True)
class Scale:
    """How scores of a metric are written: how many decimals, in which unit.

    A score is an accuracy in [0, 1], or a loss with its sign turned, so that more is always better.

    Attributes:
        metric: What the scores are.
        places: Decimals, of per cent for accuracies.

    Example:
        >>> accuracy = Scale("test_accuracy", 1)
        >>> accuracy.value(0.968), accuracy.gap(0.021), accuracy.ends((0.004, 0.038))
        ('96.8 %', '2.1 points above', ' [0.4, 3.8]')
        >>> Scale("test_loss", 2).value(-0.5), Scale("test_loss", 2).gap(0.25), Scale("test_loss", 2).gap(-0.25)
        ('test loss 0.50', '0.25 below', '0.25 above')
    """

    metric: Metric
    places: int

    def value(self, score: float) -> str:
        """One score."""
        return f"{self._number(score)} %" if self.metric == "test_accuracy" else f"test loss {self._number(-score)}"

    def gap(self, difference: float) -> str:
        """How far a score lies from another that is so much worse; a negative difference: so much better."""
        is_above = (self.metric == "test_accuracy") == (difference >= 0)
        unit = " points" if self.metric == "test_accuracy" else ""
        return f"{self._number(abs(difference))}{unit} {'above' if is_above else 'below'}"

    def ends(self, interval: tuple[float, float] | None) -> str:
        """An interval of differences, led by a space; nothing where there is none."""
        return "" if interval is None else f" [{self._number(interval[0])}, {self._number(interval[1])}]"

    def _number(self, score: float) -> str:
        number = 100 * score if self.metric == "test_accuracy" else score
        # Adding 0.0 turns -0.0 into 0.0.
        return f"{round(number, self.places) + 0.0:.{self.places}f}"


def scale_for(metric: Metric, size: float) -> Scale:
    """The scale whose last decimal still tells something about a quantity of this size.

    Args:
        metric: What the scores are.
        size: A typical difference or half-width, in scores.

    Example:
        >>> scale_for("test_accuracy", 0.021).places, scale_for("test_accuracy", 0.0004).places
        (1, 2)
        >>> scale_for("test_loss", 0.021).places        # two digits of 0.021
        3
    """
    if metric == "test_accuracy":
        return Scale(metric, 2 if 0 < abs(size) < 0.001 else 1)
    known = size != 0 and math.isfinite(size)
    return Scale(metric, max(0, 1 - math.floor(math.log10(abs(size)))) if known else 3)


def row_worth(rows: int) -> str:
    """What one of so many test rows is worth, in points of accuracy, to two digits.

    Example:
        >>> row_worth(30), row_worth(10_000)
        ('3.3', '0.010')
    """
    worth = 100 / rows
    return f"{worth:.{max(0, 1 - math.floor(math.log10(worth)))}f}"


def p_text(p: float) -> str:
    """A p value with the digits that matter.

    Example:
        >>> p_text(0.62), p_text(0.0312), p_text(0.0031), p_text(1e-9)
        ('p = 0.62', 'p = 0.031', 'p = 0.003', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.{3 if p < 0.1 else 2}f}"


def seeds_text(seeds: int) -> str:
    """A number of seeds.

    Example:
        >>> seeds_text(1), seeds_text(20)
        ('1 seed', '20 seeds')
    """
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def list_names(names: Sequence[str]) -> str:
    """Names in one phrase; beyond three the rest is counted.

    Example:
        >>> list_names(["zeros"]), list_names(["zeros", "ones"]), list_names(["a", "b", "c", "d", "e"])
        ('zeros', 'zeros and ones', 'a, b, c and 2 more')
    """
    if len(names) > SPELLED + 1:
        return f"{', '.join(names[:SPELLED])} and {len(names) - SPELLED} more"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
