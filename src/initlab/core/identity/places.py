"""Whose a module is: the user's own, a package that is known by its version, or Python's and ours."""

from __future__ import annotations

import sys
import sysconfig
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

Owner = Literal["user", "package", "python"]


def owner_of(module: str) -> Owner:
    """Who wrote a module: what is installed lies in a folder of this environment, all else is the user's.

    Example:
        >>> owner_of("numpy.random"), owner_of("json"), owner_of("initlab.core")
        ('package', 'python', 'python')
    """
    top = module.partition(".")[0]
    if module == "__main__":  # a script, a prompt, a notebook; under ``python -m`` what is typed is in it too
        return "user"
    if top in ("initlab", "builtins") or top in sys.stdlib_module_names:
        return "python"
    file = file_of(module)
    if file is None:
        return "python" if top in sys.builtin_module_names else "user"
    return "package" if is_installed(file) else "user"


def file_of(module: str) -> Path | None:
    """The file of a module, imported or not; None where it has none."""
    if module == "__main__" or module in sys.modules:
        file = getattr(sys.modules.get(module), "__file__", None)
        return Path(file) if isinstance(file, str) else None
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin is not None else None


def is_installed(file: Path) -> bool:
    """Whether a file lies where packages, or Python's own modules, are installed."""
    place = file.resolve()
    return any(place.is_relative_to(folder) for folder in _installed()) or "site-packages" in place.parts


@cache
def _installed() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = {Path(sysconfig.get_path(name)).resolve() for name in names}
    return tuple(found)


@cache
def package_version(top: str) -> str:
    """The version of the package that brings a top-level module; empty where it has none."""
    for name in (top, *packages_distributions().get(top, ())):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""
