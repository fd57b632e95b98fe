"""Weights on disk: safetensors, which holds no code, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import MissingDependencyError


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
        raise MissingDependencyError("weights files need safetensors", fix="pip install safetensors") from error
    from initlab.core.files import write_whole

    whole = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    write_whole(path, save(whole, metadata=dict(about)))
