"""The construction of a Flax module watched: which initializer made each variable, and what replaced it."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import flax
import jax
from flax import nnx

from initlab.core.facts.provenance import Provenance, Write
from initlab.frameworks.jax.reading.marks import stamps
from initlab.frameworks.jax.reading.parameters import entries, numbers, value_of
from initlab.frameworks.reading.callers import Homes, cut, line_of, said
from initlab.frameworks.reading.provenance import Histories, History, remember, settled

_FLAX, _JAX = Path(flax.__file__).parent, Path(jax.__file__).parent
_LAYERS = str(_FLAX / "nnx" / "nn")
_HOMES = Homes([__file__, contextmanager.__code__.co_filename, str(_FLAX), str(_JAX)], [_LAYERS])
_INITIALIZERS = ("jax.nn.initializers", "jax._src.nn.initializers", "flax.nnx.nn.initializers")
_BEYOND = Homes([__file__, contextmanager.__code__.co_filename, str(_FLAX), str(_JAX)])


class FlaxConstruction:
    """The writers of arrays, which are never written in: a variable is given another one."""

    def __init__(self) -> None:
        self._histories = Histories()

    @property
    def is_alive(self) -> bool:
        """Whether any array is still there."""
        return len(self._histories) > 0

    def of(self, model: object) -> tuple[Provenance, ...]:
        """The writers of every parameter, each under its first name, which are remembered beside the model."""
        found = tuple(self._provenance(e.native, e.variable) for e in entries(model) if e.native == e.first)
        remember(model, found, lambda names: stamps(model, names))
        return found

    def _provenance(self, native: str, variable: Any) -> Provenance:
        array = value_of(variable)
        shape = tuple(array.shape)
        history = self._histories[array]
        if history is None or history.last is None:
            return Provenance(native, shape, "unknown")
        return Provenance(native, shape, "written", settled(history.last, numbers(variable)), tuple(history.before))

    def knows(self, array: object) -> bool:
        """Whether an array's maker was seen."""
        return self._histories[array] is not None

    def made(self, array: object) -> None:
        """Remember what made the array that a variable is made of."""
        if not self.knows(array):
            self._histories[array] = History(_write_of(sys._getframe(2)), None)

    def put_together(self, array: object) -> None:
        """Remember where a variable was put together from an array of unknown making, as transformations do."""
        if isinstance(array, jax.Array) and not self.knows(array):
            caller, _ = _BEYOND.caller(sys._getframe(2))
            self._histories[array] = History(Write("an array made", line_of(caller)), None)

    def replaced(self, before: object, array: object, what: str) -> None:
        """Remember that a variable was given another array."""
        if array is before or self.knows(array):
            return
        caller, is_layer = _HOMES.caller(sys._getframe(2))
        history = (self._histories[before] or History(None, None)).copy()
        history.write(Write(what, line_of(caller), is_layer), None)
        self._histories[array] = history


def _write_of(frame: FrameType | None) -> Write:
    """The initializer that made a variable's array, as the line that makes the variable names it."""
    caller, is_layer = _HOMES.caller(frame)
    if caller is None:
        return Write("an array made")
    made = _argument(caller.f_code, caller.f_lasti)
    found = _initializer(made, caller) if isinstance(made, ast.Call) else None
    if found is None:
        law = "an array made" if made is None else ast.unparse(made)
        return Write(cut(law), line_of(caller), is_layer)
    function, name = found
    is_default = is_layer and _is_default(caller, function, name)
    where = caller if is_default or not is_layer else _BEYOND.caller(caller)[0]
    return Write(cut(_law(function)), line_of(where), is_default)


@lru_cache(maxsize=4096)
def _argument(code: CodeType, at: int) -> ast.expr | None:
    """The first argument of the call that a place in code stands at; None where its text is not at hand."""
    places = list(code.co_positions())[at // 2]
    first, last, start, end = places
    if first is None or last is None or start is None or end is None:
        return None
    lines = [linecache.getline(code.co_filename, n).encode() for n in range(first, last + 1)]
    if not all(lines):
        return None
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    try:
        call = ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except SyntaxError:
        return None
    return call.args[0] if isinstance(call, ast.Call) and call.args else None


def _initializer(call: ast.Call, frame: FrameType) -> tuple[Callable[..., object], str] | None:
    """The function of this call and its name there, where it was handed to the code that calls it."""
    function, name = _found(call.func, frame), call.func.id if isinstance(call.func, ast.Name) else ""
    if not callable(function):
        return None
    is_local = isinstance(function, FunctionType) and f"{frame.f_code.co_qualname}.<locals>" in function.__qualname__
    if is_local and isinstance(function, FunctionType):  # what a layer wraps around the initializer that it was given
        held = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        given = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
        inner = [(cell.cell_contents, n) for n, cell in held if n in given and callable(cell.cell_contents)]
        return inner[0] if len(inner) == 1 else None
    return (function, name) if name in frame.f_locals or _is_initializer(function) else None


def _found(node: ast.expr, frame: FrameType) -> object:
    """What a name, or a name behind dots, stands for in a frame."""
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute):
        return getattr(_found(node.value, frame), node.attr, None)
    if isinstance(node, ast.Call) and all(
        isinstance(one, ast.Constant) for one in _given(node)
    ):  # normal(0.1)(key, ...)
        made = _found(node.func, frame)
        if callable(made) and _is_initializer(made):
            return made(
                *map(ast.literal_eval, node.args), **{k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg}
            )
    return None


def _given(node: ast.Call) -> list[ast.expr]:
    return [*node.args, *(keyword.value for keyword in node.keywords)]


def _is_initializer(function: object) -> bool:
    return getattr(function, "__module__", "").startswith(_INITIALIZERS)


def _is_default(frame: FrameType, function: object, name: str) -> bool:
    """Whether the layer that a frame makes has this initializer without having been given it under this name."""
    layer = frame.f_locals.get("self")
    given = {} if layer is None else inspect.signature(type(layer).__init__).parameters
    return name not in given or _law(given[name].default) == _law(function)


def _law(function: object) -> str:
    """An initializer as the outermost call that makes it, with the options that are not its defaults."""
    law = _closed(function)
    home = sys.modules.get(getattr(function, "__module__", ""))
    return _shorter(home).get(law, law) if home is not None and _is_initializer(function) else law


def _closed(function: object) -> str:
    """A function as the call of what it stands in, and the values that it holds from there."""
    name = getattr(function, "__qualname__", type(function).__name__).partition(".<locals>")[0]
    if not isinstance(function, FunctionType) or not function.__closure__:
        return f"{name}()"
    held: Mapping[str, object] = inspect.getclosurevars(function).nonlocals
    factory = function.__globals__.get(name)
    defaults = inspect.signature(factory).parameters if callable(factory) else {}
    order = [*(n for n in defaults if n in held), *(n for n in held if n not in defaults)]
    told = [f"{n}={said(held[n])}" for n in order if n not in defaults or defaults[n].default != held[n]]
    return f"{name}({', '.join(told)})"


@lru_cache(maxsize=8)
def _shorter(home: ModuleType) -> Mapping[str, str]:
    """Laws of a module of initializers that one of its functions makes when called without options, by that name."""
    found: dict[str, str] = {}
    for name, function in sorted(vars(home).items()):
        if (
            name.startswith("_")
            or not isinstance(function, FunctionType)
            or function.__code__.co_filename != home.__file__
        ):
            continue
        if all(p.default is not p.empty for p in inspect.signature(function).parameters.values()):
            law = _closed(function())
            if not law.startswith(f"{name}("):
                found.setdefault(law, f"{name}()")
    return found


@contextmanager
def construction() -> Iterator[FlaxConstruction]:
    """Within it, the variables of every module that is built are seen.

    Example:
        >>> with construction() as seen:
        ...     net = nnx.Linear(3, 2, bias_init=nnx.initializers.ones, rngs=nnx.Rngs(0))
        >>> sorted((one.native, one.last.law.partition("(")[0], one.last.is_default) for one in seen.of(net))
        [('bias', 'ones', False), ('kernel', 'lecun_normal', True)]
    """
    watch = FlaxConstruction()
    kind: Any = nnx.Variable
    make, assign = kind.__init__, kind.__dict__["set_value"]
    whole = kind.__dict__["from_metadata"]
    join = whole.__func__
    raw, update = kind.__dict__["set_raw_value"], kind.__dict__["update_from_state"]

    def made(self: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        make(self, value, *args, **kwargs)
        watch.made(self._raw_value)

    def seen(call: Callable[..., Any], what: str) -> Callable[..., Any]:
        def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
            before = self._raw_value
            given = call(self, *args, **kwargs)
            watch.replaced(before, self._raw_value, what)
            return given

        return replaced

    def put_together(cls: Any, value: Any, attributes: dict[str, Any]) -> Any:
        watch.put_together(value)
        return join(cls, value, attributes)

    kind.__init__, kind.set_value = made, seen(assign, "a value set")
    kind.from_metadata = classmethod(put_together)
    kind.set_raw_value, kind.update_from_state = seen(raw, "a value set"), seen(update, "a state given")
    try:
        yield watch
    finally:
        kind.__init__, kind.set_value = make, assign
        kind.from_metadata = whole
        kind.set_raw_value, kind.update_from_state = raw, update
