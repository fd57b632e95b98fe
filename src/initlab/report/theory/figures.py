"""The numbers of theory's pictures: curves over layers and the phase diagram, rounded, None where nothing is finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from initlab.report.drawing.text import count_of, round_to
from initlab.theory import PhaseDiagram, TheoryReport, phase_diagram

# Of the default diagram, which a point beyond it widens.
_SIGMA_W, _SIGMA_B = 3.0, 1.0
_COLUMNS, _ROWS = 30, 21
_MARGIN = 1.15


@dataclass(frozen=True)
class PhasePoint:
    """One choice of weights and biases, or one layer of a model.

    Attributes:
        label: What it is, in words.
        sigma_w: Std of a weight times the root of its fan-in.
        sigma_b: Std of a bias.
    """

    label: str
    sigma_w: float
    sigma_b: float


@dataclass(frozen=True)
class PhaseCell:
    """One rectangle of the diagram, by its corners; ``chi_1`` is None where the signal dies out or explodes."""

    left: float
    right: float
    low: float
    high: float
    chi_1: float | None


@dataclass(frozen=True)
class PhaseFigure:
    """Where nets of one activation are ordered and where chaotic, with points.

    Attributes:
        f: The activation.
        cells: ``chi_1`` over the plane.
        edge: The edge of chaos as (sigma_w, sigma_b), in ascending ``q``; one point where it is one.
        points: What is marked.
        sigma_w: The end of the axis of weights.
        sigma_b: The end of the axis of biases.
        is_model: Whether the points are the layers of a model.
    """

    f: str
    cells: tuple[PhaseCell, ...]
    edge: tuple[tuple[float, float], ...]
    points: tuple[PhasePoint, ...]
    sigma_w: float
    sigma_b: float
    is_model: bool = False


@dataclass(frozen=True)
class TheoryFigure:
    """Signal, correlation and gradient by layer, and the phase diagram.

    Attributes:
        title: Activation, weights, biases and depth.
        layers: Counted from 1.
        signal: E[z^2], from 1 in the first layer.
        correlation: Of two inputs that have none in the first layer.
        gradient: Squared norm over that of the last layer; None where it is zero.
        phases: None where no gradient passes.
    """

    title: str
    layers: tuple[int, ...]
    signal: tuple[float | None, ...]
    correlation: tuple[float | None, ...]
    gradient: tuple[float | None, ...]
    phases: PhaseFigure | None


def theory_figure(report: TheoryReport) -> TheoryFigure:
    """The numbers of a report's picture.

    Example:
        >>> from initlab.theory import theory_report
        >>> figure = theory_figure(theory_report("relu", depth=3))
        >>> figure.layers, figure.signal, figure.phases.points[0].sigma_w
        ((1, 2, 3), (1.0, 1.0, 1.0), 1.4142)
    """
    d, points = report.description, report.layers
    weights = f"σ_w² = {report.sigma_w2:.6g}, σ_b² = {report.sigma_b2:.4g}"
    point = PhasePoint(weights, _round(math.sqrt(report.sigma_w2)), _round(math.sqrt(report.sigma_b2)))
    return TheoryFigure(
        title=f"{d.name}: {weights}, {count_of(report.depth, 'layer')}",
        layers=tuple(p.layer for p in points),
        signal=tuple(round_to(p.q) for p in points),
        correlation=tuple(round_to(p.correlation) for p in points),
        # A float's range is more than an axis shows.
        gradient=tuple(round_to(p.gradient) if 0.0 < p.gradient < math.inf else None for p in points),
        phases=phase_figure(d.name, [point], known=report.phases) if report.phases is not None else None,
    )


def phase_figure(
    f: str, points: Sequence[PhasePoint], *, known: PhaseDiagram | None = None, is_model: bool = False
) -> PhaseFigure:
    """The phase diagram of an activation with points in it; the axes reach beyond all of them.

    Args:
        f: The activation.
        points: What is marked.
        known: The default diagram, where it is at hand.
        is_model: Whether the points are the layers of a model.

    Raises:
        InitlabError: No gradient passes the activation.
    """
    widest = max((p.sigma_w for p in points), default=0.0)
    highest = max((p.sigma_b for p in points), default=0.0)
    if widest > _SIGMA_W or highest > _SIGMA_B or known is None:
        sigma_w = max(_SIGMA_W, _MARGIN * widest)
        sigma_b = max(_SIGMA_B, _MARGIN * highest)
        columns, rows = np.linspace(sigma_w / _COLUMNS, sigma_w, _COLUMNS), np.linspace(0.0, sigma_b, _ROWS)
        known = phase_diagram(f, sigma_w=columns.tolist(), sigma_b=rows.tolist())
    ends = (known.sigma_w[-1], known.sigma_b[-1])
    edge = [(_round(math.sqrt(p.sigma_w2)), _round(math.sqrt(p.sigma_b2))) for p in known.edge]
    # A little beyond the axes, so that the line does not end before them.
    inside = dict.fromkeys(p for p in edge if p[0] <= 3.0 * ends[0] and p[1] <= 3.0 * ends[1])
    return PhaseFigure(f, _cells(known), tuple(inside), tuple(points), *ends, is_model)


def _cells(known: PhaseDiagram) -> tuple[PhaseCell, ...]:
    columns, rows = _bounds(known.sigma_w), _bounds(known.sigma_b)
    return tuple(
        PhaseCell(*columns[i], *rows[j], round_to(chi, digits=3))
        for j, row in enumerate(known.chi_1)
        for i, chi in enumerate(row)
    )


def _bounds(axis: Sequence[float]) -> list[tuple[float, float]]:
    """The cell around each number of an axis: halfway to its neighbours, and not beyond the ends."""
    middles = [0.5 * (a + b) for a, b in pairwise(axis)]
    edges = [0.0, *middles, axis[-1]]
    return [(_round(a), _round(b)) for a, b in pairwise(edges)]


def _round(value: float) -> float:
    return float(f"{value:.5g}")
