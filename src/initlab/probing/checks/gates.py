"""Gates: activations that decide how much of another value passes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from initlab.core.errors import InitlabError
from initlab.probing.checks.registry import Case
from initlab.probing.measure.metrics import LayerRow
from initlab.probing.measure.trunk import takers_of
from initlab.theory import activation

# Sums at which a gate is open or shut, and how far it may be from that.
_FAR, _NOTHING = 40.0, 1e-9


def is_gate(case: Case, row: LayerRow) -> bool:
    """Whether an activation goes from 0 to 1, and what it makes only multiplies other values."""
    takers = takers_of(case.evidence.reading.places).get(case.index.get(row.activation, -1), ())
    return bool(takers) and all(case.place(at).kind == "product" for at in takers) and _opens(row.f)


@lru_cache(maxsize=64)
def _opens(f: str) -> bool:
    try:
        low, high = (float(end) for end in activation(f)(np.array([-_FAR, _FAR])))
    except InitlabError:
        return False
    return abs(low) < _NOTHING and abs(high - 1.0) < _NOTHING
