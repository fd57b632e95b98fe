"""What a framework gives: its models described, read, written, heard and built, and a trainer for them.

Adapters translate and hold no mathematics. Nothing of a framework is reached but through its adapter; what it cannot do
is an ``UnsupportedError``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FunctionType
from typing import NoReturn, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from initlab.core.draws.selection import Index
from initlab.core.errors import UnsupportedError
from initlab.core.facts.arch import Architecture
from initlab.core.facts.provenance import Construction
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.growth.tape import Tape
from initlab.core.laws import Law
from initlab.core.laws.draw import draw
from initlab.core.signals.readings import Reading
from initlab.core.training.protocol import OwnTrainer, Trainer, UserTrainingSetup

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


def refusal(message: str, *, fix: str, where: str = "") -> staticmethod[..., NoReturn]:
    """A method of an adapter whose framework cannot do this: it raises an ``UnsupportedError``, whatever it is given.

    Args:
        message: What cannot be done, with the framework's name.
        fix: Another way.
        where: The argument it is about.

    Example:
        >>> class Adapter:
        ...     jacobian = refusal("Chains give no Jacobian", fix="take it in torch")
        >>> Adapter().jacobian("a model", "a row")
        Traceback (most recent call last):
        initlab.core.errors.UnsupportedError: Chains give no Jacobian: take it in torch
    """

    def refused(*_: object, **__: object) -> NoReturn:
        raise UnsupportedError(message, where=where, fix=fix)

    return staticmethod(refused)


class Adapter(Protocol):
    """A framework's side of the contract; stateless, one instance a framework.

    What a framework cannot do is refused by the method itself, as an ``UnsupportedError`` that names the framework in
    its text and another way in its fix. ``initlab.testing.check_adapter`` holds an adapter to all of this.
    """

    @property
    def framework(self) -> str:
        """The name under which the framework is registered."""
        ...

    # A model's parameters

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

    def holding(self, model: object, params: Iterable[ParamSpec]) -> AbstractContextManager[None]:
        """A context after which these parameters hold the numbers of before it, bit for bit, whatever was written.

        Also after an exception and Ctrl-C. Of the numbers there is one copy meanwhile, where a value can be changed in
        place at all.

        Args:
            model: The framework's model.
            params: Some of its parameters.

        Raises:
            OptionError: The model has no such parameter.
        """
        ...

    def allocated(self, model: object, device: object, drawn: Collection[str]) -> AbstractContextManager[None]:
        """A context in which, and after which if nothing is raised, all of a model that had no memory has it.

        Parameters that are not drawn, and what else the model holds, have the numbers that its construction would have
        written; what is shared stays shared. After an exception the model is without memory, as before.

        Args:
            model: The framework's model.
            device: Where the memory is taken, as the framework names it.
            drawn: Native names of the parameters that are drawn within the context.

        Raises:
            OptionError: A device that is not there.
            InitlabError: What is not drawn, and of which nothing says what it holds: all of it by name.
        """
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
        """The state of the framework's global generator, by which it is told that nothing was drawn from it."""
        ...

    def random_bits(self, model: object) -> int:
        """One draw of 64 bits, from 0, of the generator from which the framework's own initial values come.

        Raises:
            OptionError: The process is one of a group, whose members would draw apart.
        """
        ...

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        """Everything a weights file of the model holds, buffers too: arrays by the framework's own names and layout."""
        ...

    def load(self, model: object, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Put arrays into a model, in place, cast to its own dtypes.

        Args:
            model: The framework's model.
            arrays: Some of what ``state`` gives, by its names and in its shapes.
        """
        ...

    def native_axes(self, model: object, param: ParamSpec) -> tuple[int, ...]:
        """The axis, as the framework stores a parameter, behind each of its canonical axes.

        Raises:
            OptionError: The model has no such parameter, or the canonical layout merges some of its axes.
        """
        ...

    def resize(self, model: object, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Put arrays of other sizes into a model, in place, cast to its own dtypes; its layers then state these sizes.

        Parameters stay the same objects, shared ones are shared still, frozen ones frozen. An optimiser is not touched.

        Args:
            model: The framework's model.
            arrays: By the names that ``state`` gives; of a shared parameter under any one of its names.

        Raises:
            OptionError: The model holds no array of such a name.
        """
        ...

    def tape(self, model: object, example: object) -> Tape:
        """One pass of an example in evaluation mode, as operations that can be done once more on other arrays.

        Raises:
            UnsupportedError: The pass cannot be written down.
        """
        ...

    def evaluated(self, model: object, example: object) -> list[NDArray[np.generic]]:
        """The arrays that a model returns for an example in evaluation mode; the model stays as it is.

        Raises:
            ShapeError: It does not take the example.
        """
        ...

    # A model's signals

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

    def watch(
        self,
        model: object,
        *,
        every: int,
        on_reading: Callable[[int, Reading], None],
        scale: Callable[[], float] | None = None,
    ) -> AbstractContextManager[None]:
        """A context in which every so many training steps of the user's own loop are read as ``capture`` does.

        Args:
            model: The framework's model; afterwards no trace of the context is left in it.
            every: Steps from one that is read to the next, 1 or more; the first one is.
            on_reading: Is given the number of the step, counted from 0, and its reading.
            scale: What the loss is multiplied with; gradients are divided by it.
        """
        ...

    def jacobian(self, model: object, row: object) -> NDArray[np.float64]:
        """The matrix ``d output / d input`` at one sample, of shape (outputs, inputs), in evaluation mode.

        Args:
            model: The framework's model, which is left as it was.
            row: One sample of real numbers, with the axis of samples: of shape (1, ...).
        """
        ...

    # Models built

    def construction(self) -> AbstractContextManager[Construction]:
        """A context that watches which calls write the numbers of models that are built in it.

        What is built is the same as without it, and afterwards no trace of it is left in the framework.
        """
        ...

    def build(self, arch: Architecture, *, seed: int = 0) -> object:
        """An architecture as a model of ordinary layers, with the framework's own initial values under a seed.

        Its parameters are those of ``arch.spec()``; every generator is afterwards as it was.
        """
        ...

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """A context in which the framework's global generators, NumPy's and Python's start from a seed of 0 or more.

        Afterwards they are as they were before it.
        """
        ...

    def build_own(self, factory: Callable[[], object], seed: int) -> tuple[object, object]:
        """What the user's function makes under a seed: a model, and the example beside it; None for none.

        Args:
            factory: Called without arguments.
            seed: Of all generators, which are afterwards as they were.

        Raises:
            OptionError: It makes something that this framework does not train.
        """
        ...

    def outputs(self, model: object, rows: NDArray[np.generic]) -> NDArray[np.float32]:
        """What a model gives for rows in evaluation mode, of shape (rows, outputs); the model stays as it was.

        Raises:
            ShapeError: It does not take them, or gives something else than one array.
        """
        ...

    def digest(self, model: object, factory: Callable[[], object]) -> str:
        """sha256 of a model's structure, and of the source of its own classes and of the function that made it."""
        ...

    def exhibit(self, name: str) -> FunctionType:
        """The function of the museum that builds ``broken_NAME`` or ``mended_NAME``, called under ``seeded(0)``.

        Raises:
            OptionError: The framework's museum has none of that name.
        """
        ...

    # Models trained

    def trainer(self) -> Trainer:
        """What trains initlab's own networks; the framework is imported by this."""
        ...

    def own_trainer(self) -> OwnTrainer:
        """What trains the user's own models; the framework is imported by this."""
        ...

    def together(self, setup: UserTrainingSetup) -> tuple[int, str]:
        """How many of the user's models train at a time, a function of the setup alone; if it is one, why, or nothing.

        Of initlab's own networks ``Framework.chunk_size`` says it, without importing the framework.
        """
        ...
