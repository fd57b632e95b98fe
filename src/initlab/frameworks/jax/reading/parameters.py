"""The parameters of an ``nnx`` model by name: which are shared, which cannot be drawn, and their canonical paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.paths import NativeName, canonical_paths, is_automatic

_OWN = "_pytree__"  # attributes with which nnx keeps its books
_LINEN = re.compile(r"[A-Z]\w*_\d+")  # Dense_0: the name that Linen makes up, and ToNNX takes over


@dataclass(frozen=True, eq=False)
class Entry:
    """One name of one parameter.

    Attributes:
        parts: The way from the model to the parameter: attributes, indices and keys.
        variable: The ``nnx.Param``.
        modules: The modules on the way, from the model to the one that holds the parameter.
        owner: What holds the parameter: a module, or a container of plain Python.
        first: The first name of the same variable; the parameter's own where no other comes before it.
    """

    parts: tuple[str, ...]
    variable: nnx.Param[Any]
    modules: tuple[nnx.Module, ...]
    owner: object
    first: str

    @property
    def native(self) -> str:
        """The name, with dots between its parts."""
        return ".".join(self.parts)

    @property
    def leaf(self) -> str:
        """The name in the owner."""
        return self.parts[-1]

    @property
    def module(self) -> str:
        """The owner's name; empty for the model itself."""
        return ".".join(self.parts[:-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape as Flax stores it."""
        return tuple(int(n) for n in value_of(self.variable).shape)

    @property
    def drawable(self) -> bool:
        """Whether initlab draws numbers of this type."""
        return bool(jnp.issubdtype(value_of(self.variable).dtype, jnp.inexact))


def check_model(model: object) -> nnx.Module:
    """The model.

    Raises:
        OptionError: Not a module of ``flax.nnx``.
    """
    if not isinstance(model, nnx.Module):
        raise OptionError(f"{type(model).__name__} is not a model", fix="give a flax.nnx.Module")
    return model


def value_of(variable: nnx.Variable[Any]) -> Any:
    """A variable's array, as it is."""
    return variable.get_value()


def numbers(variable: nnx.Variable[object], *, first: bool = False) -> NDArray[np.generic]:
    """A variable's values in its own layout: float64 for float64, and float32 for the other floats; perhaps a view.

    Of complex numbers it is their real and imaginary parts, along a new last axis; ``first`` asks for the first number
    alone.
    """
    whole = np.asarray(value_of(variable))
    array = whole.reshape(-1)[:1] if first else whole
    real = np.stack([array.real, array.imag], axis=-1) if array.dtype.kind == "c" else array
    return real if real.dtype.kind in "iub" or real.dtype == np.float64 else real.astype(np.float32, copy=False)


def entries(model: object) -> list[Entry]:
    """Every ``nnx.Param`` under every one of its names, in the order in which the modules were given them.

    Variables of other types (statistics, generators, caches) are not parameters.

    Raises:
        OptionError: Not a module, or a module without parameters.
        InitlabError: Parameters without numbers, or with whole numbers.
    """
    first: dict[int, str] = {}
    found = []
    for parts, variable, modules, owner in _walk(check_model(model), (), (), frozenset()):
        if isinstance(variable, nnx.Param):
            name = ".".join(parts)
            _check(name, value_of(variable))
            found.append(Entry(parts, variable, modules, owner, first.setdefault(id(variable), name)))
    if not found:
        is_wrapped = any(isinstance(module, nnx.bridge.ToNNX) for _, module in modules_of(check_model(model)))
        fix = "call lazy_init(x) of the wrapped module first" if is_wrapped else "give a model with an nnx.Param"
        raise OptionError(f"{type(model).__name__} has no parameters", fix=fix)
    return found


def find(model: object, native: str) -> Entry:
    """The parameter of a name.

    Raises:
        OptionError: The model has no parameter of that name.
    """
    holder: object = check_model(model)
    parts, modules = tuple(native.split(".")), [check_model(model)]
    for part in parts[:-1]:
        holder = _child(holder, part)
        if isinstance(holder, nnx.Module):
            modules.append(holder)
    variable = _child(holder, parts[-1])
    if not isinstance(variable, nnx.Param):
        raise OptionError(f"the model has no parameter '{native}'", fix="plan the model that the plan is applied to")
    _check(native, value_of(variable))
    return Entry(parts, variable, tuple(modules), holder, native)


def paths_of(found: Sequence[Entry], drawn: Sequence[bool]) -> list[str]:
    """Canonical paths: names that the user chose are kept, made-up ones become ordinals among drawn siblings.

    The list inside an ``nnx.Sequential`` is no part of a path: its layers are numbered as in any other framework.

    Args:
        found: The parameters.
        drawn: Whether each is a weight that is drawn.

    Example:
        >>> net = nnx.Sequential(nnx.LayerNorm(2, rngs=nnx.Rngs(0)), nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> paths_of(entries(net), [False, False, True, False])
        ['undrawn_0/scale', 'undrawn_0/bias', '0/weight', '0/bias']
    """
    return canonical_paths([_name(entry, is_drawn) for entry, is_drawn in zip(found, drawn, strict=True)])


def modules_of(model: nnx.Module) -> Iterator[tuple[str, nnx.Module]]:
    """Every module of a model under its first name, the model itself first."""
    seen: set[int] = set()
    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Module) and id(node) not in seen:
            seen.add(id(node))
            yield ".".join(str(part) for part in path), node


def _name(entry: Entry, is_drawn: bool) -> NativeName:
    skipped = {i for i, part in enumerate(entry.parts) if part == "layers" and _in_sequential(entry, i)}
    kept = [part for i, part in enumerate(entry.parts) if i not in skipped]
    return NativeName(tuple(kept), tuple(_is_made_up(part) for part in kept[:-1]), is_drawn)


def _in_sequential(entry: Entry, at: int) -> bool:
    holder: object = entry.modules[0]
    for part in entry.parts[:at]:
        holder = _child(holder, part)
    return isinstance(holder, nnx.Sequential)


def _child(holder: object, part: str) -> object:
    return next((child for name, child in _children(holder) if name == part), None)


def _is_made_up(part: str) -> bool:
    return is_automatic(part, part.rpartition("_")[0] if _LINEN.fullmatch(part) else "")


def _walk(
    node: object, path: tuple[str, ...], modules: tuple[nnx.Module, ...], inside: frozenset[int]
) -> Iterator[tuple[tuple[str, ...], nnx.Variable[Any], tuple[nnx.Module, ...], object]]:
    if id(node) in inside:  # a module that refers back to one around it
        return
    around = (*modules, node) if isinstance(node, nnx.Module) else modules
    for name, child in _children(node):
        if isinstance(child, nnx.Variable):
            yield (*path, name), child, around, node
        else:
            yield from _walk(child, (*path, name), around, inside | {id(node)})


def _children(node: object) -> list[tuple[str, object]]:
    """What may hold parameters inside a node, by name; in an order that ``nnx.merge``, which sorts names, keeps."""
    if isinstance(node, nnx.Pytree):
        named = [(name, child) for name, child in vars(node).items() if not name.startswith(_OWN)]
    elif isinstance(node, Mapping):
        named = sorted(((str(key), child) for key, child in node.items()), key=lambda item: _numbered(item[0]))
    else:
        named = [(str(i), child) for i, child in enumerate(node)] if isinstance(node, list | tuple) else []
    held = [(name, child) for name, child in named if _may_hold(child)]
    return sorted(held, key=lambda item: (int(item[0]) if item[0].isdecimal() else -1, item[0] == "bias"))


def _numbered(name: str) -> tuple[str, int]:
    """``Dense_10`` after ``Dense_9``."""
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if _LINEN.fullmatch(name) else (name, -1)


def _may_hold(child: object) -> bool:
    return isinstance(child, nnx.Variable | nnx.Pytree | Mapping | list | tuple)


def _check(native: str, value: object) -> None:
    if isinstance(value, jax.ShapeDtypeStruct):
        raise InitlabError(
            "the parameter is abstract (nnx.eval_shape) and holds no numbers",
            where=native,
            fix="build the model outside of eval_shape, as Model(rngs=nnx.Rngs(0)); then initialise",
        )
    if isinstance(value, jax.core.Tracer):
        raise InitlabError(
            "the parameter is traced and holds no numbers", where=native, fix="initialise outside of jit, grad and vmap"
        )
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        raise InitlabError(f"the parameter holds a {type(value).__name__}, no array", where=native)
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        raise InitlabError(
            f"whole or quantised numbers ({value.dtype}) are neither drawn nor probed",
            where=native,
            fix="take the float model, and quantise it afterwards",
        )
