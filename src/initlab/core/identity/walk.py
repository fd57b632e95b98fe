"""The user's code that a function reaches, as digests by name, and what of it cannot be told.

Followed are functions and classes by reference: global names and those behind a dot, closures, defaults, partials,
``__wrapped__``, properties, static methods, nested code, imports within functions; in the user's own modules alone.
What is installed counts by its version.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from initlab.core.identity.places import file_of, is_installed, owner_of, package_version
from initlab.core.identity.references import references_of
from initlab.core.identity.texts import class_text, digest_of_text, function_text
from initlab.core.identity.values import Teller, UnseenError

_DYNAMIC = {"getattr", "setattr", "eval", "exec", "compile", "globals", "locals", "vars", "__import__", "input"}
_CLOCKS: tuple[str, ...] = (
    "time.",
    "datetime.",
    "secrets.",
    "uuid.",
    "importlib.",
    "subprocess.",
    "socket.",
    "urllib.",
)
_CLOCKS += ("os.environ", "os.getenv", "os.urandom", "os.getpid", "random.SystemRandom")
_SPECIAL = {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__firstlineno__"}
_SPECIAL |= {"__static_attributes__", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "_abc_impl"}
_SPECIAL |= {"__abstractmethods__", "__parameters__", "__orig_bases__", "__slots__", "__annotate_func__", "__hash__"}
_CONSTRUCTORS = {"__init__", "__new__", "__post_init__", "__setstate__", "build"}


MODEL = "the model, as it is read"
"""The part that stands for all that is known of a model: what other parts make of it."""


@dataclass(frozen=True)
class Code:
    """What the user's code is, by name.

    Attributes:
        parts: A digest of each function, class and value, ``"net:Net.forward"`` or ``"net:WIDTH"``; the version of each
            package, ``"package einops"``; a digest of each file that was read, ``"file weights.npz"``.
        unseen: What has a part in it and cannot be told, in words.

    Example:
        >>> Code().id, Code({"net:build": "0a"}).id
        ('', '868b8e5859e34062')
    """

    parts: Mapping[str, str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """16 hex digits of the sha256 of the parts; empty where the user has no part in it."""
        if not self.parts:
            return ""
        return digest_of_text(json.dumps(dict(sorted(self.parts.items()))))

    def __or__(self, other: Code) -> Code:
        return Code({**self.parts, **other.parts}, tuple(dict.fromkeys((*self.unseen, *other.unseen))))

    def difference(self, other: Code) -> str:
        """The first name that tells it from another, in words; empty where none does.

        Example:
            >>> Code({"net:WIDTH": "0a"}).difference(Code({"net:WIDTH": "0b"}))
            "'net:WIDTH' is another"
        """
        for name in sorted(self.parts.keys() | other.parts.keys(), key=lambda name: (name == MODEL, name)):
            ours, theirs = self.parts.get(name), other.parts.get(name)
            if ours != theirs:
                return f"'{name}' is {'new' if theirs is None else 'gone' if ours is None else 'another'}"
        return ""


NO_CODE = Code()
"""The code of a run in which the user has no part."""


def code_of(*roots: object, known: Iterable[str] = ()) -> Code:
    """The user's code behind functions, classes or values: what is installed, and what it reaches, has no part in it.

    Args:
        roots: A factory, a scheme's function, an activation's.
        known: Packages whose versions are told elsewhere.

    Example:
        >>> code_of(json.dumps)
        Code(parts={}, unseen=())
    """
    walk = _Walk(frozenset(known))
    for root in roots:
        walk.value("the factory", root)
    return walk.code()


@dataclass
class _Walk:
    """Functions and classes first; values when all is known that writes to them."""

    known: frozenset[str]
    parts: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, None] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    labels: dict[int, str] = field(default_factory=dict)
    waiting: deque[tuple[str, Any]] = field(default_factory=deque)
    alive: list[object] = field(default_factory=list)

    def code(self) -> Code:
        while self.waiting or self.values.keys() - self.told:
            while self.waiting:
                self._follow_code(*self.waiting.popleft())
            for name in [name for name in self.values if name not in self.told]:
                self._tell(name, self.values[name])
        for name, value in self.values.items():
            state = _state(value)
            last = name.rpartition(".")[2]
            if name in self.written or last in self.attributes or self.attributes & set(state):
                self.parts.pop(name, None)
                self.unseen[f"{name} (it is written to)"] = None
        return Code(dict(sorted(self.parts.items())), tuple(self.unseen))

    def _follow_code(self, label: str, thing: Any) -> None:
        try:
            self._class(label, thing) if isinstance(thing, type) else self._function(label, thing)
        except Exception as error:  # code of a class's own, as a metaclass whose ``__getattr__`` raises
            self.unseen[f"{label} ({type(error).__name__} when it was read)"] = None

    def value(self, name: str, thing: object) -> None:
        """Follow what a name stands for."""
        try:
            self._value(name, thing)
        except Exception as error:  # code of the thing's own, as a ``__getattr__`` that raises
            self.unseen[f"{name} ({type(error).__name__} when it was read)"] = None

    def _value(self, name: str, thing: object) -> None:
        if isinstance(thing, ModuleType):
            if owner_of(thing.__name__) == "user":
                self.unseen[f"{name} (a module as a value)"] = None
            else:
                self._package(thing.__name__)
            return
        inside = _unwrapped(thing)
        if inside is not None:
            if hasattr(thing, "cache_info"):
                self.unseen[f"{name} (a cache)"] = None
            for part in inside:
                self.value(name, part)
        elif isinstance(thing, FunctionType | type | BuiltinFunctionType):
            self.name(thing)
        elif isinstance(thing, MethodType):
            self.value(name, thing.__func__)
            self.value(f"{name}.__self__", thing.__self__)
        else:
            self._keep(name, thing)

    def name(self, thing: Any) -> str:
        """What code is called; it is followed where it is the user's."""
        if isinstance(thing, ModuleType):
            self.value(thing.__name__, thing)
            return thing.__name__
        inside = _unwrapped(thing)
        if inside is not None:
            return " ".join(self.name(part) if callable(part) else repr(part) for part in inside)
        if isinstance(thing, MethodType):
            self.value("a method", thing)
            return self.name(thing.__func__)
        told = getattr(thing, "__module__", None)
        module = told if isinstance(told, str) and told else type(thing).__module__
        dotted = f"{module}.{getattr(thing, '__qualname__', getattr(thing, '__name__', ''))}"
        made = isinstance(thing, FunctionType) and thing.__module__ is None  # by exec, in a scope without a name
        owner = "user" if made else owner_of(module)
        if owner == "user" and isinstance(thing, FunctionType | type):
            return self._queued(thing)
        if owner == "user":
            self.unseen[f"{dotted} (compiled)"] = None
        elif owner == "package":
            self._package(module)
        elif dotted.startswith(_CLOCKS) and not isinstance(thing, type):
            self.unseen[dotted] = None
        return dotted

    def _queued(self, thing: FunctionType | type) -> str:
        if id(thing) not in self.labels:
            label = f"{_home(thing.__module__)}:{thing.__qualname__}"
            taken = set(self.labels.values())
            count = 1
            while (label if count == 1 else f"{label} #{count}") in taken:
                count += 1
            self.labels[id(thing)] = label if count == 1 else f"{label} #{count}"
            self.alive.append(thing)
            self.waiting.append((self.labels[id(thing)], thing))
        return self.labels[id(thing)]

    def _keep(self, name: str, thing: object) -> None:
        count, wanted = 1, name
        while wanted in self.values and self.values[wanted] is not thing:
            count += 1
            wanted = f"{name} #{count}"
        self.values[wanted] = thing

    def _tell(self, name: str, thing: object) -> None:
        self.told.add(name)
        try:
            self.parts[name] = digest_of_text(Teller(self.name).text(thing))
        except UnseenError as error:
            self.unseen[f"{name} ({error})"] = None
        except Exception as error:  # the value's own code may raise anything, and then it cannot be told
            self.unseen[f"{name} ({type(error).__name__} when it was read)"] = None

    def _package(self, module: str) -> None:
        top = module.partition(".")[0]
        if top not in self.known and owner_of(top) == "package":
            self.parts[f"package {top}"] = package_version(top)

    def _function(self, label: str, function: FunctionType) -> None:
        if not is_installed(Path(function.__code__.co_filename)):  # the wrapper of a decorator is a package's
            self.parts[label] = digest_of_text(function_text(function))
            self._follow(label, function)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        held = {name: cell.cell_contents for name, cell in cells if name != "__class__" and _is_full(cell)}
        given = {**_defaults(function), **held, **function.__dict__}
        for name, value in given.items():
            self.value(f"{label} {name}", value)

    def _follow(self, label: str, function: FunctionType) -> None:
        found, home = references_of(function.__code__), _home(function.__module__)
        if function.__name__ not in _CONSTRUCTORS:
            self.attributes |= found.attributes
        self.written |= {f"{home}:{name}" for name in found.written}
        for chain in found.names:
            self._resolve(label, home, function.__globals__, chain)
        for module, names, level in found.imports:
            self._import(label, function.__globals__, module, names, level)
        for module, *dots in found.uses:
            self._resolve(label, home, {module: self._module(label, module)}, (module, *dots))

    def _resolve(self, label: str, home: str, scope: Mapping[str, Any], chain: tuple[str, ...]) -> None:
        name, *rest = chain
        if name not in scope:
            if name in _DYNAMIC or not hasattr(builtins, name):
                self.unseen[f"{label}: {name}" + ("" if name in _DYNAMIC else " (it is not defined yet)")] = None
            return None
        value = scope[name]
        while isinstance(value, ModuleType) and rest:
            if owner_of(value.__name__) != "user":
                return self._outside(label, value.__name__, rest)
            home, name = _home(value.__name__), rest.pop(0)
            if not hasattr(value, name):
                return None
            value = getattr(value, name)
        if rest and isinstance(value, type) and owner_of(value.__module__) == "python":
            return self._outside(label, f"{value.__module__}.{value.__qualname__}", rest)
        return self.value(f"{home}:{name}", value)

    def _outside(self, label: str, module: str, rest: list[str]) -> None:
        """A name of a module of Python's or of a package."""
        self._package(module)
        dotted = ".".join((module, *rest))
        if dotted.startswith(_CLOCKS):
            self.unseen[f"{label}: {dotted}"] = None

    def _import(self, label: str, scope: Mapping[str, Any], module: str, names: tuple[str, ...], level: int) -> None:
        package = str(scope.get("__package__") or "").split(".")
        base = package[: len(package) - level + 1] if level else []
        dotted = ".".join([*base, *([module] if module else [])])
        found = self._module(label, dotted)
        if owner_of(dotted) != "user":
            self._package(dotted)
        for name in names if names != ("*",) else [n for n in vars(found) if not n.startswith("__")]:
            if found is not None and not hasattr(found, name) and file_of(f"{dotted}.{name}") is not None:
                self._module(label, f"{dotted}.{name}")
            self._resolve(label, dotted, {dotted: found}, (dotted, name))

    def _module(self, label: str, dotted: str) -> ModuleType | None:
        """A module that a function imports; it is imported, as the function would do."""
        try:
            return importlib.import_module(dotted)
        except Exception:  # the module's own code; whether it is needed is seen when the factory is called
            self.unseen[f"{label}: {dotted} (it cannot be imported)"] = None
            return None

    def _class(self, label: str, kind: type) -> None:
        own = {name: member for name, member in vars(kind).items() if name not in _SPECIAL}
        generated = any(name in vars(base) for base in kind.__mro__ for name in ("__dataclass_fields__", "_fields"))
        codes = []
        for name, member in own.items():
            inside = _unwrapped(member)
            for part in (member,) if inside is None else inside:
                if isinstance(part, FunctionType):
                    if generated and part.__code__.co_filename.startswith("<string>"):
                        continue
                    if part.__qualname__.startswith(f"{kind.__qualname__}."):
                        codes.append(part.__code__)
            if not _is_slot(member) and not (generated and _is_generated(member)):
                self.value(f"{label}.{name}", member)
        bases = [self.name(base) for base in (*kind.__mro__[1:], type(kind))]
        self.parts[label] = digest_of_text(f"{class_text(kind, codes)} {bases}")


def _unwrapped(thing: Any) -> tuple[Any, ...] | None:
    """What a wrapper holds; None for what is none."""
    if isinstance(thing, property):
        return tuple(part for part in (thing.fget, thing.fset, thing.fdel) if part is not None)
    if isinstance(thing, staticmethod | classmethod):
        return (thing.__func__,)
    if isinstance(thing, functools.partial | functools.partialmethod):
        return (thing.func, *thing.args, *thing.keywords.values()) if _is_code_only(thing) else None
    if isinstance(thing, functools.cached_property):
        return (thing.func,)
    if isinstance(thing, FunctionType | type | MethodType):
        return None
    state = _state(thing)
    for name in ("__wrapped__", "py_func"):
        inside = state.get(name)
        if inside is None and hasattr(type(thing), name):
            inside = getattr(thing, name, None)
        if inside is not None:
            return (inside,)
    return None


def _state(thing: object) -> Mapping[str, Any]:
    """An object's own attributes; none where it has none, or keeps them to itself."""
    try:
        found = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _is_code_only(thing: Any) -> bool:
    return not thing.args and not thing.keywords


def _defaults(function: FunctionType) -> dict[str, object]:
    code, given = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount][code.co_argcount - len(given) :]
    return {**dict(zip(names, given, strict=True)), **(function.__kwdefaults__ or {})}


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # an empty cell raises
    except ValueError:
        return False
    return True


def _is_slot(member: object) -> bool:
    return type(member).__name__ in ("member_descriptor", "getset_descriptor", "_tuplegetter")


def _is_generated(member: object) -> bool:
    function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
    return isinstance(function, FunctionType) and function.__code__.co_filename.startswith("<")


def _home(module: str | None) -> str:
    """A module's name in a label; that of a script is the one under which it can be imported."""
    if module != "__main__":
        return module or "?"
    file = file_of("__main__")
    return "__main__" if file is None or is_installed(file) else file.stem
