"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from initlab.core.errors import OptionError, ResourceError

PICTURES = (".png", ".svg")
PAGES = (".html", ".htm")


def write_whole(path: Path, content: bytes) -> None:
    """The file holds the content, also after a crash: it is written beside its place, synced and moved there.

    Args:
        path: The file; what it held before is replaced.
        content: All of it.

    Raises:
        OptionError: A device, a pipe or a folder is there; it is left alone.
        ResourceError: The disk is full, or the folder is gone or cannot be written to; what was there stays.
    """
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of another once all within is written and synced; else what was there stays.

    Args:
        path: The file.

    Raises:
        OptionError: A device, a pipe or a folder is there; it is left alone.
        ResourceError: The disk is full, or the folder is gone or cannot be written to; what was there stays.
    """
    _check_replaceable(path)
    with writing(path):
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".initlab-", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes a file for its owner alone; a report is as readable as the umask lets it be.
            os.chmod(beside, 0o666 & ~_umask())
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise


def read_file(path: Path, *, most: int) -> bytes:
    """All of a file; a pipe that nobody writes to is not waited for, and no device is read without an end.

    Args:
        path: The file.
        most: Bytes of the largest file that is read.

    Raises:
        OSError: It cannot be read, is no file, or is larger.
    """
    told = os.stat(path)
    if not stat.S_ISREG(told.st_mode):
        raise OSError(errno.EINVAL, "it is no file", str(path))
    if told.st_size > most:
        raise OSError(errno.EFBIG, f"it holds {told.st_size:,} bytes, more than {most:,}", str(path))
    return path.read_bytes()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within it, a fault of the file system is an error of one line.

    Args:
        path: What is written, for the error.

    Raises:
        ResourceError: The disk is full, the folder is gone or cannot be written to, or the device fails.
    """
    try:
        yield
    except OSError as error:
        fix = "what was finished is kept: mend that, and run the same command again"
        raise ResourceError(f"cannot write: {_reason(error)}", where=str(path), fix=fix) from error


def make_folder(path: Path) -> None:
    """The folder is there, with all above it.

    Raises:
        ResourceError: It cannot be made.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def check_folder(path: Path, *, option: str, is_read: bool = False) -> None:
    """Nothing, where a folder is there or can be made under that name, and can be written to.

    Args:
        path: The folder.
        option: The option that it was given to.
        is_read: Whether nothing is to be written to it.

    Raises:
        OptionError: A file is there, the name cannot be one, or the folder is read-only.
    """
    found = _found(path, option)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise OptionError(f"'{path}' is a file", where=option, fix="name a folder")
    nearest = next((folder for folder in (path, *path.absolute().parents) if folder.exists()), path)
    if not is_read and nearest.is_dir() and not os.access(nearest, os.W_OK | os.X_OK):
        raise OptionError(f"'{path}' cannot be written to, '{nearest}' is read-only", where=option, fix="name another")


def check_target(path: Path, endings: tuple[str, ...] = (), *, option: str = "") -> None:
    """Nothing, where a file of one of these endings can be written there.

    Args:
        path: Where to.
        endings: With their dots, in lower case; any, if left out.
        option: The option that it was given to.

    Raises:
        OptionError: It cannot.
    """
    if endings and path.suffix.lower() not in endings:
        told = f"'{path.name}' does not end in {' or '.join(endings)}"
        raise OptionError(told, where=option, fix=f"name it {path.stem}{endings[0]}")
    _check_replaceable(path, option=option)
    if not path.parent.is_dir():
        raise OptionError(f"'{path}' cannot be written", where=option, fix="name a file in a folder that exists")
    if not os.access(path.parent, os.W_OK):
        told = f"'{path}' cannot be written, its folder is read-only"
        raise OptionError(told, where=option, fix="name a file in another folder")


def _check_replaceable(path: Path, *, option: str = "") -> None:
    """Refuse what is there and is no file: a device of that name would be replaced by one."""
    found = _found(path, option)
    if found is not None and not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        told = f"'{path}' cannot be written, it is {kind}"
        raise OptionError(told, where=option, fix="name a file in a folder that exists")


def _found(path: Path, option: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        told = f"'{path}' cannot be written, {_reason(error)}"
        raise OptionError(told, where=option, fix="give another name") from error


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
