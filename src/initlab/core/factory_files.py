"""A factory in a file of the user's, ``train.py:build``: read first, tried in a process of its own, then imported."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from initlab.core.errors import InitlabError, OptionError
from initlab.core.factories import imported
from initlab.core.script import factory_lines, first_deed, makers

PATIENCE = 60.0
"""Seconds that an import may take."""

PICKLES = (".pt", ".pth", ".pt2", ".pkl", ".pickle", ".joblib", ".ckpt")
WEIGHTS = (".safetensors",)
_SUFFIX = ".py"
# Neither the working folder nor the user's come before Python's own modules while this process starts.
_TRIAL = "import sys; sys.path.append(sys.argv[2]); from initlab.core.factory_files import trial; trial()"


def dotted_of_file(factory: str, *, patience: float = PATIENCE) -> str:
    """``module:name`` of a factory in a file, whose module is imported; any other text as it is.

    The file is read before anything runs. Its import is tried in a process of its own, and made here only if that ends
    well: with the file's folder and the root of its package on the path, no input to read and no arguments.

    Args:
        factory: ``path/train.py:build``, or ``path/train.py:Net(64, 10)`` with arguments that are literals.
        patience: Seconds for the import.

    Raises:
        OptionError: No such file, one that holds a pickle, or no name in it.
        InitlabError: A file that trains or ends the process when it is imported, or cannot be imported.
    """
    _check_kind(factory)
    file, name = _split(factory)
    if not file:
        return factory
    path, tree = _read(file)
    if (deed := first_deed(tree)) is not None:
        raise InitlabError(
            f"importing '{file}' would run it: {deed}",
            fix='nothing was run: make the model in a function, and train under if __name__ == "__main__":',
            shown=factory_lines(tree),
        )
    if not name:
        forms = ", ".join(f"{file}:{maker}" for maker in makers(tree)[:4])
        raise OptionError(f"'{file}' names no model", fix=f"write {forms or f'{file}:build'}")
    module = _module_name(path)
    if not _is_loaded(module, path):
        _try(path, module, file, patience)
        with _as_import(path):
            _import(path, module, file)
    return f"{module}:{name}"


def trial() -> None:
    """Import a file as the process that asks for it would, in one alone; what was raised is written to a file."""
    path, module, file, told, paths = json.loads(sys.argv[1])
    sys.path[:] = paths
    try:
        with _as_import(Path(path)):
            _import(Path(path), module, file)
    except InitlabError as error:
        Path(told).write_text(json.dumps([error.what, error.where, error.fix]), encoding="utf-8")


def _check_kind(factory: str) -> None:
    file, colon, _ = factory.partition(":")
    if Path(file).suffix.lower() in PICKLES and (not colon or Path(file).is_file()):
        raise OptionError(
            f"'{factory}' may hold a pickle, which runs code when it is read, and is not opened",
            fix="give the file that makes the model: train.py:build",
        )
    if Path(file).suffix.lower() in WEIGHTS and (not colon or Path(file).is_file()):
        raise OptionError(
            f"'{factory}' holds weights and no model",
            fix=f"give the file that makes the model, and the weights beside it: train.py:build --weights {file}",
        )


def _split(factory: str) -> tuple[str, str]:
    """The file and the name in it; two empty texts where no file is named."""
    if factory.endswith(_SUFFIX):
        return factory, ""
    before, found, name = factory.partition(f"{_SUFFIX}:")
    return (f"{before}{_SUFFIX}", name) if found else ("", "")


def _read(file: str) -> tuple[Path, ast.Module]:
    path = Path(file).expanduser().resolve()
    try:
        return path, ast.parse(path.read_bytes(), filename=file)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else f"{error.strerror}"
        raise OptionError(reason, where=file, fix="give the path of the Python file that makes the model") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise InitlabError(f"cannot be read: {getattr(error, 'msg', None) or error}", where=f"{file}{line}") from error


def _module_name(path: Path) -> str:
    """The dotted name under which the root of the file's package has it.

    Raises:
        OptionError: A name that no import can spell.
    """
    root = _root(path)
    parts = [*path.parent.relative_to(root).parts, path.stem]
    if any("." in part for part in parts):
        raise OptionError(f"no import can spell '{path.stem}'", where=path.name, fix="rename it without the dot")
    return ".".join(parts[:-1] if path.stem == "__init__" and len(parts) > 1 else parts)


def _root(path: Path) -> Path:
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def _is_loaded(module: str, path: Path) -> bool:
    return _is_file(sys.modules.get(module), path)


def _is_file(module: object, path: Path) -> bool:
    origin = getattr(module, "__file__", None)
    return isinstance(origin, str) and Path(origin).resolve() == path


def _try(path: Path, module: str, file: str, patience: float) -> None:
    """Import the file in a process of its own.

    Raises:
        InitlabError: It failed, ended the process, or took longer than the patience.
    """
    with tempfile.TemporaryDirectory(prefix="initlab-") as folder:
        told = Path(folder) / "told.json"
        words = json.dumps([str(path), module, file, str(told), sys.path])
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _TRIAL, words, str(Path(__file__).parents[2])],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=patience,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InitlabError(
                f"importing '{file}' took more than {patience:g} s",
                fix='put what takes so long under if __name__ == "__main__":',
            ) from error
        if told.exists():
            what, where, fix = json.loads(told.read_text(encoding="utf-8"))
            raise InitlabError(what, where=where, fix=fix)
    if done.returncode != 0:
        raise InitlabError(f"importing '{file}' ended its process with exit code {done.returncode}")


@contextmanager
def _as_import(path: Path) -> Iterator[None]:
    """Within it, the file can be imported, finds no input and no arguments; the path keeps its folders."""
    for folder in (str(_root(path)), str(path.parent)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    argv, stdin = sys.argv, sys.stdin
    with open(os.devnull, encoding="utf-8") as nothing:
        sys.argv, sys.stdin = [str(path)], nothing
        try:
            yield
        finally:
            sys.argv, sys.stdin = argv, stdin


def _import(path: Path, module: str, file: str) -> None:
    if not _is_file(imported(module, file), path):
        raise OptionError(
            f"Python has another module named '{module}'",
            where=file,
            fix="rename the file, or give package.module:build",
        )
