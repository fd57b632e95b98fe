"""Many values made few, as figures show them: the runs of a scheme, some of many layers, means and bands over seeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.report.drawing.text import evenly, round_to
from initlab.study.records import RunRecord

Numbers: TypeAlias = tuple[float | None, ...]
Floats: TypeAlias = NDArray[np.float64]

MOST_LAYERS = 8
# A band over seeds: from their 10th to their 90th percentile.
_BAND = (10.0, 90.0)


def runs_of(records: Iterable[RunRecord], scheme: str) -> tuple[RunRecord, ...]:
    """The runs of one scheme, by seed."""
    return tuple(sorted((r for r in records if r.spec.scheme == scheme), key=lambda r: r.spec.seed))


def shown_layers(count: int) -> tuple[int, ...]:
    """The layers that have panels: all, or ``MOST_LAYERS`` evenly spread ones, first and last among them.

    Example:
        >>> shown_layers(3), shown_layers(15)
        ((0, 1, 2), (0, 2, 4, 6, 8, 10, 12, 14))
    """
    return evenly(count, MOST_LAYERS)


def finite_mean(values: Floats, *, digits: int = 5) -> float | None:
    """The mean of the finite values, to so many significant digits; None where there is none.

    Example:
        >>> finite_mean(np.array([1.0, np.nan, 2.0])), finite_mean(np.array([np.nan]))
        (1.5, None)
    """
    finite = values[np.isfinite(values)]
    return round_to(float(finite.mean()), digits=digits) if len(finite) else None


def band(values: Floats) -> tuple[Numbers, Numbers, Numbers]:
    """Mean, 10th and 90th percentile over the seeds; None where no seed has a finite value.

    Args:
        values: (seeds, places), the places being epochs or layers.

    Example:
        >>> band(np.array([[0.0, np.nan], [10.0, np.nan]]))
        ((5.0, None), (1.0, None), (9.0, None))
    """
    columns = [column[np.isfinite(column)] for column in values.T]
    low, high = (
        tuple(round_to(float(np.percentile(column, percent))) if len(column) else None for column in columns)
        for percent in _BAND
    )
    return tuple(finite_mean(column) for column in columns), low, high
