"""JAX' own form of a scheme: a function of key, shape and dtype, as those of ``jax.nn.initializers``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike, NDArray

from initlab.core.calls import OptionValue
from initlab.core.draws.dtypes import weight_dtype
from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ParamSpec, Role
from initlab.core.laws import Law
from initlab.core.laws.draw import draw
from initlab.frameworks.single import role_by_rank
from initlab.schemes import scheme as named_scheme

PATH = "weight"


class JaxInitializer(Protocol):
    """What ``jax.nn.initializers`` and Flax call an initializer."""

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: DTypeLike | None = None) -> jax.Array:
        """An array of this shape and dtype, made of the key."""
        ...


def initializer(
    scheme: str = "he_normal",
    *,
    role: Role | None = None,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
    groups: int = 1,
    stride: tuple[int, ...] = (),
    dialect: Dialect | None = None,
    **options: OptionValue,
) -> JaxInitializer:
    """A function of key, shape and dtype that draws from the scheme's law, under ``jit``, ``vmap`` and Flax too.

    The seed is the whole number that the key's words make, most significant first: ``jax.random.key(7)`` draws what
    ``initlab.draw`` draws under ``seed=7``, in the layout ``(out, in / groups, *kernel)``, moved into the shape's own.
    A key that is traced is drawn from by the host when the compiled program runs (``jax.pure_callback``), one after the
    other under ``vmap``; ``jax.eval_shape`` draws nothing. No gradient flows through a draw.

    Args:
        scheme: A scheme's name or call, e.g. ``"normal(std=0.02)"``.
        role: What the weight does; left out, ``bias`` for one axis, ``dense`` for two, ``conv`` for more. The axes
            below are those of a weight; a bias or an embedding ``(rows, width)`` is taken as it is.
        in_axis: Axes contracted with the input. The default is that of Flax: ``(in, out)``,
            ``(*kernel, in / groups, out)``.
        out_axis: Axes that appear in the output. Axes named by none of the three are receptive field.
        batch_axis: Axes of stacked copies, as of scanned layers: each slice is a weight of its own, drawn under the
            path ``weight/0``, ``weight/1``, and so on.
        groups: Groups of a convolution.
        stride: Stride of a transposed convolution, a number per kernel axis; empty means 1.
        dialect: The framework whose truncation, fans and defaults are taken; ``"jax"`` gives the laws of
            ``jax.nn.initializers``.
        **options: The scheme's options.

    Returns:
        ``init(key, shape, dtype=None)``; the dtype left out is JAX' default float, and narrow floats are the float32
        numbers, cast. It raises OptionError for what is not one key and for a dtype that is not drawn, and ShapeError
        for a shape that the scheme or the axes do not fit.

    Raises:
        UnknownNameError: No scheme has the name.
        OptionError: The scheme has no such option.

    Example:
        >>> init = initializer("he_uniform")
        >>> weight = init(jax.random.key(0), (8, 64))      # sqrt(6 / 8) = 0.866
        >>> weight.shape, bool(abs(weight).max() < 0.8661)
        ((8, 64), True)
    """
    bound = named_scheme(scheme, dialect=dialect, **options)
    axes = tuple(_as_tuple(axis) for axis in (in_axis, out_axis, batch_axis))

    def init(key: jax.Array, shape: Sequence[int], dtype: DTypeLike | None = None) -> jax.Array:
        sizes = tuple(int(n) for n in shape)
        kind = _kind(dtype)
        known = role_by_rank(len(sizes)) if role is None else role
        order = _order(sizes, axes) if len(sizes) >= 2 and known != "embedding" else _as_it_is(sizes)
        param = ParamSpec(path=PATH, shape=order.canonical, role=known, groups=groups, stride=stride)
        law = bound(param)
        law.check(param.shape)
        words = _words(key)

        def drawn(host_words: NDArray[np.uint32]) -> NDArray[np.generic]:
            return _draw(law, order, sizes, _seed(np.asarray(host_words)), kind)

        if not isinstance(words, jax.core.Tracer):
            return jnp.asarray(drawn(np.asarray(words)))
        result = jax.ShapeDtypeStruct(sizes, kind)  # type: ignore[no-untyped-call]
        made: jax.Array = jax.pure_callback(drawn, result, words, vmap_method="sequential")
        return made

    return init


@dataclass(frozen=True)
class _Order:
    """Where the axes of a shape go.

    Attributes:
        axes: All axes: batch, output, input, receptive field.
        batch: Number of stacked weights; None where nothing is stacked.
        canonical: The shape ``(out, in, *kernel)`` of one weight.
    """

    axes: tuple[int, ...]
    batch: int | None
    canonical: tuple[int, ...]


def _as_it_is(shape: tuple[int, ...]) -> _Order:
    return _Order(tuple(range(len(shape))), None, shape)


def _order(shape: tuple[int, ...], axes: tuple[tuple[int, ...], ...]) -> _Order:
    rank = len(shape)
    named = [axis for kind in axes for axis in kind]
    if any(not -rank <= axis < rank for axis in named) or len({axis % rank for axis in named}) < len(named):
        raise ShapeError(
            f"shape {shape} has no in_axis {axes[0]}, out_axis {axes[1]} and batch_axis {axes[2]}",
            fix="name each axis once, counted from 0, or from the end below 0",
        )
    inputs, outputs, batch = (tuple(axis % rank for axis in kind) for kind in axes)
    field = tuple(axis for axis in range(rank) if axis not in (*inputs, *outputs, *batch))
    rows, columns, stacked = (prod(shape[axis] for axis in kind) for kind in (outputs, inputs, batch))
    canonical = (rows, columns, *(shape[axis] for axis in field))
    return _Order((*batch, *outputs, *inputs, *field), stacked if batch else None, canonical)


def _draw(
    law: Law, order: _Order, shape: tuple[int, ...], seed: int, kind: np.dtype[np.generic]
) -> NDArray[np.generic]:
    if order.batch is None:
        whole = draw(law, order.canonical, seed=seed, path=PATH, dtype=kind)
    else:
        whole = np.empty((order.batch, *order.canonical), kind)
        for i in range(order.batch):
            whole[i] = draw(law, order.canonical, seed=seed, path=f"{PATH}/{i}", dtype=kind)
    moved = whole.reshape([shape[axis] for axis in order.axes])
    return np.ascontiguousarray(moved.transpose(np.argsort(order.axes))).reshape(shape)


def _kind(dtype: DTypeLike | None) -> np.dtype[np.generic]:
    """The float type that JAX makes of a dtype: float64 is float32 unless it was allowed."""
    try:
        found = jax.dtypes.canonicalize_dtype(float if dtype is None else dtype)
    except TypeError:
        raise OptionError(f"unknown dtype {dtype!r}", fix="e.g. jnp.float32") from None
    return weight_dtype(found)


def _words(key: object) -> jax.Array:
    """The words of one key, new or old."""
    if not isinstance(key, jax.Array | np.ndarray):
        raise OptionError(f"{type(key).__name__} is not a JAX key", where="key", fix="e.g. jax.random.key(0)")
    try:
        words = jax.random.key_data(jnp.asarray(key))
    except TypeError as error:
        raise OptionError(f"no JAX key: {error}", where="key", fix="e.g. jax.random.key(0)") from None
    if words.ndim != 1:
        raise OptionError(f"keys of shape {words.shape[:-1]}, not one", where="key", fix="jax.vmap over them")
    return words


def _seed(words: NDArray[np.uint32]) -> int:
    return int.from_bytes(words.astype(">u4").tobytes(), "big")


def _as_tuple(axis: int | Sequence[int]) -> tuple[int, ...]:
    return (axis,) if isinstance(axis, int) else tuple(axis)
