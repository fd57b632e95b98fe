"""Element-wise draws: an entry is a function of its own 52 bits, so any part of a tensor is drawn alone.

The path through NumPy is the oracle; ``initlab.core.draws.fast`` gives the same bits for long ranges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from initlab.core.draws import fast
from initlab.core.draws.dtypes import weight_dtype, write
from initlab.core.draws.formulas import EntryFormula
from initlab.core.draws.philox import pairs_at, pairs_in_range
from initlab.core.draws.selection import Index, check_shape, select
from initlab.core.draws.streams import Stream

CHUNK = 1 << 14
SHORTEST_RUN = 1 << 12


def draw_entries(
    formula: EntryFormula, shape: tuple[int, ...], source: Stream, *, dtype: DTypeLike, index: Index | None
) -> NDArray[np.floating]:
    """The entries ``index`` of the tensor that the formula makes of the stream; no other entry is drawn.

    Args:
        formula: From bits to values.
        shape: Shape of the whole tensor.
        source: The stream.
        dtype: Type of the result.
        index: As for a NumPy array; None for the whole.

    Returns:
        A new array, equal bit for bit to indexing the whole.
    """
    picked = select(check_shape(shape), index)
    out = np.empty(picked.size, weight_dtype(dtype))
    run = picked.run
    if run == picked.size or run >= SHORTEST_RUN:
        for start in range(0, picked.size, max(run, 1)):
            fill(formula, source, int(picked.places(start, start + 1)[0]), out[start : start + run])
    else:
        for start in range(0, picked.size, CHUNK):
            stop = min(start + CHUNK, picked.size)
            write(formula.values(pairs_at(source.key, source.high, picked.places(start, stop))), out[start:stop])
    return out.reshape(picked.shape)


def fill(formula: EntryFormula, source: Stream, start: int, out: NDArray[np.floating]) -> None:
    """Write the entries ``start, start + 1, ...`` of the formula's tensor into the one-dimensional ``out``."""
    if fast.pays(out.size):
        fast.fill(formula, source, start, out)
    else:
        fill_with_numpy(formula, source, start, out)


def fill_with_numpy(
    formula: EntryFormula, source: Stream, start: int, out: NDArray[np.floating], *, chunk: int = CHUNK
) -> None:
    """The oracle of ``fill``: plain NumPy, ``chunk`` entries at a time."""
    for at in range(0, out.size, chunk):
        part = out[at : at + chunk]
        write(formula.values(pairs_in_range(source.key, source.high, start + at, start + at + part.size)), part)
