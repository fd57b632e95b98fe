"""Histograms of 64 bins, in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from initlab.core.training.histograms import bin_counts


@pytest.mark.parametrize("width", [0.25, 1.0, 3.0])
def test_a_value_lies_in_the_bin_that_its_distance_from_the_lowest_tells(width: float) -> None:
    inside = -7.0 + width * (np.array([0.0, 0.5, 2.5, 2.75, 40.5, 63.5, 64.0]))
    low, high, counts = bin_counts(inside.astype(np.float32)[None])
    assert (low[0], high[0]) == (-7.0, -7.0 + 64.0 * width)
    assert {int(at): int(counts[0][at]) for at in np.flatnonzero(counts[0])} == {0: 2, 2: 2, 40: 1, 63: 2}


def test_each_row_has_bins_of_its_own_and_what_is_not_finite_is_not_counted() -> None:
    rows = np.array([[0.0, 64.0, 10.5, np.nan], [1.0, 129.0, np.inf, 21.5], [5.0, 5.0, 5.0, 5.0]], np.float32)
    low, high, counts = bin_counts(rows)
    assert low.tolist() == [0.0, 1.0, 4.5]
    assert high.tolist() == [64.0, 129.0, 5.5]
    assert [np.flatnonzero(row).tolist() for row in counts] == [[0, 10, 63], [0, 10, 63], [32]]
    assert counts.sum(axis=1).tolist() == [3, 3, 4]
