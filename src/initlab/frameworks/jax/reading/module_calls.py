"""Calls of modules made visible in a jaxpr: each one's equations bear its number in their name stack."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import jax
from flax import nnx

# One at a time: while a model is traced, the ``__call__`` of its modules' classes is replaced.
LOCK = threading.RLock()

_TOKENS = count()
_JIT = "flax.nnx.transforms.compilation"


@dataclass(frozen=True, eq=False)
class ModuleCall:
    """One call of a module.

    Attributes:
        module: The module; inside of a trace, whose arrays are not to be read.
        path: Its name in the model; empty for the model itself, and for a copy that a transform of nnx made.
        is_leaf: Whether it holds no others; a recurrent layer and its cell count as one.
    """

    module: nnx.Module
    path: str
    is_leaf: bool


@dataclass(eq=False)
class Calls:
    """The calls of one trace.

    Attributes:
        token: Tells this trace's numbers from those that a compiled function of the user's kept from another one.
        made: The calls, by number.
    """

    token: str = field(default_factory=lambda: f"initlab{next(_TOKENS)}c")
    made: list[ModuleCall] = field(default_factory=list)

    def inside(self, name_stack: object) -> tuple[int, ...]:
        """The numbers of the calls that an equation was made in, the outermost first."""
        return tuple(int(n) for n in re.findall(rf"{self.token}(\d+)", str(name_stack)))


@contextmanager
def numbering(calls: Calls, names: Mapping[int, str], kinds: frozenset[type]) -> Iterator[None]:
    """Inside, every call of a module of these classes is numbered.

    Args:
        calls: Takes the calls.
        names: Modules' names, by ``id``.
        kinds: The classes.
    """
    with LOCK:
        before = {kind: vars(kind)["__call__"] for kind in kinds if "__call__" in vars(kind)}
        try:
            for kind, original in before.items():
                _replace(kind, _numbered(calls, names, original))
            yield
        finally:
            for kind, original in before.items():
                _replace(kind, original)


def classes_of(model: nnx.Module) -> frozenset[type]:
    """The classes of a model's modules, and those that they inherit from."""
    kinds = {kind for _, node in nnx.iter_graph(model) if isinstance(node, nnx.Module) for kind in type(node).__mro__}
    return frozenset(kind for kind in kinds if issubclass(kind, nnx.Module) and kind is not nnx.Module)


def _is_leaf(module: nnx.Module) -> bool:
    if isinstance(module, nnx.RNN | nnx.RNNCellBase):
        return True
    return sum(isinstance(node, nnx.Module) for _, node in nnx.iter_graph(module)) == 1


def _replace(kind: type, function: Callable[..., Any]) -> None:
    type.__setattr__(kind, "__call__", function)


def _numbered(calls: Calls, names: Mapping[int, str], original: Callable[..., Any]) -> Callable[..., Any]:
    # A compiled call may have been traced before, when no calls were numbered.
    bare = getattr(original, "__wrapped__", original) if type(original).__module__ == _JIT else original

    def call(module: nnx.Module, *args: Any, **kwargs: Any) -> Any:
        number = len(calls.made)
        calls.made.append(ModuleCall(module, names.get(id(module), ""), _is_leaf(module)))
        with jax.named_scope(f"{calls.token}{number}"):
            return bare(module, *args, **kwargs)

    return call
