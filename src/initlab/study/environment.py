"""What a run was made with: versions and the machine's kind; nothing that tells whose machine it is."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from initlab._version import NUMERICS, __version__
from initlab.frameworks import FRAMEWORKS

PACKAGES = ("numpy", "numba")


def environment(framework: str = "jax", *, here: bool = False) -> dict[str, str]:
    """Versions of what computes, the platform, the processor's model and the number of cores.

    Packages that are not installed are left out. There are no names of users, hosts or folders in it.

    Args:
        framework: What trains.
        here: Whether it is the framework as this process has imported it, not as a worker will.

    Example:
        >>> "host" in environment(), environment()["python"].count(".")
        (False, 2)
    """
    settings = FRAMEWORKS[framework].settings
    return {**_versions(framework), **({} if settings is None else settings(here)), **_machine()}


@cache
def _versions(framework: str) -> dict[str, str]:
    found = {"initlab": __version__, "numerics": NUMERICS, "python": platform.python_version()}
    for package in (*PACKAGES, *FRAMEWORKS[framework].packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def _machine() -> dict[str, str]:
    kind = f"{platform.system()} {platform.machine()}"
    return {"platform": kind, "cpu": _cpu_model(), "cores": str(usable_cores())}


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
