"""A model as a function of its arrays: a copy runs, so that the model itself stays as it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx
from jax.extend import core

from initlab.core.errors import InitlabError
from initlab.frameworks.jax.reading.inputs import Arguments
from initlab.frameworks.jax.reading.jaxprs import Program, flat
from initlab.frameworks.jax.reading.module_calls import Calls, classes_of, numbering
from initlab.frameworks.jax.reading.parameters import Entry, modules_of

# Raised where the value of a traced array is asked for.
UNTRACEABLE = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)
_MODES = ("deterministic", "use_running_average")


@dataclass(frozen=True, eq=False)
class Traced:
    """One pass of a model as a program.

    Attributes:
        program: Its arguments are the model's arrays, then those of the input.
        leaves: The model's arrays.
        names: Of each of them, the first native name of the parameter; empty for a buffer.
        given: The input's arrays.
        calls: The module calls of the pass.
        shapes: What the model returned, as shapes and types.
        rebuilt: What the model returned, made of these arrays in place of its own.
        definition: The model's structure: its modules and all that is no array.
        form: The structure of what it returned.
        closed: The program as JAX wrote it.
    """

    program: Program
    leaves: list[Any]
    names: list[str]
    given: list[Any]
    calls: Calls
    shapes: list[Any]
    rebuilt: Callable[[Sequence[Any]], Any]
    definition: Hashable
    form: Hashable
    closed: core.ClosedJaxpr

    def result_of(self, outputs: Sequence[Any]) -> Any:
        """What the model returns, where its arrays are these."""
        return self.rebuilt(outputs)


class UntraceableError(InitlabError):
    """A model whose call asks for the numbers in an array, which a trace does not have."""


def traced(model: nnx.Module, found: Sequence[Entry], given: Arguments, *, training: bool) -> Traced:
    """One pass of a copy of the model.

    Args:
        model: The model.
        found: Its parameters.
        given: Arguments of its call.
        training: Whether dropout drops and batch norms take the batch's moments; a model in which some part does so
            already keeps the modes of its parts.

    Raises:
        UntraceableError: Its call depends on the numbers in an array.
        Exception: Whatever the model's own code raises on an input that does not fit it.
    """
    definition, state = nnx.split(model)
    keyed, structure = jax.tree_util.tree_flatten_with_path(state)
    leaves = [leaf for _, leaf in keyed]
    arrays, form = jax.tree_util.tree_flatten(given)
    live = [i for i, one in enumerate(arrays) if hasattr(one, "shape")]
    calls, kinds, keep = Calls(), classes_of(model), training and _is_training(model)
    returned: list[Any] = []

    def forward(values: list[Any], inputs: list[Any]) -> list[Any]:
        copy: Any = nnx.merge(definition, jax.tree_util.tree_unflatten(structure, values))
        if not keep:
            (copy.train if training else copy.eval)()
        filled = list(arrays)
        for i, value in zip(live, inputs, strict=True):
            filled[i] = value
        args, kwargs = jax.tree_util.tree_unflatten(form, filled)
        with numbering(calls, {id(module): name for name, module in modules_of(copy)}, kinds):
            made = copy(*args, **kwargs)
        parts, made_form = jax.tree_util.tree_flatten(made)
        returned.append((parts, made_form))
        return [one for one in parts if hasattr(one, "shape")]

    closed = _jaxpr(forward, leaves, [arrays[i] for i in live], where=type(model).__name__)
    names = _names(model, found)
    parts, made_form = returned[-1]
    return Traced(
        program=flat(closed, calls.inside, weights=len(leaves)),
        leaves=leaves,
        names=[names.get(_key(path), "") for path, _ in keyed],
        given=[arrays[i] for i in live],
        calls=calls,
        shapes=[_shaped(aval) for aval in closed.out_avals],
        rebuilt=_rebuilt(parts, made_form),
        definition=definition,
        form=(made_form, tuple(hasattr(part, "shape") for part in parts)),
        closed=closed,
    )


def _jaxpr(forward: Callable[..., Any], leaves: list[Any], inputs: list[Any], *, where: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return jax.make_jaxpr(forward)(leaves, inputs)
    except UNTRACEABLE as error:
        said = "its call asks for the numbers in an array, which JAX does not know while it traces"
        raise UntraceableError(said, where=where, fix="use jnp.where or jax.lax.cond there") from error


def _shaped(aval: Any) -> Any:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)  # type: ignore[no-untyped-call]


def _rebuilt(parts: Sequence[Any], form: Any) -> Callable[[Sequence[Any]], Any]:
    is_array = [hasattr(one, "shape") for one in parts]
    others = [None if is_one else one for one, is_one in zip(parts, is_array, strict=True)]

    def rebuilt(outputs: Sequence[Any]) -> Any:
        arrays = iter(outputs)
        filled = [next(arrays) if is_one else other for is_one, other in zip(is_array, others, strict=True)]
        return jax.tree_util.tree_unflatten(form, filled)

    return rebuilt


def _names(model: nnx.Module, found: Sequence[Entry]) -> Mapping[tuple[str, ...], str]:
    """The first native name of each parameter, by the path that nnx gives it."""
    first = {id(entry.variable): entry.first for entry in found}
    nodes = ((tuple(map(str, path)), node) for path, node in nnx.iter_graph(model))
    return {path: first[id(node)] for path, node in nodes if id(node) in first}


def _key(path: Sequence[Any]) -> tuple[str, ...]:
    """A state's own path to a variable, without the last step to its array."""
    parts = [str(getattr(part, "key", getattr(part, "idx", getattr(part, "name", part)))) for part in path]
    return tuple(parts[:-1])


def _is_training(model: nnx.Module) -> bool:
    """Whether some part of a model drops units or takes a batch's own moments."""
    modes = [getattr(module, mode, None) for _, module in modules_of(model) for mode in _MODES]
    return any(mode is False for mode in modes)
