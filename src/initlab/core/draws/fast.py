"""The fast path of element-wise draws: numba's kernels on all cores, bit for bit the oracle's values.

numba is imported by the first draw that is long enough to repay it; without numba nothing changes but the time.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.formulas import EntryFormula
from initlab.core.draws.philox import split_words
from initlab.core.draws.streams import Stream
from initlab.core.errors import OptionError

if TYPE_CHECKING:
    from initlab.core.draws.kernels import Kernel

CHUNK = 1024  # entries; a kernel fills whole chunks that start at multiples of it
PIECE = 1 << 17  # entries that a thread takes at a time
LONG = 1 << 12  # NumPy takes 0.2 ms, a kernel a tenth of that
LONG_ENOUGH_TO_IMPORT = 1 << 22  # NumPy takes 0.1 s; to import numba takes 0.6 s, which a few as many entries repay
THREADS = "INITLAB_NUM_THREADS"


def threads() -> int:
    """Threads of a long draw: ``INITLAB_NUM_THREADS``, else the cores this process may use. Their number alters no bit.

    Raises:
        OptionError: The variable is not a whole number of 1 or more.
    """
    text = os.environ.get(THREADS, "")
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"{THREADS}={text} is not a whole number of 1 or more", fix=f"e.g. {THREADS}=2")
    return int(text)


_waited = 0  # entries of long draws that NumPy was given so far


def pays(n: int) -> bool:
    """Whether the kernels shall draw the next n entries.

    Until numba is imported, the entries of long draws add up: a model of many middling tensors repays the import as one
    large tensor does, and one small net never pays it.
    """
    global _waited
    if n < LONG or "initlab.core.draws.kernels" in sys.modules:
        return n >= LONG
    _waited += n
    return _waited >= LONG_ENOUGH_TO_IMPORT and _importable()


@cache
def _importable() -> bool:
    try:
        import initlab.core.draws.kernels  # noqa: F401
    except ImportError:
        return False
    return True


def fill(formula: EntryFormula, source: Stream, start: int, out: NDArray[np.floating]) -> None:
    """Write the entries ``start, start + 1, ...`` of the formula's tensor into the one-dimensional ``out``."""
    from concurrent.futures import ThreadPoolExecutor

    from initlab.core.draws.kernels import kernel

    run = kernel(normal=formula.normal)
    cuts = [0, *range(PIECE - start % PIECE, out.size, PIECE), out.size]

    def fill_piece(at: int, stop: int) -> None:
        _fill_piece(run, formula, source, start + at, out[at:stop])

    workers = min(threads(), len(cuts) - 1)
    if workers <= 1:
        for at, stop in pairwise(cuts):
            fill_piece(at, stop)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(fill_piece, cuts[:-1], cuts[1:]))


def _fill_piece(run: Kernel, formula: EntryFormula, source: Stream, start: int, out: NDArray[np.floating]) -> None:
    """Fill ``out`` in place if it holds whole chunks and has a kernel's type; else by way of a buffer that does."""
    first = start // CHUNK
    chunks = -(-(start + out.size) // CHUNK) - first
    in_place = out.dtype.itemsize >= 4 and out.size == chunks * CHUNK
    buffer = out if in_place else np.empty(chunks * CHUNK, np.float64 if out.dtype.itemsize == 8 else np.float32)
    words = (*split_words(source.key), *split_words(source.high))
    numbers = (formula.width, formula.middle, formula.low, formula.high, formula.scale, formula.shift)
    run(buffer, np.uint64(first), *words, *numbers)
    if not in_place:
        at = start - first * CHUNK
        out[...] = buffer[at : at + out.size]
