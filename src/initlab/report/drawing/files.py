"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from initlab.core.errors import OptionError

PICTURES = (".png", ".svg")
PAGES = (".html", ".htm")


def write_whole(path: Path, content: bytes) -> None:
    """The file holds the content, also after a crash: it is written beside its place, synced and moved there.

    Args:
        path: The file; what it held before is replaced.
        content: All of it.
    """
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes a file for its owner alone; a report is as readable as the umask lets it be.
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def check_target(path: Path, endings: tuple[str, ...], *, option: str = "") -> None:
    """Nothing, where a file of one of these endings can be written there.

    Args:
        path: Where to.
        endings: With their dots, in lower case.
        option: The option that it was given to.

    Raises:
        OptionError: It cannot.
    """
    if path.suffix.lower() not in endings:
        told = f"'{path.name}' does not end in {' or '.join(endings)}"
        raise OptionError(told, where=option, fix=f"name it {path.stem}{endings[0]}")
    if path.is_dir() or not path.parent.is_dir():
        raise OptionError(f"'{path}' cannot be written", where=option, fix="name a file in a folder that exists")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
