"""A ``.keras`` file read as data: what it names is looked at before Keras makes anything of it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras

from initlab.core.errors import DataError, InitlabError
from initlab.frameworks.keras.reading.inputs import first_line

LARGEST = 1 << 26
"""Bytes of the largest description of a model that is read."""

_CODE = frozenset({"Lambda", "__lambda__", "TorchModuleWrapper"})
_FACTORY = "give the file that makes the model, as in train.py:build"


def opened(path: Path) -> object:
    """The model that a ``.keras`` file holds, not compiled; nothing of it runs code that is in the file.

    Raises:
        DataError: It is torn, or no file of Keras 3.
        InitlabError: It holds code (a Lambda layer, a pickle), or names a class or function that is not Keras' own.
    """
    kept = list(dict.fromkeys(_own(_described(path))))
    if kept:
        more = f" and {len(kept) - 3} more" if len(kept) > 3 else ""
        raise InitlabError(f"the file holds {', '.join(kept[:3])}{more}", where=str(path), fix=_FACTORY)
    try:
        model: object = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras', of a file that it cannot take
        raise DataError(f"Keras cannot open it: {first_line(error)}", where=str(path), fix=_FACTORY) from error
    return model


def _described(path: Path) -> object:
    try:
        with zipfile.ZipFile(path) as file:
            if file.getinfo("config.json").file_size > LARGEST:
                raise DataError("its description is too large to read", where=str(path), fix=_FACTORY)
            return json.loads(file.read("config.json"))
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        fix = "write it with model.save('model.keras'), in Keras 3"
        raise DataError("it is no file of Keras 3", where=str(path), fix=fix) from error


def _own(described: object) -> Iterator[str]:
    """In words, each thing in a description that is code, or that Keras has no class for."""
    waiting = [described]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            kind = node.get("class_name")
            if kind in _CODE:
                yield "a Lambda layer, which is code" if kind != "TorchModuleWrapper" else "a pickle of PyTorch"
                continue
            if "registered_name" in node and not _is_of_keras(node):
                named = node.get("config") if kind == "function" else kind
                yield f"the custom {'function' if kind == 'function' else 'class'} {named}"
                continue
            waiting += reversed(node.values())
        elif isinstance(node, list):
            waiting += reversed(node)


def _is_of_keras(node: dict[str, object]) -> bool:
    module = str(node.get("module") or "")
    if node.get("class_name") == "function" and module == "builtins":
        return hasattr(keras.activations, str(node.get("config")))
    return module.partition(".")[0] == "keras"
