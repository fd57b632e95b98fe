"""What is known of the size of a value's entries, and of what sums, products and functions make of such values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from initlab.frameworks.reading.graph import Node
from initlab.frameworks.reading.recognition import Recognised, first_moment, second_moment


@dataclass(frozen=True)
class Source:
    """What is known of the entries of a value.

    Attributes:
        f: The activation that made them.
        moment: Their mean square, where the activation does not say it.
        mean: Their mean, where the activation does not say it.
        unknown: What made them, where nothing is known of their size.
        normed: Whether a norm layer made them.
        hidden: Whether what made them is an operation that is not known, rather than a layer with a size of its own.
        tables: Of how many tables of mean square 1 they are the sum; 0 where of something else.
    """

    f: str | None = None
    moment: float | None = None
    mean: float = 0.0
    unknown: str = ""
    normed: bool = False
    hidden: bool = False
    tables: int = 0

    @property
    def second(self) -> float:
        """The mean square; 1 for a plain signal."""
        known = 1.0 if self.f is None else second_moment(self.f)
        return known if self.moment is None else self.moment

    @property
    def first(self) -> float:
        """The mean; 0 for a plain signal."""
        return first_moment(self.f) if self.f is not None and self.moment is None else self.mean


def of_cell(node: Node) -> Source:
    """What a recurrent layer returns is what its own activation makes; of gates, the product has a size of its own."""
    f = node.facts.get("f")
    return Source(f=f) if isinstance(f, str) else Source(unknown="a recurrent layer")


def sum_of(parts: list[Source]) -> Source:
    """A sum keeps the activation of a summand where the others are a plain stream, as in ``x + f(W x)``."""
    functions = {part.f for part in parts if part.f is not None}
    unknown = [part for part in parts if part.unknown]
    if unknown and len(unknown) == len(parts):
        return unknown[0]
    if len(functions) == 1:
        return Source(f=functions.pop())
    if all(part.tables for part in parts):
        tables = sum(part.tables for part in parts)
        return Source(moment=float(tables), tables=tables)
    if not functions or unknown:
        return unknown[0] if functions and unknown else Source()
    mean = sum(part.first for part in parts)
    spread = sum(part.second - part.first**2 for part in parts)
    return Source(moment=spread + mean**2, mean=mean)


def product_of(parts: list[Source]) -> Source:
    """Independent factors: the mean square of a product is the product of the mean squares."""
    for part in parts:
        if part.unknown:
            return part
    return Source(moment=prod(part.second for part in parts), mean=prod(part.first for part in parts))


def moments_behind(what: Recognised, below: Source) -> tuple[float, float]:
    """E f^2 and E f: of a linear function of what is below, of any other of a standard normal number."""
    if what.slope is not None:
        mean = what.slope * below.first + what.offset
        return what.slope**2 * (below.second - below.first**2) + mean**2, mean
    if what.f is not None:
        return second_moment(what.f), first_moment(what.f)
    return what.moment or 0.0, what.mean


def averaged(rows: Sequence[tuple[float, float, float]], expected: int, name: str) -> Source:
    """The moments over all entries of parameters; nothing where one of them has none."""
    if not rows or len(rows) < expected:
        return Source(unknown=name, hidden=True)
    return Source(
        moment=sum(share * second for share, second, _ in rows), mean=sum(share * mean for share, _, mean in rows)
    )


def mixture_of(parts: list[Source], sizes: Sequence[int]) -> Source:
    """Parts beside each other: each counts by its size."""
    if len(set(parts)) == 1:
        return parts[0]
    known = [part for part in parts if not part.unknown]
    if len(known) < len(parts):
        return next(part for part in parts if part.unknown)
    return Source(moment=sum(n * part.second for n, part in zip(sizes, parts, strict=True)) / sum(sizes))


def sizes_of(node: Node) -> list[int]:
    """The entries of each part that a value is made of; 1 for all where one is not known."""
    shapes = [one.shape for one in node.inputs]
    sizes = [prod(shape) for shape in shapes if shape is not None]
    return sizes if len(sizes) == len(shapes) and all(sizes) else [1] * len(shapes)
