"""How much memory a request takes, told before any of it is taken."""

from __future__ import annotations

import errno
import io
import math
import os
import stat
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import OptionError

_UNKNOWN = 1 << 36  # 64 GiB, where the system does not say what it has
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def check_memory(what: str, size: int, *, where: str = "") -> None:
    """Nothing, where this machine has that much memory.

    Args:
        what: What takes it, with its count.
        size: Bytes.
        where: The option.

    Raises:
        OptionError: It has not.

    Example:
        >>> check_memory("10,000,000,000,000 rows", 8 * 10**13)
        Traceback (most recent call last):
        initlab.core.errors.OptionError: 10,000,000,000,000 rows would take 80,000 GB of memory, ...
    """
    there = machine_memory()
    if size > there:
        told = f"{what} would take {_gigabytes(size)} of memory, this machine has {_gigabytes(there)}"
        raise OptionError(told, where=where, fix="give a smaller number")


def npy_array(data: bytes) -> NDArray[Any]:
    """The array of a ``.npy`` file, whose header must say what the file holds before any memory is taken.

    Args:
        data: All of the file.

    Raises:
        ValueError: It is no such file, is torn, or holds objects.

    Example:
        >>> file = io.BytesIO()
        >>> np.save(file, np.arange(3))
        >>> npy_array(file.getvalue()).tolist()
        [0, 1, 2]
        >>> npy_array(file.getvalue()[:-1])
        Traceback (most recent call last):
        ValueError: an array's header says 24 bytes, there are 23
    """
    stream = io.BytesIO(data)
    try:
        read = _HEADERS.get(np.lib.format.read_magic(stream))
        if read is None:
            raise ValueError("an array of an unknown version")
        shape, _, kind = read(stream)
    except (MemoryError, RecursionError, TypeError, SyntaxError, TokenError) as error:  # all of one text parser
        raise ValueError(f"an array's header cannot be read: {type(error).__name__}") from error
    due, held = math.prod(shape) * kind.itemsize, len(data) - stream.tell()
    if due != held and not kind.hasobject:
        raise ValueError(f"an array's header says {due:,} bytes, there are {held:,}")
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array


def npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file by name, once it is known that there is room for them.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read, or is no file.
        ValueError: It is no archive of arrays, is torn, or holds objects.
        OptionError: This machine has not enough memory for what is in it.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe that nobody writes to is not waited for
        raise OSError(errno.EINVAL, "it is no file", str(path))
    try:
        with zipfile.ZipFile(path) as file:
            members = [info for info in file.infolist() if info.filename.endswith(".npy")]
            check_memory(f"the arrays of {path.name}", sum(info.file_size for info in members), where=str(path))
            return {info.filename.removesuffix(".npy"): npy_array(file.read(info)) for info in members}
    except (EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"it is no zip archive, or is torn: {error}") from error


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.0f} GB" if size < 10**24 else "more than 10^24 bytes"
