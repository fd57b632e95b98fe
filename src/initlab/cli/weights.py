"""Weights on disk: safetensors, which holds no code, written whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import DataError, MissingDependencyError


def read_weights(path: Path, *, option: str = "--from") -> dict[str, NDArray[np.generic]]:
    """The arrays of a safetensors file, by name.

    Args:
        path: The file.
        option: By which it was given, for errors.

    Raises:
        MissingDependencyError: safetensors is not installed.
        DataError: There is no such file, or it is torn or of another kind.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingDependencyError("weights files need safetensors", fix="pip install 'initlab[cli]'") from error
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError(f"'{path}' is no file", where=option, fix="name a safetensors file")
    except (OSError, ValueError) as error:
        raise DataError(f"there is no file '{path}'", where=option, fix="name a safetensors file") from error
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except (SafetensorError, OSError, TypeError, KeyError, AttributeError) as error:  # a type that NumPy lacks
        told = f"'{path}' cannot be read as safetensors: {error}"
        raise DataError(told, where=option, fix="write it with safetensors.torch.save_file") from error


def write_weights(path: Path, arrays: Mapping[str, NDArray[np.generic]], about: Mapping[str, str]) -> None:
    """The safetensors file holds the arrays under their names; what it held before is replaced at once.

    Args:
        path: The file.
        arrays: By name.
        about: Words for the file's header.

    Raises:
        MissingDependencyError: safetensors is not installed.
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise MissingDependencyError("weights files need safetensors", fix="pip install 'initlab[cli]'") from error
    from initlab.core.files import write_whole

    whole = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    write_whole(path, save(whole, metadata=dict(about)))
