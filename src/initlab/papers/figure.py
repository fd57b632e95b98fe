"""The figure of a row: numbers first, drawing second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TypeAlias

from initlab.report.drawing.charts import axis, chart
from initlab.report.drawing.theme import Spec

Points: TypeAlias = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Figure:
    """Lines and dots over one pair of axes.

    Attributes:
        title: What it shows.
        x: The horizontal axis.
        y: The vertical axis.
        lines: Theory, or what the paper says, by label.
        dots: What was measured, by label.
        log_x: Whether the horizontal axis is logarithmic.
        log_y: Whether the vertical one is.
        note: What lines and dots are.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Points] = field(default_factory=dict)
    dots: Mapping[str, Points] = field(default_factory=dict)
    log_x: bool = False
    log_y: bool = False
    note: str = "lines: theory; dots: measured"

    def spec(self) -> Spec:
        """The figure as a Vega-Lite specification; what an axis cannot hold is left out."""
        return chart(
            self._shown(self.lines),
            self._shown(self.dots),
            x=axis(self.x, log=self.log_x),
            y=axis(self.y, log=self.log_y),
            title=self.title,
            note=self.note,
            columns=2,
        )

    def to_dict(self) -> dict[str, object]:
        """The figure as plain data."""
        return {
            "title": self.title,
            "x": self.x,
            "y": self.y,
            "lines": {label: [list(p) for p in line] for label, line in self._shown(self.lines).items()},
            "dots": {label: [list(p) for p in line] for label, line in self._shown(self.dots).items()},
        }

    def _shown(self, lines: Mapping[str, Points]) -> dict[str, list[tuple[float, float]]]:
        return {label: [(float(x), float(y)) for x, y in line if self._holds(x, y)] for label, line in lines.items()}

    def _holds(self, x: float, y: float) -> bool:
        return isfinite(x) and isfinite(y) and (x > 0 or not self.log_x) and (y > 0 or not self.log_y)


def by_layer(values: Sequence[float], *, first: int = 1, most: int = 60) -> list[tuple[float, float]]:
    """Numbers with their layers, counted from ``first``, evenly thinned to about ``most``.

    Example:
        >>> by_layer([5.0, 6.0, 7.0], most=2)
        [(1.0, 5.0), (3.0, 7.0)]
    """
    step = max(1, -(-len(values) // most))
    return [(float(first + at), float(value)) for at, value in enumerate(values) if at % step == 0]
