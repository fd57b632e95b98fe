"""The files that code reads while it runs."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from initlab.core.identity.places import is_installed

_CODE = {".py", ".pyc", ".pyo", ".pyi", ".ipynb"}
_readers: dict[int, list[str]] = {}


@contextmanager
def files_read() -> Iterator[list[str]]:
    """Within it, every file that this thread opens to read is in the list, by its absolute name."""
    _listen()
    here, found = threading.get_ident(), list[str]()
    before, _readers[here] = _readers.get(here), found
    try:
        yield found
    finally:
        if before is None:
            del _readers[here]
        else:
            _readers[here] = before


@cache
def _listen() -> None:
    sys.addaudithook(_hear)  # one a process: Python has no way to take a hook away


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not _readers:
        return
    found = _readers.get(threading.get_ident())
    path, _, flags = arguments
    writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
    if found is not None and isinstance(path, str | bytes | os.PathLike) and not writes:
        found.append(os.path.abspath(os.fsdecode(path)))


def digests_of_files(paths: list[str], folders: tuple[Path, ...]) -> dict[str, str]:
    """The files among these that lie in the user's folders, by their place there, with 16 digits of their sha256.

    Args:
        paths: Absolute names.
        folders: The user's; code in them is told by itself, and what is installed in them is known by its version.
    """
    found = {}
    for path in dict.fromkeys(paths):
        file = Path(path).resolve()
        home = next((folder for folder in folders if file.is_relative_to(folder)), None)
        if home is None or file.suffix in _CODE or not file.is_file() or is_installed(file):
            continue
        with open(file, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        found[file.relative_to(home).as_posix()] = digest[:16]
    return found
