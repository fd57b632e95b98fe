"""What initlab itself wrote into a Keras model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial

from initlab.frameworks.keras.reading.parameters import entries, numbers
from initlab.frameworks.reading import marks


def mark(model: object, names: Iterable[str], seed: int) -> None:
    """Remember that the present values of these parameters, by native name, were drawn by initlab."""
    marks.mark(model, stamps(model, frozenset(names)), seed)


def marked(model: object) -> Mapping[str, int]:
    """The seed under which initlab last wrote each parameter whose value is not its author's, by native name."""
    return marks.marked(model, partial(stamps, model))


def stamps(model: object, names: Collection[str]) -> dict[str, bytes]:
    """Digests of the present values of these parameters."""
    return {e.native: marks.digest(numbers(e.variable)) for e in entries(model) if e.native in names}
