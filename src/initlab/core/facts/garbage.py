"""What memory that nobody wrote holds, and no weight does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST = float(np.finfo(np.float32).tiny)  # 2^-126: what is closer to 0 is denormal
LARGEST = 1e6  # the largest number that a weight holds; positions, frequencies and scaled tables stay below it

_CHUNK = 1 << 18  # entries looked at together: 1 MB of float32, which stays in the cache


def garbage(
    values: NDArray[np.floating], *, is_written: bool = False, frozen: bool = False, may_be_trained: bool = False
) -> float | None:
    """A number that no weight holds, as memory does that nobody wrote; None where there is none.

    Such a number is

    - NaN, whoever wrote it;
    - closer to 0 than 2^-126 (denormal in float32 and bfloat16) and not 0: a LayerScale of 1e-6 is far from it, also
      where float16 holds it as a denormal of its own;
    - beyond 1e6: a lambda of 1e4 is not, nor an embedding times 100, whether all entries are alike or not.

    Training leaves the second kind behind, where weight decay shrinks what no gradient holds: fewer than half of a
    trained weight's numbers, the zeros left out, and beside them ordinary ones.

    The last two are none where somebody is known to have written them, and beyond 1e6 also in a frozen mask: zeros and
    one other number, both there, as -inf or -1e9. Old numbers and empty pages are told from a weight by no value.

    Args:
        values: All of a parameter's numbers.
        is_written: Whether they are known to have been written.
        frozen: Whether the parameter's owner excluded it from training.
        may_be_trained: Whether they may come from a training that is over.

    Example:
        >>> garbage(np.array([0.5, 1e-42], np.float32)) is None, garbage(np.array([1e-6, 1e4, 0.0])) is None
        (False, True)
        >>> garbage(np.array([1e30])), garbage(np.array([1e30]), is_written=True)
        (1e+30, None)
    """
    flat = values.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        found = _first(flat[start : start + _CHUNK], is_written=is_written)
        if found is not None and may_be_trained and abs(found) < SMALLEST and _is_trained(flat):
            continue
        if found is not None:
            return None if frozen and abs(found) > LARGEST and _is_mask(flat) else found
    return None


def _first(part: NDArray[np.floating], *, is_written: bool) -> float | None:
    size = np.abs(part)
    low, high = size.min(), size.max()
    if is_written:
        wrong = np.isnan(size)
    elif low >= SMALLEST and high <= LARGEST:
        return None
    else:
        # Zeros by their bits, for a processor may be set to take denormals for zeros.
        wrong = ~((size >= SMALLEST) & (size <= LARGEST) | (part.view(f"u{part.itemsize}") << 1 == 0))
    return float(part[np.argmax(wrong)]) if wrong.any() else None


def _is_trained(flat: NDArray[np.floating]) -> bool:
    """Whether most of the numbers that are not zero are those of a weight, and the others no worse than denormal."""
    size = np.abs(flat)
    ordinary = np.count_nonzero((size >= SMALLEST) & (size <= LARGEST))
    return bool(size.max() <= LARGEST and 2 * ordinary > np.count_nonzero(flat))


def _is_mask(flat: NDArray[np.floating]) -> bool:
    """Whether numbers are zeros and one other number, each there."""
    other = flat[np.argmax(flat != 0.0)]
    is_other = flat == other
    return bool((is_other | (flat == 0.0)).all() and not is_other.all())
