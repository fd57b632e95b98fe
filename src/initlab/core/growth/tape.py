"""A pass through a model as a list of operations that can be done once more, on other numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Form: TypeAlias = Literal["", "table", "norm"]


@dataclass(frozen=True, eq=False)
class Step:
    """One operation.

    Attributes:
        name: The framework's name of it.
        inputs: The numbers of the values that it takes, in order.
        outputs: The numbers of the values that it makes.
        again: The operation on arrays in place of its inputs.
        form: ``table`` where rows of the first input are looked up; ``norm`` where the first input is normalised over
            its own units, each of which has its place in what comes out; empty for any other operation.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    again: Callable[[Sequence[Array]], Sequence[Array]]
    form: Form = ""


@dataclass(frozen=True, eq=False)
class Tape:
    """One pass of an example.

    Attributes:
        held: By the number of a value, the name under which ``state`` gives it: parameters and buffers.
        values: The arrays of ``held``, of the inputs and of constants.
        inputs: The numbers of the model's inputs.
        steps: The operations, in order.
        outputs: The numbers of what the model returns.
    """

    held: Mapping[int, str]
    values: Mapping[int, Array]
    inputs: tuple[int, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Probe:
    """A step with the values that it was given: it is done again with one of them changed.

    Attributes:
        step: The step.
        given: The arrays that it was given.
    """

    step: Step
    given: tuple[Array, ...]

    def depends(self, at: int, marks: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """On which mark of an input each entry of each output depends: 0 for none, -1 for several.

        What is not a number stays none in every sum, product and function: an entry of the input is marked by it. Each
        mark has a word of bits, so two passes a bit tell them all.

        Args:
            at: Which input.
            marks: For each of its entries a mark from 1, or 0.
        """
        known, places = np.unique(marks, return_inverse=True)
        places = places.reshape(marks.shape) + (0 if known[0] == 0 else 1)
        known = known if known[0] == 0 else np.concatenate([[0], known])
        base = self._broken(at, np.zeros(marks.shape, dtype=bool))
        found = [np.zeros(one.shape, dtype=np.int64) for one in base]
        several = [np.zeros(one.shape, dtype=bool) for one in base]
        for bit in range(max(int(len(known) - 1).bit_length(), 1)):
            has = (places >> bit & 1).astype(bool)
            ones, zeros = self._broken(at, has & (places > 0)), self._broken(at, ~has & (places > 0))
            for n, is_bad in enumerate(base):
                found[n] |= (ones[n] & ~is_bad).astype(np.int64) << bit
                several[n] |= ones[n] & zeros[n] & ~is_bad
        return tuple(
            np.where(mixed, -1, known[np.where(mixed, 0, one)]) for one, mixed in zip(found, several, strict=True)
        )

    def _broken(self, at: int, where: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        changed = np.array(self.given[at])
        changed[where] = np.nan
        made = self.step.again([*self.given[:at], changed, *self.given[at + 1 :]])
        return [np.isnan(one) if one.dtype.kind == "f" else np.zeros(one.shape, dtype=bool) for one in made]

    def is_sum_over(self, first: int, second: int, axes: tuple[int, int], rng: np.random.Generator) -> bool:
        """Whether the step adds up products of two inputs along these axes of theirs, entry by entry.

        Args:
            first: One input.
            second: The other.
            axes: The axis of each, of one size.
            rng: Where the numbers of the trial come from.
        """
        size = self.given[first].shape[axes[0]]
        if size != self.given[second].shape[axes[1]]:
            return False
        trial: list[Array] = list(rng.uniform(0.5, 1.5, (2, size)))
        made, flat = self._with(first, second, axes, trial), self._with(first, second, axes, [np.ones(size)] * 2)
        wanted = flat * float(np.mean(trial[0] * trial[1]))
        return bool(np.any(flat) and np.allclose(made, wanted, rtol=1e-4, atol=1e-6 * float(np.abs(wanted).max())))

    def _with(self, first: int, second: int, axes: tuple[int, int], lines: Sequence[Array]) -> Array:
        given = [np.zeros_like(one) if one.dtype.kind == "f" else one for one in self.given]
        for at, axis, line in zip((first, second), axes, lines, strict=True):
            shape = [-1 if n == axis else 1 for n in range(given[at].ndim)]
            given[at] = np.broadcast_to(line.reshape(shape), given[at].shape).astype(given[at].dtype)
        return self.step.again(given)[0]
