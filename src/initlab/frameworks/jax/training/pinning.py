"""What a worker settles before jax is imported, which this module never does: its core, and its compiled code."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

from initlab.core.errors import OptionError

_SINGLE_THREAD = "--xla_cpu_multi_thread_eigen=false"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def pin_to_core(core: int) -> bool:
    """Whether this process now runs on one core alone; its XLA and BLAS are single-threaded in any case.

    Two workers with a core each finish two models sooner than two workers that share both: no thread pool hands work
    about, and each core's cache holds one model. Where the platform cannot bind a process to a core (macOS, Windows),
    the threads alone are limited. XLA computes on the CPU, unless ``JAX_PLATFORMS`` says otherwise.

    Args:
        core: The worker's number, counted from 0; it takes that entry, modulo their count, of the cores allowed to it.

    Raises:
        OptionError: jax is imported already and would not see its flags.
    """
    _refuse_late()
    flags = os.environ.get("XLA_FLAGS", "").split()
    if not any(flag.startswith("--xla_cpu_multi_thread_eigen") for flag in flags):
        os.environ["XLA_FLAGS"] = " ".join([*flags, _SINGLE_THREAD])
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if sys.platform == "win32" or not hasattr(os, "sched_setaffinity"):
        return False
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[core % len(allowed)]})
    return True


def keep_compiled(folder: Path) -> Path:
    """The folder in which jax keeps compiled code for the next process on a processor of this kind.

    Reading takes about a third of the time of compiling, and gives the same bits. Code of one processor may be illegal
    on another, so a folder shared between machines holds a folder for each kind. A file that is torn is compiled anew.
    A user's own ``JAX_COMPILATION_CACHE_DIR`` is left alone.

    Args:
        folder: The user's own cache; no one else may write there, as what it holds is run.

    Raises:
        OptionError: jax is imported already and would not see the folder.
    """
    _refuse_late()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / _processor()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    return Path(os.environ["JAX_COMPILATION_CACHE_DIR"])


def _refuse_late() -> None:
    if "jax" in sys.modules:
        raise OptionError("jax is imported already and reads its settings once", fix="settle them before the import")


def _processor() -> str:
    """A short name for what code this processor can run: on Linux, of its instruction sets."""
    facts = [platform.system(), platform.machine(), platform.processor()]
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        lines = listing.read_text(encoding="utf-8", errors="replace").splitlines()
        facts += sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=8).hexdigest()
