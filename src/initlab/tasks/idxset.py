"""Four IDX files under one name, told from all others by the sha256 of their uncompressed bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import DataError
from initlab.core.memory import npz_arrays
from initlab.tasks.files import check_sha256, read_bytes, sha256
from initlab.tasks.idx import decode_idx, encode_idx

# The four files, each with its key in Keras' npz.
FILES: Mapping[str, str] = {
    "train-images-idx3-ubyte": "x_train",
    "train-labels-idx1-ubyte": "y_train",
    "t10k-images-idx3-ubyte": "x_test",
    "t10k-labels-idx1-ubyte": "y_test",
}

# By name of the file: images (rows, height, width) or labels (rows,).
Arrays: TypeAlias = Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class IdxSet:
    """A data set of the MNIST family, and where it is to be had.

    Attributes:
        name: The task's.
        sha256: By name of the file, of its uncompressed bytes, hex.
        folders: Where in a folder of the user's its files may lie, the most specific first.
        places: Folders that are searched by themselves, in this order; see ``places.expand``.
        mirrors: Addresses of folders that hold the four files as ``.gz``.
    """

    name: str
    sha256: Mapping[str, str]
    folders: tuple[str, ...]
    places: tuple[str, ...]
    mirrors: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256 over the four files' own, hex."""
        return sha256("".join(self.sha256[file] for file in FILES).encode())


def check(idx_set: IdxSet, file: str, raw: bytes, *, where: str) -> NDArray[np.uint8]:
    """The array of one file, known to be the genuine one.

    Args:
        idx_set: The set it should belong to.
        file: Its name, one of ``FILES``.
        raw: Its uncompressed bytes.
        where: The path or address it is from, for the error.

    Raises:
        DataError: The bytes are torn, or not those of this set.
    """
    array = decode_idx(raw, where=where)
    check_sha256(raw, idx_set.sha256[file], what=f"the {file} of {idx_set.name}", where=where)
    return array


def read_folder(idx_set: IdxSet, folder: Path) -> Arrays | None:
    """The checked arrays of a folder that holds the four IDX files, gzipped or not, or Keras' npz; else None.

    Raises:
        DataError: All are there, but one is torn or not genuine.
    """
    paths = present(folder)
    if len(paths) == len(FILES):
        return {file: check(idx_set, file, read_bytes(path), where=str(path)) for file, path in paths.items()}
    archive = folder / f"{idx_set.name}.npz"
    return read_npz(idx_set, archive) if os.path.isfile(archive) else None


def present(folder: Path) -> dict[str, Path]:
    """Those of the four IDX files that a folder holds, under any name that is in use for them."""
    found = {}
    for file in FILES:
        dotted = file.replace("-idx", ".idx")
        for spelled in (file, f"{file}.gz", dotted, f"{dotted}.gz"):
            # os.path.isfile is False where a folder may not be entered; Path.is_file raises there.
            if file not in found and os.path.isfile(folder / spelled):
                found[file] = folder / spelled
    return found


def read_npz(idx_set: IdxSet, path: Path) -> Arrays:
    """The checked arrays of Keras' ``mnist.npz``: as IDX files they would have the known sha256.

    Raises:
        DataError: The archive is torn, lacks an array, or an array is not genuine.
    """
    try:
        archive = npz_arrays(path)
        lacking = [key for key in FILES.values() if key not in archive]
        if lacking:
            raise ValueError(f"{lacking[0]} is not a file in the archive")
        arrays = {file: archive[key] for file, key in FILES.items()}
    except (OSError, ValueError) as error:
        fix = "replace or remove that file"
        raise DataError(f"the npz cannot be read, {error}", where=str(path), fix=fix) from error
    for file, array in arrays.items():
        if array.dtype != np.uint8:
            raise DataError(
                f"{FILES[file]} is {array.dtype}, not uint8", where=str(path), fix="replace or remove that file"
            )
    return {
        file: check(idx_set, file, encode_idx(array), where=f"{FILES[file]} of {path}")
        for file, array in arrays.items()
    }
