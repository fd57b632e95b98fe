"""The record of one pass through a model: which layer or operation made which tensors of which others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from initlab.frameworks.keras.reading.uses import Use


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or an operation.

    Attributes:
        kind: The class's or function's name in lower case without underscores, e.g. ``"leakyrelu"``.
        layer: The layer; of an operation the variable that it multiplies by, and None for any other.
        inputs: Numbers of the tensors it was given, in order; what does not depend on the model's input is left out.
        outputs: Numbers of the tensors it made.
        sizes: Entries of each input's last axis; 0 where unknown.
        probe: The call again, on other tensors in place of its inputs.
    """

    kind: str
    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    probe: Callable[..., Any] | None = None


@dataclass
class Record:
    """A pass in the order of its calls.

    Attributes:
        calls: The calls; a call comes after those that made its inputs.
        inputs: The model's own input tensors.
        outputs: The tensors that it returned.
        hidden: Names of layers that could not be looked into.
        uses: By the id of a variable that a user's own layer added, how functions use it.
    """

    calls: list[Call] = field(default_factory=list)
    inputs: set[int] = field(default_factory=set)
    outputs: set[int] = field(default_factory=set)
    hidden: list[str] = field(default_factory=list)
    uses: dict[int, list[Use]] = field(default_factory=dict)

    def consumers(self) -> dict[int, list[Call]]:
        """The calls that take each tensor."""
        takers: dict[int, list[Call]] = {}
        for call in self.calls:
            for tensor in dict.fromkeys(call.inputs):
                takers.setdefault(tensor, []).append(call)
        return takers


def kind_of(name: str) -> str:
    """A class's or function's name in the spelling of ``Call.kind``.

    Example:
        >>> kind_of("LeakyRelu"), kind_of("leaky_relu")
        ('leakyrelu', 'leakyrelu')
    """
    return name.replace("_", "").lower()
