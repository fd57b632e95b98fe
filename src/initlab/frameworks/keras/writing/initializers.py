"""Keras' own form of a scheme: an initializer object that a layer takes and a saved model holds."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Literal, SupportsIndex, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.core.calls import OptionValue
from initlab.core.draws.seeding import seed_of_draw
from initlab.core.draws.streams import check_seed
from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ROLES, ParamSpec, Role
from initlab.core.laws.draw import draw
from initlab.frameworks.keras.writing.state import random_bits
from initlab.frameworks.reading import layout
from initlab.frameworks.single import role_by_rank
from initlab.schemes import scheme as named_scheme

KerasRole: TypeAlias = Role | Literal["depthwise"]

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_LAYOUTS: Mapping[str, Callable[[tuple[int, ...]], layout.Layout]] = {
    "dense": layout.conv,  # a kernel without receptive field
    "conv": layout.conv,
    "recurrent": layout.conv,
    "conv_transpose": layout.conv_transpose,
    "depthwise": layout.depthwise,
}


_copies: dict[int, int] = {}  # by seed, the draws that instances made from a config made in this process
_lock = Lock()


def _next_copy(seed: int) -> int:
    with _lock:
        count = _copies.get(seed, 0)
        _copies[seed] = count + 1
    return count


@keras.saving.register_keras_serializable(package="initlab")
class Initializer(keras.initializers.Initializer):  # type: ignore[misc]  # keras has no types
    """A scheme as a Keras initializer: ``Dense(64, kernel_initializer=Initializer("he_normal"))``.

    Shapes are read in Keras' layouts: ``(in, out)``, ``(*kernel, in / groups, out)``, for ``conv_transpose``
    ``(*kernel, out, in)``, for ``depthwise`` ``(*kernel, channels, multiplier)``, for ``embedding`` ``(rows, width)``.
    The numbers are those of ``initlab.draw`` in the layout ``(out, in / groups, *kernel)``, moved into Keras' own.
    A kernel whose axes mean more than that (``EinsumDense``, the packed gates of an LSTM) is read by its shape alone,
    as Keras' own initializers do; ``initlab.initialize(model)`` knows them.

    One instance may serve many layers. Where no path is given, its first draw is of the stream ``call/0``, the next of
    ``call/1``: layers of equal shape differ, and the same code, run again in the same order, gives the same weights.
    Instances made from a config (``clone``, ``clone_model``, a loaded model, the projections of
    ``MultiHeadAttention``) cannot know of each other, so those of one seed count together, over the whole process:
    they all differ, and a new process repeats them. Give a path to have one draw whatever came before.

    A program that loads a saved model imports ``initlab.keras`` first, as Keras asks for every class not its own.

    Args:
        scheme: A scheme's name or call, e.g. ``"normal(std=0.02)"``.
        seed: A whole number of 0 or more. Left out, one that is made of one draw from Python's generator, which
            ``keras.utils.set_random_seed`` sets, for each instance; then a copy has a seed of its own too.
        path: Names the stream of every draw: equal shapes get equal weights.
        role: What the weight does; left out, ``bias`` for one axis, ``dense`` for two, ``conv`` for more.
        groups: Groups of a convolution.
        stride: Stride of a transposed convolution, a number per kernel axis; empty means 1.
        dialect: The framework whose truncation, fans and defaults are taken.
        **options: The scheme's options.

    Raises:
        UnknownNameError: No scheme has the name.
        OptionError: An option, seed or role that cannot be.

    Example:
        >>> he = Initializer("he_normal", seed=0, path="0/weight")
        >>> he.get_config()
        {'scheme': 'he_normal', 'seed': 0, 'path': '0/weight'}
        >>> tuple(he((200, 64)).shape)
        (200, 64)
    """

    def __init__(
        self,
        scheme: str = "he_normal",
        *,
        seed: SupportsIndex | None = None,
        path: str | None = None,
        role: KerasRole | None = None,
        groups: int = 1,
        stride: Sequence[int] = (),
        dialect: Dialect | None = None,
        **options: OptionValue,
    ) -> None:
        if role is not None and role not in (*ROLES, "depthwise"):
            raise OptionError(f"unknown role '{role}'", where="role", fix=f"one of {', '.join(ROLES)}, depthwise")
        self._scheme = named_scheme(scheme, dialect=dialect, **options)
        given = None if seed is None else check_seed(seed)
        self.seed = seed_of_draw(random_bits()) if given is None else given
        self.path = path
        self._role, self._groups, self._stride = role, groups, tuple(stride)
        self._calls = 0
        self._is_copy = False
        self._config = {
            "scheme": scheme,
            **{
                name: value
                for name, value, default in (
                    ("seed", given, None),
                    ("path", path, None),
                    ("role", role, None),
                    ("groups", groups, 1),
                    ("stride", list(stride), []),
                    ("dialect", dialect, None),
                )
                if value != default
            },
            **options,
        }

    def __call__(self, shape: Sequence[SupportsIndex], dtype: object = None) -> Any:
        """A tensor of the present back end, drawn from the scheme's law.

        Args:
            shape: In Keras' layout.
            dtype: A type of real floats; Keras' ``floatx`` where left out. Narrow ones are the float32 numbers, cast.

        Raises:
            OptionError: A dtype that is not drawn.
            ShapeError: The scheme cannot take the shape, or groups or stride do not fit it.
        """
        kind, sizes = _float_name(dtype), _whole(shape)
        return keras.ops.cast(keras.ops.convert_to_tensor(self._draw(sizes, kind)), kind)

    def get_config(self) -> dict[str, object]:
        """What ``from_config`` makes an equal initializer of: the arguments that are not the defaults."""
        return dict(self._config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Initializer:
        """A copy of the initializer whose config it is; its draws are counted with those of all copies of the seed."""
        made = cls(**config)
        made._is_copy = "seed" in config
        return made

    def _draw(self, shape: tuple[int, ...], kind: str) -> NDArray[np.generic]:
        moved, param = _described(shape, self._role, self._groups, self._stride)
        law = self._scheme(param)
        drawn = draw(
            law,
            param.shape,
            seed=self.seed,
            path=self._next_path(),
            dtype="float64" if kind == "float64" else "float32",
        )
        return moved.to_native(drawn, shape)

    def _next_path(self) -> str:
        if self.path is not None:
            return self.path
        if self._is_copy:
            return f"copy/{_next_copy(self.seed)}"
        self._calls += 1
        return f"call/{self._calls - 1}"


def _float_name(dtype: object) -> str:
    try:
        kind = str(keras.backend.standardize_dtype(dtype))
    except ValueError:
        kind = str(dtype)
    if kind not in _FLOATS:
        raise OptionError(f"{kind} numbers are not drawn", where="dtype", fix=f"one of {', '.join(_FLOATS)}")
    return kind


def _whole(shape: Sequence[SupportsIndex]) -> tuple[int, ...]:
    try:
        return tuple(operator.index(n) for n in shape)
    except TypeError:
        raise ShapeError(
            f"the shape {shape} is not one of whole numbers", fix="build the layer on a known size"
        ) from None


def _described(
    shape: tuple[int, ...], role: KerasRole | None, groups: int, stride: tuple[int, ...]
) -> tuple[layout.Layout, ParamSpec]:
    """How a variable of this shape becomes canonical, and what it is then."""
    known = role_by_rank(len(shape)) if role is None else role
    if len(shape) < (3 if known in ("depthwise", "conv_transpose") else 2) and known in _LAYOUTS:
        raise ShapeError(f"shape {shape} is not that of a {known} weight", fix="leave the role out, or give the shape")
    moved = _LAYOUTS[known](shape) if known in _LAYOUTS else layout.same(shape)
    if known == "depthwise":
        return moved, ParamSpec(shape=moved.shape, role="conv", groups=shape[-2], stride=stride)
    return moved, ParamSpec(shape=moved.shape, role=known, groups=groups, stride=stride)
