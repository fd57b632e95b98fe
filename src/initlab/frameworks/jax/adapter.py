"""What initlab does with models of ``flax.nnx``; jax and flax are imported when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import FunctionType

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Capture, Overrides, Source
from initlab.core.errors import UnsupportedError
from initlab.core.facts.arch import Architecture, Mlp
from initlab.core.facts.provenance import Construction
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.generators import global_generators
from initlab.core.signals.readings import Reading
from initlab.core.training.protocol import OwnRecipe, OwnTrainer, Recipe, Trainer
from initlab.frameworks.jax.training.chunks import chunk_size


class JaxAdapter:
    """The adapter of JAX and ``flax.nnx``; it holds no state."""

    framework = "jax"

    def describe(self, model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
        """Every parameter of a model, with what a trace shows around it."""
        from initlab.frameworks.jax.reading.describe import describe

        return describe(model, example=example, overrides=overrides)

    def read(self, model: object, param: ParamSpec) -> NDArray[np.generic]:
        """A parameter's present value, a copy in the canonical layout."""
        from initlab.frameworks.jax.writing.parameters import read

        return read(model, param)

    def write(self, model: object, param: ParamSpec, source: Source) -> None:
        """Put the source's numbers into a parameter, in its own layout, dtype and memory."""
        from initlab.frameworks.jax.writing.parameters import write

        write(model, param, source)

    def mark(self, model: object, names: Iterable[str], seed: int) -> None:
        """Remember, beside the model, that the present values of these parameters are initlab's own."""
        from initlab.frameworks.jax.writing.marks import mark

        mark(model, names, seed)

    def generator_state(self, model: object) -> bytes:
        """JAX has no global generator.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError("JAX has no global generator", fix="compare the keys that the model holds")

    def random_bits(self, model: object) -> int:
        """JAX has no global generator, so a seed must be given.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            "JAX has no global generator to take a seed from", where="seed", fix="give one, e.g. seed=0"
        )

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        """The arrays of every variable, by its native name and in Flax' own layout."""
        from initlab.frameworks.jax.writing.state import state

        return state(model)

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

        A copy runs: parameters, statistics and generators of the model stay as they are.

        Args:
            model: The module; where some part of it is in training mode the parts keep theirs, else all are put into
                training mode.
            batch: An input, a tuple of inputs, or a mapping of arguments by name; samples first.
            targets: Whole numbers for the mean cross entropy of an output (n, classes) or (n, tokens, classes), real
                ones for the mean square error.
            loss: A function of what the model returns, and of the targets where there are some; its value is a scalar.
                Without it and targets, the output is followed backwards by standard normal numbers that are always
                the same.
            histograms: Whether to count entries.
            overrides: As in ``describe``.

        Raises:
            ShapeError: The model does not take the batch, or the targets do not fit its output.
            DataError: The batch holds numbers that are not finite.
            OptionError: Nothing to follow backwards: an output without gradient, or a loss that is no scalar.
            InitlabError: Parameters without numbers, or a call that JAX cannot trace.

        Example:
            >>> from flax import nnx
            >>> rngs = nnx.Rngs(0)
            >>> net = nnx.Sequential(nnx.Linear(2, 4, rngs=rngs), nnx.tanh, nnx.Linear(4, 1, rngs=rngs))
            >>> reading = ADAPTER.capture(net, np.array([[3.0, 4.0]], np.float32)).reading
            >>> [place.kind for place in reading.places], reading.forward[0].square      # (9 + 16) / 2
            (['input', 'weighted', 'activation', 'weighted'], 12.5)
        """
        from initlab.frameworks.jax.probing.capture import capture

        return capture(model, batch, targets=targets, loss=loss, histograms=histograms, overrides=overrides)

    def watch(
        self,
        model: object,
        *,
        every: int,
        on_reading: Callable[[int, Reading], None],
        scale: Callable[[], float] | None = None,
    ) -> AbstractContextManager[None]:
        """Nothing of a Flax model's training loop can be seen from outside: its step is compiled.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            "a training step of JAX is compiled, and nothing of it can be watched",
            where=type(model).__name__,
            fix="call initlab.probe(model, batch) every so many steps",
        )

    def jacobian(self, model: object, row: object) -> NDArray[np.float64]:
        """Not taken through a Flax module.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError("JAX models give no Jacobian here", fix="take jax.jacrev of a function of the model")

    def construction(self) -> AbstractContextManager[Construction]:
        """A context in which the making of every variable is seen, and what is assigned to it."""
        from initlab.frameworks.jax.reading.construction import construction

        return construction()

    def build(self, arch: Architecture, *, seed: int = 0) -> object:
        """An architecture as a module of ordinary layers, with the weights that Flax itself gives them."""
        from initlab.frameworks.jax.zoo import build_convnet, build_mlp

        return build_mlp(arch, seed=seed) if isinstance(arch, Mlp) else build_convnet(arch, seed=seed)

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """A context in which the generators of NumPy and Python start from a seed; JAX has none that is global."""
        return global_generators(seed)

    def build_own(self, factory: Callable[[], object], seed: int) -> tuple[object, object]:
        """The user's own Flax models are not trained.

        Raises:
            UnsupportedError: Always.
        """
        raise _not_trained()

    def outputs(self, model: object, rows: NDArray[np.generic]) -> NDArray[np.float32]:
        """The user's own Flax models are not trained.

        Raises:
            UnsupportedError: Always.
        """
        raise _not_trained()

    def digest(self, model: object, factory: Callable[[], object]) -> str:
        """The user's own Flax models are not trained.

        Raises:
            UnsupportedError: Always.
        """
        raise _not_trained()

    def exhibit(self, name: str) -> FunctionType:
        """There is no museum of Flax models.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError("the museum has no JAX models", fix="look at it in torch")

    def trainer(self) -> Trainer:
        """What trains initlab's own networks in JAX."""
        from initlab.frameworks.jax.training.train import train

        return train

    def own_trainer(self) -> OwnTrainer:
        """The user's own Flax models are not trained.

        Raises:
            UnsupportedError: Always.
        """
        raise _not_trained()

    def together(self, recipe: Recipe | OwnRecipe) -> tuple[int, str]:
        """Small networks train up to 40 at a time."""
        if isinstance(recipe, OwnRecipe):
            raise _not_trained()
        return chunk_size(recipe), ""

    def settings(self, *, here: bool) -> Mapping[str, str]:
        """None beside the versions."""
        return {}


ADAPTER = JaxAdapter()


def _not_trained() -> UnsupportedError:
    return UnsupportedError("JAX trains no model of the user's own", where="build", fix="give one of torch or Keras")
