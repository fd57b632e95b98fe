"""How a suite says what it found: an ``AssertionError`` with the thing that is otherwise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from initlab.core.adapter import Adapter
from initlab.core.errors import UnsupportedError
from initlab.frameworks import FRAMEWORKS

_TOLERANCE = 1e-5  # of sums in float32 beside those in float64, relative


def hold(is_so: bool, otherwise: str, found: object = "") -> None:
    """Raises AssertionError for what is not so, with what was found in its place."""
    if not is_so:
        raise AssertionError(f"{otherwise}{f': {found}' if str(found) else ''}")


def hold_near(found: ArrayLike, wanted: ArrayLike, what: str) -> None:
    """Raises AssertionError for numbers that a formula gives otherwise."""
    here, there = np.asarray(found, float), np.asarray(wanted, float)
    close = here.shape == there.shape and np.allclose(here, there, rtol=_TOLERANCE, atol=1e-6)
    hold(close, f"{what}: {here.tolist()}, and {there.tolist()} by the formula")


def hold_refused(kind: type[Exception], call: Callable[[], object], what: str) -> None:
    """Raises AssertionError for a call that goes through where it should raise."""
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{what} is not refused as {kind.__name__}")


def hold_refusal(adapter: Adapter, error: UnsupportedError) -> None:
    """Raises AssertionError for a refusal that names no framework, or no other way."""
    title = FRAMEWORKS[adapter.framework].title
    hold(title in error.what and bool(error.fix), f"a refusal names no '{title}', or no other way", error)
