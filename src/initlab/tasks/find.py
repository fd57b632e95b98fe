"""Where the files of a data set are found: the user's folder first, then the usual caches, the network last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from initlab.core.errors import DataError, InitlabError
from initlab.tasks.download import download
from initlab.tasks.files import write_atomically
from initlab.tasks.idx import decode_idx
from initlab.tasks.idxset import FILES, Arrays, IdxSet, present, read_folder, read_npz
from initlab.tasks.places import cache_folder, expand

T = TypeVar("T")


def first_found(
    data: Path | None, *, read: Callable[[Path], T | None], folders: Iterable[str], places: Iterable[str]
) -> T | None:
    """What ``read`` makes of the first folder that holds the data, None if there is none.

    A folder that ``data`` names is the only one searched. One that ``INITLAB_DATA`` names comes first, but need not
    hold every data set.

    Args:
        data: The user's folder, or a file of it, or None.
        read: A reader of one folder or file; None means that the data are not there.
        folders: Where in the user's folder to look.
        places: Where to look without one; see ``places.expand``.

    Raises:
        DataError: ``data`` or ``INITLAB_DATA`` names nothing that exists, or ``read`` found something torn.
    """
    variable = os.environ.get("INITLAB_DATA") if data is None else None
    root = Path(variable).expanduser() if variable else data
    candidates: list[Path] = []
    if root is not None:
        if not os.path.exists(root):  # Path.exists raises where a name is too long
            option = "INITLAB_DATA" if variable else "--data"
            raise DataError(f"{option} names nothing that exists", where=str(root), fix="give an existing folder")
        candidates += [root / folder for folder in folders] if root.is_dir() else [root]
    if data is None:
        candidates += [path for place in places if (path := expand(place)) is not None]
    results = (read(path) for path in candidates)
    return next((result for result in results if result is not None), None)


def load_idx_set(idx_set: IdxSet, data: Path | None) -> Arrays:
    """The four checked arrays of a data set: from ``data``, else from the first place that has them, else downloaded.

    A download goes into initlab's cache, uncompressed, once all four files are known to be genuine.

    Args:
        idx_set: Which set.
        data: A folder or npz of the user's, the only one searched then; None to search.

    Raises:
        DataError: The set is nowhere, or a file of it is torn or not genuine.
        ResourceError: The cache cannot be written.
    """

    def read(path: Path) -> Arrays | None:
        return read_npz(idx_set, path) if path.suffix == ".npz" and path.is_file() else read_folder(idx_set, path)

    arrays = first_found(data, read=read, folders=idx_set.folders, places=idx_set.places)
    if arrays is not None:
        return arrays
    if data is not None:
        raise _not_in(idx_set, data)
    cache = cache_folder() / idx_set.name
    try:
        content = download(idx_set)
    except InitlabError as error:
        raise type(error)(
            f"{idx_set.name} is not on this machine, and {error.what}",
            fix=f"{error.fix + ', or ' if error.fix else ''}give its folder with --data PATH or INITLAB_DATA, "
            f"or put its four IDX files into {cache}",
        ) from error
    for file, raw in content.items():
        write_atomically(cache / file, raw)
    return {file: decode_idx(raw, where=file) for file, raw in content.items()}


def _not_in(idx_set: IdxSet, data: Path) -> DataError:
    held = max((set(present(data / folder)) for folder in idx_set.folders), key=len)
    lacking = [file for file in FILES if file not in held]
    what = f"there is no {lacking[0]}" if held else f"there is no {idx_set.name}"
    fix = "give the folder of its four IDX files (.gz or not), torchvision's root, or an npz of Keras"
    return DataError(what, where=str(data), fix=fix)
