"""Where finished runs lie: one immutable file a run, committed whole or not at all, shared by any number of writers."""

from __future__ import annotations

import errno
import os
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from initlab.core.errors import InitlabError, OptionError, ResourceError, StoreError
from initlab.core.files import read_file
from initlab.study.codec import decode, encode
from initlab.study.records import RunRecord

NAME = re.compile(r"[0-9a-f]{24}(-[0-9a-f]{16})?")
"""What a record may be named."""
LARGEST = 1 << 31
"""Bytes of the largest record that is read."""
RECORDS = "records"
"""The folder of a study's records."""
ASIDE = "aside"
"""The folder of records whose runs were made anew."""
_LOCK = ".lock"
_TEMPORARY = ".tmp-"
# Files synced at a time: a journal writes waiting syncs as one, which is five times faster than one after another.
_SYNCS = 8
# What a file system says that has no hard links: FAT, some network and container mounts.
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_BROKEN = {errno.EIO, errno.ENOENT, errno.ESTALE, errno.ENXIO, errno.ENODEV}
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Store:
    """The records in one folder, each in a file of its ``name``; the folder is made with the first commit.

    A record appears under its name only when all of its bytes are on the disk, and is never written again: where two
    writers commit one run, the first wins. A kill at any moment leaves whole records and at most a hidden temporary
    file, which the next writer that is alone removes.

    Attributes:
        folder: Where the files lie.

    Raises:
        OptionError: The folder's path is, or leads through, a file.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        with self._explained():
            nearest = next(path for path in (self.folder, *self.folder.parents) if path.exists())
            if not nearest.is_dir():
                raise OptionError("the folder for results is a file", where=str(nearest), fix="name a folder")

    def has(self, name: str) -> bool:
        """Whether a record of that name is committed."""
        return self._file(name).is_file()

    def ids(self) -> list[str]:
        """The name of every committed record, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(p.stem for p in self.folder.glob("*.npz") if NAME.fullmatch(p.stem))

    def by_run(self) -> dict[str, list[str]]:
        """The names of all records by their run: one for each code that the run was made with."""
        found: dict[str, list[str]] = {}
        for name in self.ids():
            found.setdefault(name.partition("-")[0], []).append(name)
        return found

    def load(self, name: str) -> RunRecord:
        """The record of that name, checked.

        Raises:
            StoreError: It is not there, damaged, or written by a newer initlab.
        """
        file = self._file(name)
        try:
            data = read_file(file, most=LARGEST)
        except FileNotFoundError as error:
            raise StoreError(f"there is no record of run {name}", where=str(self.folder)) from error
        except OSError as error:
            raise StoreError(f"the record cannot be read: {error.strerror}", where=str(file)) from error
        record = decode(data, where=str(file))
        if record.name != name:
            raise StoreError(
                f"the record is damaged: it holds run {record.name}",
                where=str(file),
                fix="delete the file, its run will be made again",
            )
        return record

    def load_all(self, ids: Iterable[str] | None = None) -> list[RunRecord]:
        """The records of ``ids``, in that order; all of them, sorted by name, for None."""
        return [self.load(name) for name in (self.ids() if ids is None else ids)]

    def commit(self, *records: RunRecord) -> None:
        """Make records durable: when this returns, they survive a crash of the machine.

        Args:
            records: Finished runs; one whose run is committed already is left out.

        Raises:
            ResourceError: The disk is full; the records written before stay.
            OptionError: The folder cannot be written to.
        """
        with self._writing(), ThreadPoolExecutor(_SYNCS) as pool:
            list(pool.map(self._commit_one, records))
            _sync_folder(self.folder)

    def clean(self) -> None:
        """Make the folder, and remove what killed writers left; does not wait for writers that are at work."""
        with self._writing():
            pass
        with self._explained(), open(self.folder / _LOCK, "ab") as lock:
            if _lock(lock.fileno(), alone=True):
                for leftover in self.folder.glob(f"{_TEMPORARY}*"):
                    leftover.unlink(missing_ok=True)

    def set_aside(self, names: Iterable[str]) -> None:
        """Records are in the folder ``aside``, in place of what lay there under their name; their runs are made again.

        Raises:
            ResourceError: The disk is full.
            OptionError: The folder cannot be written to.
        """
        with self._writing():
            aside = self.folder / ASIDE
            aside.mkdir(exist_ok=True)
            for name in names:
                os.replace(self._file(name), aside / f"{name}.npz")
            _sync_folder(aside)
            _sync_folder(self.folder)

    def _file(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise StoreError(f"{name!r} is not the id of a run", where=str(self.folder), fix="24 hex digits")
        return self.folder / f"{name}.npz"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A shared lock: while any writer holds it, no other takes a temporary file for a leftover."""
        with self._explained():
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True, exist_ok=True)
                _sync_folder(self.folder.parent)
            with open(self.folder / _LOCK, "ab") as lock:
                _lock(lock.fileno(), alone=False)
                yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Within it, a fault of the file system is an error of one line."""
        try:
            yield
        except OSError as error:
            raise _explain(error, self.folder) from error

    def _commit_one(self, record: RunRecord) -> None:
        if not self.has(record.name):
            self._write(self._file(record.name), encode(record))

    def _write(self, file: Path, data: bytes) -> None:
        temporary = self.folder / f"{_TEMPORARY}{uuid.uuid4().hex}"
        try:
            with open(temporary, "xb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            _publish(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)


def _publish(temporary: Path, file: Path) -> None:
    try:
        os.link(temporary, file)
    except FileExistsError:  # another writer was faster with the same run
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.replace(temporary, file)  # the last wins instead of the first; both hold the same run


def _lock(handle: int, *, alone: bool) -> bool:
    """Whether the lock is held: shared by waiting for it, alone only if it is free at once."""
    if sys.platform == "win32":  # no flock: leftovers of a killed writer stay, and are ignored
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, *_NO_LOCKS}:  # a writer is at work, or nobody here can lock
            return False
        raise
    return True


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder, and needs no sync of it
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explain(error: OSError, folder: Path) -> InitlabError:
    if error.errno in _FULL:
        return ResourceError(
            "the disk is full", where=str(folder), fix="free some space and run the same command again: it resumes"
        )
    if error.errno in _BROKEN:
        told = "what was finished is kept: mend that, and run the same command again"
        return ResourceError(f"cannot write results: {error.strerror}", where=str(folder), fix=told)
    return OptionError(f"cannot write results: {error.strerror}", where=str(folder), fix="choose another folder")
