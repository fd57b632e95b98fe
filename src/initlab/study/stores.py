"""Stores as a whole: checked, cleaned, packed into one file, unpacked, and put together."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from initlab.core.errors import OptionError, StoreError
from initlab.core.files import check_folder, replacing
from initlab.study.codec import decode, encode, outcome_arrays
from initlab.study.records import RunRecord
from initlab.study.store import ASIDE, LARGEST, NAME, RECORDS, Store


def stores_in(folder: Path) -> list[Store]:
    """The stores of a comparison's folder, of a sweep's, or the one that a folder of records is.

    Raises:
        OptionError: There is none.
    """
    check_folder(folder, option="FOLDER", is_read=True)
    if (folder / RECORDS).is_dir():
        return [Store(folder / RECORDS)]
    if folder.is_dir() and any(NAME.fullmatch(file.stem) for file in folder.glob("*.npz")):
        return [Store(folder)]
    found = sorted(folder.glob(f"*/{RECORDS}")) if folder.is_dir() else []
    if not found:
        raise OptionError("there are no records", where=str(folder), fix="name a folder of initlab compare")
    return [Store(place) for place in found]


def store_for(folder: Path) -> Store:
    """The store that records of a folder come into: its ``records``, or the folder itself where it holds records.

    Raises:
        OptionError: It is the folder of a sweep, which has several.
    """
    check_folder(folder, option="FOLDER")
    try:
        found = stores_in(folder)
    except OptionError:
        return Store(folder / RECORDS)
    if len(found) > 1:
        raise OptionError(
            f"there are {len(found)} stores", where=str(folder), fix="name the folder of one of its studies"
        )
    return found[0]


@dataclass(frozen=True)
class Checked:
    """What a look at every record gave.

    Attributes:
        records: Those that are whole.
        damaged: An error for each that is not, with its file.
    """

    records: int
    damaged: tuple[str, ...]


def verify(stores: Iterable[Store]) -> Checked:
    """Every record read, with its checksums, its spec and its name held against each other; nothing is changed."""
    records, damaged = 0, []
    for store in stores:
        for name in store.ids():
            try:
                store.load(name)
                records += 1
            except StoreError as error:
                damaged.append(str(error))
    return Checked(records, tuple(damaged))


def collect_garbage(stores: Iterable[Store]) -> tuple[int, int]:
    """What no study reads is removed: records that were set aside, and what killed writers left.

    Returns:
        Files that are gone, and their bytes.
    """
    files, size = 0, 0
    for store in stores:
        before = _sizes(store)
        store.clean()
        for file in (store.folder / ASIDE).glob("*.npz"):
            file.unlink(missing_ok=True)
        gone = before.keys() - _sizes(store).keys()
        files, size = files + len(gone), size + sum(before[file] for file in gone)
    return files, size


def _sizes(store: Store) -> dict[Path, int]:
    found = [*store.folder.glob(".tmp-*"), *(store.folder / ASIDE).glob("*.npz")]
    return {file: file.stat().st_size for file in found}


def export(stores: Iterable[Store], file: Path) -> int:
    """All records, each checked, are in one ZIP file, once where two stores have them; returns their number."""
    told: set[str] = set()
    with replacing(file) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for store in stores:
            for name in store.ids():
                if name not in told:
                    archive.writestr(zipfile.ZipInfo(f"{name}.npz"), encode(store.load(name)))
                    told.add(name)
    return len(told)


@dataclass(frozen=True)
class Taken:
    """What came of records that were put into a store.

    Attributes:
        new: Those that were not there.
        same: Those that were there with the same numbers.
        other: Names of those that were there with other numbers, which stay as they were.
    """

    new: int
    same: int
    other: tuple[str, ...]


def merge(sources: Iterable[Store], target: Store) -> Taken:
    """Every record of the sources is in the target, where it was not; those are left as they are.

    Raises:
        StoreError: A record is damaged; those before it are there.
    """
    return _taken((store.load(name) for store in sources for name in store.ids()), target)


def unpack(file: Path, target: Store) -> Taken:
    """Every record of a file that ``export`` wrote is in the target, once it is checked.

    Raises:
        StoreError: The file is no such archive, or a record is damaged; those before it are there.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                stem, _, ending = info.filename.rpartition(".")
                whole = info.compress_type == zipfile.ZIP_STORED and info.file_size <= LARGEST
                if not (NAME.fullmatch(stem) and ending == "npz" and whole):
                    raise StoreError(f"'{info.filename}' is no record", where=str(file), fix="export the store again")
            return _taken(_unpacked(archive, str(file)), target)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise StoreError(
            f"it is no export of a store: {error}", where=str(file), fix="export the store again"
        ) from error


def _unpacked(archive: zipfile.ZipFile, where: str) -> Iterator[RunRecord]:
    for info in archive.infolist():
        record = decode(archive.read(info), where=f"{where}, {info.filename}")
        if f"{record.name}.npz" != info.filename:
            raise StoreError(f"'{info.filename}' holds run {record.name}", where=where, fix="export the store again")
        yield record


def _taken(records: Iterable[RunRecord], target: Store) -> Taken:
    new, same, other = 0, 0, []
    for record in records:
        if not target.has(record.name):
            target.commit(record)
            new += 1
        elif _same(record, target.load(record.name)):
            same += 1
        else:
            other.append(record.name)
    return Taken(new, same, tuple(other))


def _same(first: RunRecord, second: RunRecord) -> bool:
    """Whether two records hold the same numbers, whatever they took and wherever they were made."""
    (lines, arrays), (others, held) = outcome_arrays(first), outcome_arrays(second)
    equal = first.status == second.status and lines == others and arrays.keys() == held.keys()
    return equal and all(arrays[name].tobytes() == held[name].tobytes() for name in arrays)
