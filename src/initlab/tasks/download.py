"""Data sets from their public mirrors, accepted only with the right sha256."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from initlab.core.errors import DataError, MissingDependencyError
from initlab.tasks.files import read_bytes
from initlab.tasks.idxset import FILES, IdxSet, check

_Retrieve = Callable[[str, Path], Path]


_OFFLINE: ContextVar[bool] = ContextVar("offline", default=False)


@contextmanager
def offline() -> Iterator[None]:
    """Within it, nothing is downloaded: a file that someone passed on may name a data set, and must not fetch it."""
    before = _OFFLINE.set(True)
    try:
        yield
    finally:
        _OFFLINE.reset(before)


def download(idx_set: IdxSet) -> dict[str, bytes]:
    """The four uncompressed files of a set, each from the first mirror that gives the genuine one.

    They pass through a temporary folder, of which nothing stays.

    Raises:
        MissingDependencyError: pooch is not installed.
        DataError: No mirror gave one of the files.
    """
    if _OFFLINE.get():
        raise DataError("no download is started here")
    retrieve = _retriever()
    with TemporaryDirectory(prefix="initlab-") as folder:
        return {file: _from_mirrors(idx_set, file, Path(folder), retrieve) for file in FILES}


def _retriever() -> _Retrieve:
    try:
        import pooch
    except ImportError as error:
        raise MissingDependencyError(
            "a download needs the package pooch", fix="run: pip install 'initlab[lab]'"
        ) from error
    # pooch advises to note the hash of a file it was given none for; ours is of the uncompressed bytes.
    pooch.get_logger().setLevel(logging.WARNING)

    def retrieve(address: str, folder: Path) -> Path:
        return Path(pooch.retrieve(address, known_hash=None, fname=address.rpartition("/")[2], path=folder))

    return retrieve


def _from_mirrors(idx_set: IdxSet, file: str, folder: Path, retrieve: _Retrieve) -> bytes:
    failures = []
    for number, mirror in enumerate(idx_set.mirrors):
        address = f"{mirror}{file}.gz"
        try:
            raw = read_bytes(retrieve(address, folder / str(number)))
            check(idx_set, file, raw, where=address)
        except DataError as error:
            failures.append(f"{urlsplit(mirror).netloc}: {error.what}")
        except OSError as error:
            # requests raises kinds of OSError, whose texts fill several lines.
            failures.append(f"{urlsplit(mirror).netloc}: {type(error).__name__}")
        else:
            return raw
    raise DataError(f"its download failed ({'; '.join(failures)})")
