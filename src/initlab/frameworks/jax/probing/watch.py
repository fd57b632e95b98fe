"""The passes of a training loop, some of them measured: what a compiled step did is told to the host, and done again.

While a model is watched its class is a subclass whose call says, where a gradient arrives at what it returned, what it
was given, what the model held and that gradient. A step that is compiled by ``nnx.jit`` is compiled anew for that
class, and the one of before is used again afterwards.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import io_callback

from initlab.core.errors import OptionError
from initlab.core.restoring import put_back
from initlab.core.signals.readings import Reading, unscaled
from initlab.frameworks.jax.probing.capture import capture
from initlab.frameworks.jax.reading.parameters import check_model, entries

OnReading = Callable[[int, Reading], None]

_NUMBER = jax.eval_shape(lambda: jnp.zeros((), jnp.int32))
_barrier: Callable[[], None] = jax.effects_barrier


@contextmanager
def watch(
    model: object, *, every: int, on_reading: OnReading, scale: Callable[[], float] | None = None
) -> Iterator[None]:
    """A context in which every so many passes of a model that a gradient comes back from are measured.

    The step tells what it is given, holds and gets back; the same pass is done again when the context ends, from the
    same numbers, dropout masks and gradient, so that until then the weights of each measured pass are kept. The loss
    itself is not known. Passes in ``nnx.jit``, ``nnx.value_and_grad`` or neither are seen; those of a model that was
    split before the context began are not.

    Args:
        model: The module that the step calls.
        every: Passes from one that is measured to the next; the first one is.
        on_reading: Is given the number of the pass, counted from 0, and its reading, while the variables are those of
            the pass.
        scale: What the loss is multiplied with; gradients are divided by it.

    Raises:
        OptionError: ``every`` below 1, not a module, or a model that is watched already.

    Example:
        >>> net = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> step = nnx.jit(nnx.grad(lambda net, x: jnp.square(net(x)).mean()))
        >>> seen = []
        >>> with watch(net, every=2, on_reading=lambda number, reading: seen.append(number)):
        ...     for _ in range(5):
        ...         gradient = step(net, jnp.ones((4, 2)))
        >>> seen
        [0, 2, 4]
    """
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise OptionError(f"every must be 1 or more, got {every!r}", where="every", fix="give a whole number")
    checked = check_model(model)
    own = type(checked)
    entries(checked)
    if hasattr(own, "_initlab_watched"):
        raise OptionError(f"this {own.__name__} is watched already", fix="leave the first watch before")
    watcher = _Watcher(every)
    checked.__class__ = _watched(own, watcher)
    try:
        yield
        _barrier()
    finally:
        checked.__class__ = own
        watcher.is_over = True
    before = [(one, one.get_value()) for _, one in nnx.iter_graph(checked) if isinstance(one, nnx.Variable)]
    try:
        for number, told in sorted(watcher.told, key=lambda one: one[0]):
            on_reading(number, _reading(checked, told, 1.0 if scale is None else float(scale())))
    finally:
        put_back(lambda: _set(before))


@dataclass(frozen=True, eq=False)
class _Told:
    """What one pass told: arrays on the host, and how they were put together.

    Attributes:
        held: The model's variables before the pass.
        given: Arguments by place and by name.
        gradient: Of the loss, by each real array that was returned.
    """

    held: Any
    given: tuple[tuple[Any, ...], dict[str, Any]]
    gradient: tuple[Any, ...]


@dataclass(eq=False)
class _Watcher:
    """Counts passes and keeps what some of them told."""

    every: int
    passes: int = 0
    is_over: bool = False
    told: list[tuple[int, _Told]] = field(default_factory=list)

    def count(self, arrived: Any) -> np.int32:
        """Count a pass whose gradient has arrived; its number where it is to be measured, else -1."""
        number, self.passes = self.passes, self.passes + 1
        return np.int32(-1 if self.is_over or number % self.every else number)

    def keep(
        self, rebuilt: Callable[[list[Any]], Any], number: Any, gradient: tuple[Any, ...], leaves: list[Any]
    ) -> None:
        """Keep what a pass told."""
        held, given = rebuilt([np.array(leaf) for leaf in leaves])
        self.told.append((int(number), _Told(held, given, tuple(np.array(one) for one in gradient))))


def _watched(own: type, watcher: _Watcher) -> type:
    """A subclass whose call tells."""

    @wraps(own.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        beside = (nnx.state(self), (args, kwargs))
        leaves, rebuilt = _arrays(beside)
        result = own.__call__(self, *args, **kwargs)
        flat, form = jax.tree_util.tree_flatten(result)
        real = [i for i, one in enumerate(flat) if _is_real(one)]
        heard = _listening(partial(watcher.keep, rebuilt), watcher.count)(tuple(flat[i] for i in real), leaves)
        for i, one in zip(real, heard, strict=True):
            flat[i] = one
        return jax.tree_util.tree_unflatten(form, flat)

    return type(own)(own.__name__, (own,), {"__call__": call, "__module__": own.__module__, "_initlab_watched": True})


def _listening(keep: Callable[..., None], count: Callable[[Any], np.int32]) -> Callable[..., Any]:
    """The identity, which tells the gradient that comes back through it."""

    @jax.custom_vjp
    def through(values: tuple[Any, ...], leaves: list[Any]) -> tuple[Any, ...]:
        return values

    def forth(values: tuple[Any, ...], leaves: list[Any]) -> tuple[tuple[Any, ...], list[Any]]:
        return values, leaves

    def back(leaves: list[Any], gradient: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[Any]]:
        # It is given a number of the gradient, so that passes of one program are counted as they come.
        number = io_callback(count, _NUMBER, [one.ravel()[:1] for one in gradient], ordered=False)
        jax.lax.cond(number >= 0, lambda: jax.debug.callback(keep, number, gradient, leaves), lambda: None)
        return gradient, [_nothing(leaf) for leaf in leaves]

    through.defvjp(forth, back)
    return through


def _nothing(leaf: Any) -> Any:
    return jnp.zeros_like(leaf) if _is_real(leaf) else np.zeros(leaf.shape, jax.dtypes.float0)


def _arrays(tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The arrays of a tree, without gradient, keys as their words; and what puts others in their place."""
    flat, form = jax.tree_util.tree_flatten(tree)
    at = [i for i, one in enumerate(flat) if isinstance(one, jax.Array | np.ndarray)]
    keys = {i: jax.random.key_impl(flat[i]) for i in at if _is_key(flat[i])}
    still = [one if i not in at else None for i, one in enumerate(flat)]

    def rebuilt(arrays: list[Any]) -> Any:
        found = list(still)
        for i, array in zip(at, arrays, strict=True):
            found[i] = jax.random.wrap_key_data(array, impl=keys[i]) if i in keys else jnp.asarray(array)
        return jax.tree_util.tree_unflatten(form, found)

    plain = [jax.random.key_data(flat[i]) if i in keys else jnp.asarray(flat[i]) for i in at]
    return [jax.lax.stop_gradient(one) for one in plain], rebuilt


def _is_key(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype, jax.dtypes.prng_key))


def _is_real(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray) and bool(jnp.issubdtype(value.dtype, jnp.inexact))


def _set(values: list[tuple[nnx.Variable[Any], Any]]) -> None:
    for variable, value in values:
        variable.set_value(value)


def _reading(model: nnx.Module, told: _Told, factor: float) -> Reading:
    """What the same pass shows with the same gradient by what it returned; its loss is not known."""
    nnx.update(model, told.held)

    def loss(result: Any) -> Any:
        real = [one for one in jax.tree_util.tree_leaves(result) if _is_real(one)]
        return sum(jnp.sum(one * by) for one, by in zip(real, told.gradient, strict=True))

    args, kwargs = told.given
    bound = inspect.signature(type(model).__call__).bind(model, *args, **kwargs).arguments
    batch: object = dict(list(bound.items())[1:]) if kwargs else args
    found = unscaled(capture(model, batch, loss=loss).reading, factor)
    return replace(found, loss=math.nan, loss_error=math.nan, loss_kind="random", guess=None)
