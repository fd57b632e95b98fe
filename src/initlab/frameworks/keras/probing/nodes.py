"""The values of a recorded pass, and the calls that made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from initlab.core.errors import InitlabError
from initlab.frameworks.keras.probing.meanings import Facts
from initlab.frameworks.keras.reading.recognition import Values, activation_of, is_affine
from initlab.theory import activation
from initlab.theory.slopes import open_range


@dataclass(eq=False)
class Node:
    """One value of a pass.

    Attributes:
        kind: Of its place; ``function`` where it is a function of each entry of its root.
        name: A word for it.
        home: The path of the layer that made it, or of the user's layer in which it was made.
        is_of_layer: Whether ``home`` is a layer of Keras that makes this value and nothing else.
        inputs: The nodes it is made of.
        shape: Samples first.
        units: The axis of units.
        root: The node whose entries it is a function of: its own, but for a function.
        params: Native names of its parameters.
        facts: As in ``Place``.
        values: Of a function: its values on ``GRID``.
    """

    kind: str
    name: str
    home: str
    is_of_layer: bool
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    units: int
    root: int
    params: tuple[str, ...] = ()
    facts: Facts = field(default_factory=dict)
    values: Values | None = None

    @property
    def f(self) -> str | None:
        """The activation that it is; None for a line, and for a function without a name."""
        return None if self.values is None or is_affine(self.values) else activation_of(self.values)


@dataclass(frozen=True, eq=False)
class HeardCall:
    """One call with what it was given.

    Attributes:
        kind: The layer's or function's name, as ``Call.kind``.
        layer: The layer; None for a function.
        function: What was called.
        args: As given.
        kwargs: As given.
    """

    kind: str
    layer: Any
    function: Callable[..., Any]
    args: Any
    kwargs: Any

    def leaves(self) -> list[Any]:
        """Its arguments but for masks."""
        flat: list[Any] = keras.tree.flatten((self.args, {k: v for k, v in self.kwargs.items() if "mask" not in k}))
        return flat

    def tensors(self) -> list[Any]:
        """All tensors among its arguments."""
        return [x for x in keras.tree.flatten((self.args, self.kwargs)) if ops.is_tensor(x) or is_variable(x)]

    def key(self) -> object:
        """What calls of one function have in common."""
        if self.layer is not None:
            return id(getattr(self.layer, "activation", self.layer)), type(self.layer)
        plain = keras.tree.map_structure(lambda x: None if ops.is_tensor(x) else x, (self.args, self.kwargs))
        return self.kind, id(self.function), repr(plain)


def is_variable(x: Any) -> bool:
    """Whether it is a variable of Keras."""
    return isinstance(x, keras.Variable)


def is_float(x: Any) -> bool:
    """Whether a tensor holds real numbers."""
    return "float" in keras.backend.standardize_dtype(x.dtype)


def flat_ends(f: str) -> tuple[float, float] | None:
    """The values of a bounded activation at the ends of the range in which it has a slope."""
    try:
        reach = open_range(f)
    except InitlabError:
        return None
    if reach is None:
        return None
    low, high = reach
    ends = [float(n) for n in activation(f)([low, high, low - 1.0, high + 1.0])]
    # A flat end is reached by all that is beyond it; the float below stands for "or equal".
    return ends[0] + (ends[2] == ends[0]) * 1e-6, ends[1] - (ends[3] == ends[1]) * 1e-6
