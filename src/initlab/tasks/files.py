"""Bytes of files: read whole, unzipped, and written so that no reader ever sees half of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tempfile
import zlib
from pathlib import Path

from initlab.core.errors import DataError, ResourceError

_GZIP_MAGIC = b"\x1f\x8b"
# Ten times the largest file of any data set here: a small archive that unpacks to gigabytes stops there.
_LARGEST = 500_000_000


def read_bytes(path: Path) -> bytes:
    """The content of a file, unzipped if it is gzipped, whatever its name says.

    Raises:
        DataError: The file cannot be read, or its gzip stream is torn.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"the file cannot be read, {error.strerror}", where=str(path)) from error
    return gunzipped(raw, where=str(path))


def gunzipped(raw: bytes, *, where: str) -> bytes:
    """The bytes inside a gzip stream; bytes that are none are returned as they are.

    Args:
        raw: Gzipped or plain bytes.
        where: Where they are from, for the error.

    Raises:
        DataError: The stream is cut off, fails its own checksum, or is larger than any data set.

    Example:
        >>> import gzip
        >>> gunzipped(gzip.compress(b"abc"), where="here"), gunzipped(b"abc", where="here")
        (b'abc', b'abc')
    """
    if not raw.startswith(_GZIP_MAGIC):
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            content = stream.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"the gzip stream is torn, {error}", where=where, fix="replace or remove that file") from error
    if len(content) > _LARGEST:
        raise DataError(f"the gzip stream unpacks to more than {_LARGEST} bytes", where=where)
    return content


def sha256(raw: bytes) -> str:
    """Hex digest of the bytes.

    Example:
        >>> sha256(b"")[:12]
        'e3b0c44298fc'
    """
    return hashlib.sha256(raw).hexdigest()


def check_sha256(raw: bytes, due: str, *, what: str, where: str) -> None:
    """Nothing, if the bytes have the digest that is due.

    Args:
        raw: Uncompressed bytes.
        due: Their sha256, hex.
        what: What they should be, for the error.
        where: The path or address they are from, for the error.

    Raises:
        DataError: They have another digest.
    """
    found = sha256(raw)
    if found != due:
        raise DataError(
            f"not {what}, sha256 is {found[:12]}... and should be {due[:12]}...",
            where=where,
            fix="replace or remove that file, or name another folder with --data PATH",
        )


def write_atomically(path: Path, raw: bytes) -> None:
    """Put a file in place in one step: a reader, or a crash, finds it whole or not at all.

    Raises:
        ResourceError: The folder cannot be made or written, or the disk is full; nothing is left behind.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            temporary = Path(file.name)
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ResourceError(
            f"the file cannot be written, {error.strerror}",
            where=str(path),
            fix="name another folder with INITLAB_CACHE",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
