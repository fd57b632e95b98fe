"""Theory's pictures and its text: the numbers that are drawn."""

from __future__ import annotations

import math

import pytest

from initlab.report.theory.figures import PhasePoint, phase_figure, theory_figure
from initlab.report.theory.specs import power_ticks, theory_spec
from initlab.report.theory.text import sparkline
from initlab.theory import theory_report


def test_the_point_of_an_edge_lies_between_ordered_and_chaotic_cells() -> None:
    """tanh at sigma_b^2 = 0.05 is critical at sigma_w^2 = 1.76095464: arXiv 1611.01232."""
    phases = theory_figure(theory_report("tanh", sigma_b2=0.05)).phases
    row = [c for c in phases.cells if c.low <= math.sqrt(0.05) < c.high]
    left = [c.chi_1 for c in row if c.right < math.sqrt(1.76095464)]
    right = [c.chi_1 for c in row if c.left > math.sqrt(1.76095464)]
    assert max(left) < 1.0 < min(right)


def test_the_cells_cover_the_plane_once() -> None:
    phases = phase_figure("tanh", [PhasePoint("a", 4.0, 2.0)])
    area = sum((c.right - c.left) * (c.high - c.low) for c in phases.cells)
    assert area == pytest.approx(phases.sigma_w * phases.sigma_b, rel=1e-3)


def test_a_gradient_of_zero_has_no_place_on_a_logarithmic_axis() -> None:
    figure = theory_figure(theory_report("sign", sigma_w2=1.0, depth=5))
    assert figure.gradient == (None, None, None, None, 1.0)
    assert figure.phases is None


def test_a_picture_without_a_phase_diagram_has_three_panels() -> None:
    rows = theory_spec(theory_figure(theory_report("sign", sigma_w2=1.0, depth=5)))["vconcat"]
    assert [len(row["hconcat"]) for row in rows] == [2, 1]


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.1), (1e-30, 1e30), (0.5, 600.0), (3e-9, 4e-9)])
def test_an_axis_has_between_two_and_a_dozen_ticks_within_it(low: float, high: float) -> None:
    low, high = min(low, high / 6), high
    ticks = power_ticks(low, high)
    assert 2 <= len(ticks) <= 12
    assert all(low <= tick <= high for tick in ticks)


def test_more_values_than_columns_are_thinned_to_so_many_bars() -> None:
    assert len(sparkline([float(i) for i in range(500)], log=False, columns=40)) == 40


def test_rounding_is_no_curve() -> None:
    assert len(set(sparkline([1.0, 1.0 + 1e-12, 1.0 - 1e-12], log=True))) == 1
