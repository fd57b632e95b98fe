"""Histograms of a profile's values, as JSON-ready data: how many entries of each weighted sum lie where."""

from __future__ import annotations

import math
from collections.abc import Iterator

from initlab.core.signals.readings import Reading, Sums
from initlab.core.signals.sums import HISTOGRAM_REACH


def histograms_of(reading: Reading) -> dict[str, list[dict[str, object]]]:
    """Of every weighted sum and of the loss's gradient by it, in order of use; empty lists where none were counted.

    A histogram is the place's ``path``, its ends ``low`` and ``high``, and ``counts`` in equal bins between them; what
    lies outside is in the last bins.

    Args:
        reading: What a pass showed.

    Example:
        >>> from initlab.core.signals.readings import Place
        >>> import numpy as np
        >>> sums = Sums(rows=2, entries=4, units=2, mean=0.0, square=4.0, counts=np.array([1, 3]))
        >>> found = histograms_of(Reading((Place("weighted", "fc"),), (0,), {0: sums}, {}, {}, math.nan, 0.0, "random"))
        >>> found["signal"], found["gradient"]
        ([{'path': 'fc', 'low': -10.0, 'high': 10.0, 'counts': [1, 3]}], [])
    """
    return {
        name: list(_counted(reading, sums))
        for name, sums in (("signal", dict(reading.forward)), ("gradient", dict(reading.backward)))
    }


def _counted(reading: Reading, sums: dict[int, Sums]) -> Iterator[dict[str, object]]:
    for index, place in enumerate(reading.places):
        one = sums.get(index)
        if place.kind != "weighted" or one is None or not len(one.counts) or not one.square > 0.0:
            continue
        reach = HISTOGRAM_REACH * math.sqrt(one.square)
        yield {"path": place.path, "low": -reach, "high": reach, "counts": one.counts.tolist()}
