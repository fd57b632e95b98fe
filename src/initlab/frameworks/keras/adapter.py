"""What initlab does with Keras 3 models, on any back end; keras is imported when it is asked for."""

from __future__ import annotations

import os
import sys
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
from initlab.core.signals.readings import Reading
from initlab.core.training.protocol import OwnRecipe, OwnTrainer, Recipe, Trainer
from initlab.frameworks.registry import FRAMEWORKS


class KerasAdapter:
    """The adapter of Keras; it holds no state."""

    framework = "keras"

    def describe(self, model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
        """Every parameter of a model, with what a trace shows around it."""
        from initlab.frameworks.keras.reading.describe import describe

        return describe(model, example=example, overrides=overrides)

    def read(self, model: object, param: ParamSpec) -> NDArray[np.generic]:
        """A parameter's present value, a copy in the canonical layout."""
        from initlab.frameworks.keras.writing.parameters import read

        return read(model, param)

    def write(self, model: object, param: ParamSpec, source: Source) -> None:
        """Put the source's numbers into a parameter, in its own layout, dtype and memory."""
        from initlab.frameworks.keras.writing.parameters import write

        write(model, param, source)

    def mark(self, model: object, names: Iterable[str], seed: int) -> None:
        """Remember, beside the model, that the present values of these parameters are initlab's own."""
        from initlab.frameworks.keras.writing.marks import mark

        mark(model, names, seed)

    def generator_state(self, model: object) -> bytes:
        """The state of the generator from which Keras' own initial values come."""
        from initlab.frameworks.keras.writing.state import generator_state

        return generator_state()

    def random_bits(self, model: object) -> int:
        """One draw of 64 bits of the generator from which Keras' own initial values come."""
        from initlab.frameworks.keras.writing.state import random_bits

        return random_bits()

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        """Every variable of the model, moving statistics too, by Keras' own name and in its layout."""
        from initlab.frameworks.keras.writing.state import state

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
        """What one forward and backward pass of a batch shows of a built model, with ``training=True``.

        Variables, moving statistics, seed generators and the layers' own attributes are afterwards as they were, also
        after an error.

        Args:
            model: A ``keras.Model`` or layer.
            batch: An input, a tuple of inputs, or a mapping as the model takes it; samples first.
            targets: Whole numbers for the mean cross entropy of an output (n, classes) or (n, tokens, classes), real
                ones for the mean square error. Where the last activation is a softmax, its logarithm is taken; a
                sigmoid of one unit has the cross entropy of two classes.
            loss: A function of what the model returns, and of the targets where there are some; its value is a scalar.
                A ``keras.losses.Loss`` is given the targets first, as Keras does. Without it and targets, the output
                is followed backwards by standard normal numbers that are always the same.
            histograms: Whether to count entries.
            overrides: As in ``describe``.

        Raises:
            InitlabError: The model is not built: that would leave weights behind.
            ShapeError: The model does not take the batch, or the targets do not fit its output.
            DataError: The batch holds numbers that are not finite.
            OptionError: Nothing to follow backwards: frozen parameters, an output without gradient, a loss that is no
                scalar.

        Example:
            >>> import keras
            >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "tanh", name="hidden")])
            >>> reading = KerasAdapter().capture(model, np.array([[3.0, 4.0]])).reading
            >>> [place.kind for place in reading.places], reading.forward[0].square      # (9 + 16) / 2
            (['input', 'weighted', 'activation'], 12.5)
        """
        from initlab.frameworks.keras.probing.capture import capture

        return capture(model, batch, targets=targets, loss=loss, histograms=histograms, overrides=overrides)

    def watch(
        self,
        model: object,
        *,
        every: int,
        on_reading: Callable[[int, Reading], None],
        scale: Callable[[], float] | None = None,
    ) -> AbstractContextManager[None]:
        """A context in which every so many training steps of a model are measured as ``capture`` does.

        Keras compiles its step, so the measurement is a pass of its own, of the step's batch, weights, dropout masks
        and loss, right before the step; the training goes on as without it. A ``train_step`` of the user's runs as it
        is, and what is measured is ``compute_loss``, or, where nothing is compiled or overridden, the loss that
        ``capture`` takes. Loops that call neither ``fit`` nor ``train_on_batch`` are not seen. A step that cannot be
        measured is warned of. After the context, no trace of it is left in the model.

        Args:
            model: The built model whose ``fit`` or ``train_on_batch`` is called.
            every: Steps from one that is measured to the next; the first one is. With ``steps_per_execution`` above 1
                it is the first of the next execution, and an execution counts as that many.
            on_reading: Is given the number of the step, counted from 0, and its reading, while the variables are those
                of the reading.
            scale: What the model's own loss is multiplied with; loss and gradients are divided by it. Loss scaling by
                the optimiser is undone without it.

        Raises:
            OptionError: ``every`` below 1, not a ``keras.Model``, no parameter that takes a gradient, several
                replicas, or a model that is watched already.
            InitlabError: The model is not built.

        Example:
            >>> import keras
            >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> seen = []
            >>> with KerasAdapter().watch(model, every=2, on_reading=lambda step, reading: seen.append(step)):
            ...     history = model.fit(np.ones((10, 2)), np.ones(10), batch_size=2, verbose=0)
            >>> seen
            [0, 2, 4]
        """
        from initlab.frameworks.keras.probing.watch import watch

        return watch(model, every=every, on_reading=on_reading, scale=scale)

    def jacobian(self, model: object, row: object) -> NDArray[np.float64]:
        """Not taken through Keras' back ends.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError("Keras models give no Jacobian here", fix="take it in the back end that Keras runs on")

    def construction(self) -> AbstractContextManager[Construction]:
        """A context in which the making of every variable is seen, and what is assigned to it."""
        from initlab.frameworks.keras.reading.construction import construction

        return construction()

    def build(self, arch: Architecture, *, seed: int = 0) -> object:
        """An architecture as a functional model, with the weights that Keras itself gives its layers."""
        from initlab.frameworks.keras.zoo import build_convnet, build_mlp

        with self.seeded(seed):
            return build_mlp(arch) if isinstance(arch, Mlp) else build_convnet(arch)

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """A context in which the generators of Keras, NumPy and Python start from a seed."""
        from initlab.frameworks.keras.user_training.build import seeded

        return seeded(seed)

    def build_own(self, factory: Callable[[], object], seed: int) -> tuple[object, object]:
        """What the user's function makes under a seed: a model, and the example beside it; None for none."""
        from initlab.frameworks.keras.user_training.build import build_own

        return build_own(factory, seed)

    def outputs(self, model: object, rows: NDArray[np.generic]) -> NDArray[np.float32]:
        """What a model gives for rows in evaluation mode; it stays as it was."""
        from initlab.frameworks.keras.user_training.build import outputs

        return outputs(model, rows)

    def digest(self, model: object, factory: Callable[[], object]) -> str:
        """sha256 of a model's structure, and of the source of its own classes and of the function that made it."""
        from initlab.frameworks.keras.user_training.build import digest

        return digest(model, factory)

    def exhibit(self, name: str) -> FunctionType:
        """The function of the museum that builds ``broken_NAME`` or ``mended_NAME``."""
        from initlab.frameworks.keras.museum.exhibits import exhibit

        return exhibit(name)

    def trainer(self) -> Trainer:
        """What trains initlab's own networks in Keras."""
        from initlab.frameworks.keras.training.train import train

        return train

    def own_trainer(self) -> OwnTrainer:
        """What trains the user's own models in Keras."""
        from initlab.frameworks.keras.user_training.train import train

        return train

    def together(self, recipe: Recipe | OwnRecipe) -> tuple[int, str]:
        """One: a compiled step holds the variables of one model."""
        return 1, ""

    def settings(self, *, here: bool) -> Mapping[str, str]:
        """The back end, as this process has it or as a worker will."""
        loaded = sys.modules.get("keras") if here else None
        if loaded is not None:
            return {"keras_backend": loaded.config.backend()}
        chosen = FRAMEWORKS[self.framework].environment["KERAS_BACKEND"]
        return {"keras_backend": os.environ.get("KERAS_BACKEND", chosen)}


ADAPTER = KerasAdapter()
