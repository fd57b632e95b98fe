"""What a worker settles before jax is imported, which this module never does: one thread, and its compiled code."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

from initlab.core.errors import OptionError

_SINGLE_THREAD = "--xla_cpu_multi_thread_eigen=false"


def settle(folder: Path) -> None:
    """XLA computes on one thread, and keeps in the folder what it compiled.

    Raises:
        OptionError: jax is imported already and would not see its flags.
    """
    use_one_thread()
    keep_compiled(folder)


def use_one_thread() -> None:
    """XLA computes on one thread, of the CPU unless ``JAX_PLATFORMS`` says otherwise.

    Raises:
        OptionError: jax is imported already and would not see its flags.
    """
    _refuse_late()
    flags = os.environ.get("XLA_FLAGS", "").split()
    if not any(flag.startswith("--xla_cpu_multi_thread_eigen") for flag in flags):
        os.environ["XLA_FLAGS"] = " ".join([*flags, _SINGLE_THREAD])
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


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
