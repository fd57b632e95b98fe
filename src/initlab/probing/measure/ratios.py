"""What becomes of signal and gradient from one end of the hidden layers to the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from initlab.probing.measure.metrics import Compared, LayerRow


def signal_ratio(rows: Sequence[LayerRow]) -> Compared:
    """E[z^2] of the last hidden layer over that of the first."""
    return _over([row.signal for row in reversed(rows) if row.is_hidden])


def gradient_ratio(rows: Sequence[LayerRow]) -> Compared:
    """The squared norm of the loss's gradient at the first hidden layer over that at the last.

    A norm, and not the mean square of an entry: layers of different sizes share one gradient among more entries or
    fewer.
    """
    hidden = [row for row in rows if row.is_hidden]
    sizes = hidden[0].entries / hidden[-1].entries if hidden and hidden[-1].entries else math.nan
    found = _over([row.gradient for row in hidden])
    predicted = None if found.predicted is None else found.predicted * sizes
    return Compared(predicted, found.measured * sizes, found.stderr * sizes, found.scatter)


def _over(numbers: Sequence[Compared]) -> Compared:
    """The first number over the last."""
    if not numbers:
        return Compared(None, math.nan)
    first, last = numbers[0], numbers[-1]
    known = first.predicted is not None and last.predicted is not None and last.predicted > 0.0
    measured = first.measured / last.measured if last.measured else math.nan
    error = math.hypot(*(n.stderr / n.measured if n.measured else math.nan for n in (first, last)))
    return Compared(
        first.predicted / last.predicted if known and first.predicted is not None and last.predicted else None,
        measured,
        abs(measured) * error,
        max(first.scatter, last.scatter),
    )
