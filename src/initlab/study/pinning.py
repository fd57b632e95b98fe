"""What a worker settles before NumPy or a framework counts the threads that it may start: its core."""

from __future__ import annotations

import os
import sys

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def pin_to_core(core: int) -> bool:
    """Whether this process now runs on one core alone; its BLAS is single-threaded in any case.

    Two workers with a core each finish two models sooner than two workers that share both: no thread pool hands work
    about, and each core's cache holds one model. Where the platform cannot bind a process to a core (macOS, Windows),
    the threads alone are limited.

    Args:
        core: The worker's number, counted from 0; it takes that entry, modulo their count, of the cores allowed to it.
    """
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    if sys.platform == "win32" or not hasattr(os, "sched_setaffinity"):
        return False
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[core % len(allowed)]})
    return True
