"""Who called: the initializer that stands outermost on the stack, and the line that called it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType

_LONGEST = 100  # signs of a law; a longer one is cut in its middle


def line_of(frame: FrameType | None) -> str:
    """``file:line`` of a frame, the file from the working folder or from the folder of packages on."""
    return "" if frame is None else f"{_short(frame.f_code.co_filename)}:{frame.f_lineno}"


@lru_cache(maxsize=4096)
def _short(name: str) -> str:
    path = Path(name)
    parts = path.parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(folder) :])
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name


def options_of(frame: FrameType, leave_out: Callable[[object], bool]) -> str:
    """The arguments of a frame's function that differ from its defaults, as code.

    Args:
        frame: The frame.
        leave_out: Which arguments are none of the law's.
    """
    code, held = frame.f_code, frame.f_locals
    defaults = _defaults(frame)
    told = []
    for place, name in enumerate(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]):
        value = held.get(name)
        if name == "self" or leave_out(value) or (name in defaults and _same(defaults[name], value)):
            continue
        is_plain = place == 1 and name not in defaults
        told.append(said(value) if is_plain else f"{name}={said(value)}")
    return ", ".join(told)


def _defaults(frame: FrameType) -> Mapping[str, object]:
    """The defaults of the function that a frame runs, where its module has it under its name."""
    found: object = frame.f_globals.get(frame.f_code.co_name)
    while found is not None and getattr(found, "__code__", None) is not frame.f_code:
        found = getattr(found, "__wrapped__", None)
    return _defaults_of(found) if inspect.isfunction(found) else {}


@lru_cache(maxsize=1024)
def _defaults_of(function: FunctionType) -> Mapping[str, object]:
    return {n: p.default for n, p in inspect.signature(function).parameters.items() if p.default is not p.empty}


def _same(default: object, value: object) -> bool:
    return type(default) is type(value) and default == value


def said(value: object) -> str:
    """A plain value as code, and anything else by its type.

    Example:
        >>> said(0.1 + 0.2), said("fan_in"), said((2, 3)), said(print)
        ('0.3', "'fan_in'", '(2, 3)', 'builtin_function_or_method')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None or isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, list | tuple) and all(isinstance(one, int | float) for one in value) and len(value) < 7:
        inner = ", ".join(map(said, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    return type(value).__name__


def cut(law: str) -> str:
    """A law's text, its middle left out where it is long.

    Example:
        >>> len(cut("x" * 500)), cut("eye(4)")
        (100, 'eye(4)')
    """
    half = (_LONGEST - 3) // 2
    return law if len(law) <= _LONGEST else f"{law[: _LONGEST - 3 - half]}...{law[-half:]}"


class Homes:
    """Which code is the framework's plumbing, which is a layer of its own, and which is somebody else's.

    Args:
        plumbing: Folders and files whose frames are passed over.
        layers: Folders and files within these whose frames are those of the framework's own layers.
    """

    def __init__(self, plumbing: Sequence[str], layers: Sequence[str] = ()) -> None:
        self._plumbing, self._layers = tuple(plumbing), tuple(layers)
        self._known: dict[CodeType, bool | None] = {}

    def caller(self, frame: FrameType | None) -> tuple[FrameType | None, bool]:
        """The innermost frame from this one on that is no plumbing, and whether it is a layer of the framework's."""
        while frame is not None:
            is_layer = self._kind(frame.f_code)
            if is_layer is not None:
                return frame, is_layer
            frame = frame.f_back
        return None, False

    def _kind(self, code: CodeType) -> bool | None:
        """Whether code is a layer's; None for plumbing."""
        if code not in self._known:
            name = code.co_filename
            is_layer = name.startswith(self._layers)
            is_plumbing = not is_layer and (name.startswith(self._plumbing) or name.startswith("<frozen"))
            self._known[code] = None if is_plumbing else is_layer
        return self._known[code]
