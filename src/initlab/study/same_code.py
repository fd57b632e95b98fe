"""Whether a worker has imported what its parent has: initlab's own code, and the user's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from initlab._version import NUMERICS, __version__
from initlab.core.errors import OptionError
from initlab.core.factories import named
from initlab.core.identity.walk import MODEL, Code
from initlab.study.identity import activation_code, build_code

_CARRIED = ("core/training", "core/facts", "core/draws", "study")
"""Where the code is whose data pass between a parent and its workers."""

_PACKAGE = Path(__file__).parents[1]
_FIX = "start this process again: files were changed after it had imported them, or it changed what it had imported"


def told_code(build: Code | None, activation: Code) -> dict[str, Any]:
    """What a worker is to import, as JSON-ready data.

    Args:
        build: The code of what builds an own model, with the files that it read; None for none.
        activation: The code of an own activation.
    """
    given = {} if build is None else build.parts
    kept = {name: digest for name, digest in given.items() if name != MODEL and not name.startswith("file ")}
    return {"initlab": _version(), "files": _IMPORTED, "build": kept, "activation": dict(activation.parts)}


def check_code(told: Mapping[str, Any], *, build: str | None, activation: str) -> None:
    """Nothing, where this process has imported what its parent told.

    Args:
        told: As ``told_code`` gave it.
        build: The name of what builds an own model.
        activation: The call of the networks' activation, where that is the user's own; else empty.

    Raises:
        OptionError: It has not; the first difference is named.
    """
    here = _version()
    for what, theirs in told["initlab"].items():
        if here[what] != theirs:
            raise OptionError(f"a worker imports initlab's {what} {here[what]}, its parent {theirs}", fix=_FIX)
    for name in sorted(told["files"].keys() | _IMPORTED.keys()):
        if told["files"].get(name) != _IMPORTED.get(name):
            raise OptionError(f"a worker imports another initlab/{name} than its parent", fix=_FIX)
    ours = {"build": build_code(named(build)) if build is not None else Code()}
    ours["activation"] = activation_code(activation) if activation else Code()
    for kind, code in ours.items():
        if differs := code.difference(Code(told[kind])):
            raise OptionError(f"a worker imports other code than its parent: {differs}", where=build or "", fix=_FIX)


def _version() -> dict[str, str]:
    return {"version": __version__, "numerics": NUMERICS, "folder": str(_PACKAGE)}


def _files() -> dict[str, list[int]]:
    """Of each source file whose data pass between a parent and its workers, when it was changed, and its size."""
    files = sorted(file for part in _CARRIED for file in (_PACKAGE / part).rglob("*.py"))
    stats = ((file.relative_to(_PACKAGE).as_posix(), file.stat()) for file in files)
    return {name: [stat.st_mtime_ns, stat.st_size] for name, stat in stats}


_IMPORTED = _files()
"""As they were when this module was imported, with the rest of the study's code."""
