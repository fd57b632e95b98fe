"""What a framework must offer to be initialised: its parameters described, read and written in the canonical layout.

Adapters translate and hold no mathematics. Training is another protocol, in ``initlab.core.training.protocol``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from initlab.core.draws.selection import Index
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws import Law
from initlab.core.laws.draw import draw
from initlab.core.signals.readings import Reading

Facts = Mapping[str, object]
Overrides = Mapping[str, Facts]


@dataclass(frozen=True)
class WeightSource:
    """The numbers of one parameter, drawn when they are asked for: whole, or a part at a time.

    Attributes:
        law: The parameter's law.
        param: The parameter.
        seed: The draw's seed.

    Example:
        >>> from initlab.core.laws import Uniform
        >>> source = WeightSource(Uniform(0.0, 1.0), ParamSpec(path="0/weight", shape=(4, 3)), seed=0)
        >>> bool((source.part((slice(1, 2),)) == source.part()[1:2]).all())
        True
    """

    law: Law
    param: ParamSpec
    seed: int

    @property
    def divisible(self) -> bool:
        """Whether a part costs no more than its share of the whole."""
        return self.law.elementwise

    def part(self, index: Index | None = None, *, dtype: DTypeLike = "float32") -> NDArray[np.generic]:
        """The weights in the canonical layout, or the part that ``index`` picks."""
        return draw(self.law, self.param.shape, seed=self.seed, path=self.param.path, dtype=dtype, index=index)


@dataclass(frozen=True, eq=False)
class GivenWeights:
    """The numbers of one parameter that were drawn elsewhere: a trainer is given arrays, not laws.

    Attributes:
        values: In the canonical layout.
        param: The parameter.
    """

    values: NDArray[np.float32]
    param: ParamSpec

    @property
    def divisible(self) -> bool:
        """True: every part is at hand."""
        return True

    def part(self, index: Index | None = None, *, dtype: DTypeLike = "float32") -> NDArray[np.generic]:
        """The weights, or the part that ``index`` picks."""
        return (self.values if index is None else self.values[index]).astype(dtype)


Source: TypeAlias = WeightSource | GivenWeights


@dataclass(frozen=True, eq=False)
class Capture:
    """What one forward and backward pass of a batch showed of a model.

    Attributes:
        spec: Every parameter, with what the graph of the pass says about it.
        reading: The places of that graph, and what was summed there.
    """

    spec: ModelSpec
    reading: Reading


class Adapter(Protocol):
    """A framework's side of the contract; stateless, one instance a framework."""

    @property
    def framework(self) -> str:
        """``torch``, ``keras`` or ``jax``."""
        ...

    def describe(self, model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
        """Every parameter of a model, in order of use where that is known.

        Args:
            model: The framework's model; it is not changed, nor is any generator, mode or statistic of it.
            example: An input, or a tuple of inputs, to trace the model with.
            overrides: Facts by glob over native names that win over what the trace saw, e.g.
                ``{"blocks.*.fc": {"f_in": "gelu"}}``; the keys of the facts are fields of ``ParamSpec``.
        """
        ...

    def read(self, model: object, param: ParamSpec) -> NDArray[np.generic]:
        """A parameter's present value, a copy in the canonical layout."""
        ...

    def write(self, model: object, param: ParamSpec, source: Source) -> None:
        """Put the source's numbers into a parameter, in place, in its own layout, dtype and memory."""
        ...

    def mark(self, model: object, names: Iterable[str], seed: int) -> None:
        """Remember, beside the model, that the present values of these parameters are initlab's own.

        ``describe`` sees no intent in a value that still is as initlab wrote it.

        Args:
            model: The framework's model.
            names: The framework's own names.
            seed: The seed of the draw.
        """
        ...

    def generator_state(self, model: object) -> bytes:
        """The state of the framework's global generator, or its global seed, which stay untouched."""
        ...

    def capture(
        self,
        model: object,
        batch: object,
        *,
        targets: object = None,
        loss: Callable[..., object] | None = None,
        histograms: bool = False,
        overrides: Overrides | None = None,
    ) -> Capture:
        """What one forward and backward pass of a batch shows of a model, in training mode.

        The model's code is entered once: the graph that is recorded while values are summed is also what its
        parameters are described from, with the same facts as ``describe`` finds in evaluation mode. Everything of the
        model, its gradients and every generator are afterwards as they were.

        Args:
            model: The framework's model.
            batch: An input, a tuple of inputs, or a mapping of arguments by name; samples first.
            targets: Whole numbers for cross entropy, real ones for the mean square error.
            loss: A function of the outputs, and of the targets where there are some.
            histograms: Whether to count the entries of values and gradients.
            overrides: As in ``describe``.
        """
        ...

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        """Everything a weights file of the model holds, buffers too: arrays by the framework's own names and layout."""
        ...
