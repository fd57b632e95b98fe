"""Values as text, as far as their numbers can be told: plain ones, frozen ones, arrays, and containers of these."""

from __future__ import annotations

import enum
import functools
import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np

DEEPEST = 12
"""Containers within containers that are followed."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range, slice)
_CODE = (FunctionType, BuiltinFunctionType, MethodType, type, ModuleType, np.ufunc, property, staticmethod, classmethod)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class UnseenError(Exception):
    """A value that cannot be told; its text says of what kind it is."""


@dataclass(frozen=True)
class Teller:
    """Writes values as texts that two processes agree on.

    Attributes:
        code: Names a function or a class that is met.
        around: The containers around the value, by ``id``.
        arrays: Whether arrays are told; those of an object that changes are not.

    Example:
        >>> Teller(str).text({"b": (1, 2.5), "a": {3}})
        "{'b': (1, 2.5), 'a': set(3)}"
    """

    code: Callable[[object], str]
    around: frozenset[int] = frozenset()
    arrays: bool = True

    def text(self, value: object) -> str:
        """The value's text.

        Raises:
            UnseenError: It cannot be told.
        """
        kind = type(value)
        if isinstance(value, enum.Enum):
            return f"{self.code(kind)}.{value.name} {self.text(value.value)}"
        if kind in _PLAIN:
            return repr(value)
        if isinstance(value, _CODE):
            return self.code(value)
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value)
        if len(self.around) > DEEPEST or id(value) in self.around:
            raise UnseenError("nested too deeply")
        inner = replace(self, around=self.around | {id(value)})
        own = "" if kind in (dict, MappingProxyType, set, frozenset, list, tuple) else self.code(kind)
        if isinstance(value, dict | MappingProxyType):
            return f"{own}{{{', '.join(f'{inner.text(k)}: {inner.text(v)}' for k, v in value.items())}}}"
        if isinstance(value, set | frozenset):
            return f"{own or 'set'}({', '.join(sorted(inner.text(v) for v in value))})"
        if isinstance(value, list | tuple | deque):
            ends = "()" if isinstance(value, tuple) else "[]"
            return f"{own}{ends[0]}{', '.join(inner.text(v) for v in value)}{ends[1]}"
        return inner._object(value)

    def _array(self, value: Any) -> str:
        array = np.asarray(value)
        if not self.arrays or array.dtype.hasobject:
            raise UnseenError("an array that changes")
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
        return f"array({array.dtype.str}, {array.shape}, {digest})"

    def _object(self, value: Any) -> str:
        kind = type(value)
        if isinstance(value, functools.partial):
            return f"partial({self.text(value.func)}, {self.text(value.args)}, {self.text(value.keywords)})"
        if hasattr(value, "detach"):
            return self._array(value.detach().cpu().numpy())
        if hasattr(value, "__array__") and hasattr(value, "dtype") and hasattr(value, "shape"):
            return self._array(value)
        if is_dataclass(value):
            frozen = kind.__dataclass_params__.frozen
            held = self if frozen else replace(self, arrays=False)
            told = (f"{f.name}={held.text(getattr(value, f.name))}" for f in fields(value))
            return f"{self.code(kind)}({', '.join(told)})"
        hashes = getattr(kind, "__hash__", None)
        if hashes not in (None, getattr(object, "__hash__", None)) and not _ADDRESS.search(repr(value)):
            return f"{self.code(kind)} {value!r}"  # what is told from others by its value does not change
        return self._changing(value)

    def _changing(self, value: Any) -> str:
        """An object by its attributes, all of which can be told: no generator, no logger, no open file."""
        kind, state = type(value), getattr(value, "__dict__", None)
        # A state of its own, as that of a generator, is more than the attributes.
        has_more = any(getattr(kind, name) is not getattr(object, name) for name in ("__reduce__", "__reduce_ex__"))
        if state is None and has_more and isinstance(named := value.__reduce__(), str):  # a single thing with a name
            return f"{self.code(kind)} {named}"
        if state is None or has_more or isinstance(value, Mapping | Iterator):
            raise UnseenError(_called(kind))
        held = replace(self, arrays=False)
        try:
            return f"{self.code(kind)}{{{', '.join(f'{k}: {held.text(v)}' for k, v in sorted(state.items()))}}}"
        except UnseenError as error:
            raise UnseenError(_called(kind)) from error


def _called(kind: type) -> str:
    return f"{'an' if kind.__name__[:1].lower() in 'aeiou' else 'a'} {kind.__name__}"
