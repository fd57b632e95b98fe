"""What is known of who wrote a parameter's numbers while its model was built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

State: TypeAlias = Literal["written", "unwritten", "unknown"]


@dataclass(frozen=True)
class Write:
    """One call that wrote numbers.

    Attributes:
        law: The outermost initializer with its options, or the operations that made the numbers, as code.
        where: Who called it, as ``file:line``; empty where that is not known.
        is_default: Whether a layer of the framework's own chose it, and nobody else.
        is_random: Whether a generator was drawn from; None where that is not known.
        is_part: Whether it wrote some of the parameter's numbers only.
    """

    law: str
    where: str = ""
    is_default: bool = False
    is_random: bool | None = None
    is_part: bool = False

    def __str__(self) -> str:
        by = ", a default" if self.is_default else ""
        return f"{self.law} at {self.where or 'an unknown place'}{by}"


@dataclass(frozen=True)
class Provenance:
    """The writers of one parameter.

    Attributes:
        native: The framework's own name of the parameter.
        shape: Its own shape.
        state: Whether its present numbers were written by ``last``, were never written at all, or were written by
            something that was not seen.
        last: The last write that was seen; None where none was. Of memory that was never written, what took it.
        before: Laws that stood there before, in order, and were written over; no default of the framework's.

    Example:
        >>> drawn = Write("normal_(std=0.02)", "net.py:7", is_random=True)
        >>> gate = Write("constant_(-2)", "net.py:8", is_random=False)
        >>> Provenance("fc.bias", (4,), "written", gate, before=(drawn,)).is_chosen
        True
    """

    native: str
    shape: tuple[int, ...]
    state: State
    last: Write | None = None
    before: tuple[Write, ...] = ()

    @property
    def is_chosen(self) -> bool:
        """Whether the model's author, and neither the framework nor a generator, decided each present number."""
        return self.is_partly_chosen and self.last is not None and not self.last.is_part

    @property
    def is_partly_chosen(self) -> bool:
        """The same of those numbers at least that were written last."""
        last = self.last
        return self.state == "written" and last is not None and not last.is_default and last.is_random is False


class Construction(Protocol):
    """What was seen while a model was built."""

    @property
    def is_alive(self) -> bool:
        """Whether anything that it saw built is still there."""
        ...

    def of(self, model: object) -> tuple[Provenance, ...]:
        """The writers of every parameter, each under its first name, in the framework's order.

        They are remembered beside the model: while a value stays as it is, ``Adapter.describe`` knows who chose it.
        """
        ...
