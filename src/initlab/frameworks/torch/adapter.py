"""What initlab does with PyTorch models; torch is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import FunctionType

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Capture, Overrides, Source
from initlab.core.facts.arch import Architecture, Mlp
from initlab.core.facts.provenance import Construction
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.signals.readings import Reading
from initlab.core.training.protocol import OwnRecipe, OwnTrainer, Recipe, Trainer


class TorchAdapter:
    """The adapter of PyTorch; it holds no state."""

    framework = "torch"

    def describe(self, model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
        """Every parameter of a model, with what a trace shows around it."""
        from initlab.frameworks.torch.reading.describe import describe

        return describe(model, example=example, overrides=overrides)

    def read(self, model: object, param: ParamSpec) -> NDArray[np.generic]:
        """A parameter's present value, a copy in the canonical layout."""
        from initlab.frameworks.torch.writing.parameters import read

        return read(model, param)

    def write(self, model: object, param: ParamSpec, source: Source) -> None:
        """Put the source's numbers into a parameter, in its own layout, dtype and memory."""
        from initlab.frameworks.torch.writing.parameters import write

        write(model, param, source)

    def mark(self, model: object, names: Iterable[str], seed: int) -> None:
        """Remember, beside the model, that the present values of these parameters are initlab's own."""
        from initlab.frameworks.torch.writing.marks import mark

        mark(model, names, seed)

    def generator_state(self, model: object) -> bytes:
        """The state of the generator from which torch's own initial values come."""
        from initlab.frameworks.torch.writing.state import generator_state

        return generator_state()

    def random_bits(self, model: object) -> int:
        """One draw of 64 bits of the generator from which torch's own initial values come."""
        from initlab.frameworks.torch.writing.state import random_bits

        return random_bits()

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        """The tensors of ``state_dict`` as read-only arrays, on the model's own memory where that is possible."""
        from initlab.frameworks.torch.writing.state import state

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

        Parameters, gradients, buffers, modes, hooks and generators are afterwards as they were, also after an error.

        Args:
            model: The module; one in training mode keeps the modes of its parts, any other is put into training mode.
            batch: An input, a tuple of inputs, or a mapping of arguments by name; samples first.
            targets: Whole numbers for the mean cross entropy of an output (n, classes) or (n, tokens, classes), real
                ones for the mean square error.
            loss: A function of what the model returns, and of the targets where there are some; its value is a scalar.
                Without it and targets, a loss that the model returns itself is followed backwards, else its output is,
                by standard normal numbers that are always the same.
            histograms: Whether to count entries.
            overrides: As in ``describe``.

        Raises:
            ShapeError: The model does not take the batch, or the targets do not fit its output.
            DataError: The batch holds numbers that are not finite.
            OptionError: Nothing to follow backwards: frozen parameters, an output without gradient, a loss that is no
                scalar.
            InitlabError: Parameters without memory.

        Example:
            >>> from torch import nn
            >>> net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
            >>> reading = TorchAdapter().capture(net, np.array([[3.0, 4.0]], np.float32)).reading
            >>> [place.path for place in reading.places], reading.forward[0].square      # (9 + 16) / 2
            (['input', '0', '1:tanh', '2'], 12.5)
        """
        from initlab.frameworks.torch.probing.capture import capture

        return capture(model, batch, targets=targets, loss=loss, histograms=histograms, overrides=overrides)

    def watch(
        self,
        model: object,
        *,
        every: int,
        on_reading: Callable[[int, Reading], None],
        scale: Callable[[], float] | None = None,
    ) -> AbstractContextManager[None]:
        """A context in which every so many training passes of a model are summed as ``capture`` does.

        The user's own batches, losses and backward passes are read; the loss itself is not known. Passes in evaluation
        mode or without gradients do not count. After the context, no trace of it is left in the model.

        Args:
            model: The module that the loop calls.
            every: Passes from one that is summed to the next; the first one is.
            on_reading: Is given the number of the pass, counted from 0, and its reading, when the next pass begins or
                the context ends.
            scale: What the loss is multiplied with, e.g. ``scaler.get_scale``; gradients are divided by it.

        Raises:
            OptionError: ``every`` below 1, no parameter that takes a gradient, or a model that is watched already.

        Example:
            >>> import torch
            >>> net, seen = torch.nn.Linear(2, 1), []
            >>> with TorchAdapter().watch(net, every=2, on_reading=lambda step, reading: seen.append(step)):
            ...     for _ in range(5):
            ...         net(torch.ones(3, 2)).sum().backward()
            >>> seen
            [0, 2, 4]
        """
        from initlab.frameworks.torch.probing.watch import watch

        return watch(model, every=every, on_reading=on_reading, scale=scale)

    def jacobian(self, model: object, row: object) -> NDArray[np.float64]:
        """The matrix ``d output / d input`` at one sample, by backward passes of a module in evaluation mode."""
        from initlab.frameworks.torch.probing.jacobian import jacobian

        return jacobian(model, row)

    def construction(self) -> AbstractContextManager[Construction]:
        """A context in which every call that writes into a tensor's memory is seen, in this thread."""
        from initlab.frameworks.torch.reading.construction import construction

        return construction()

    def build(self, arch: Architecture, *, seed: int = 0) -> object:
        """An architecture as a module of ordinary layers, with the weights that torch itself gives them."""
        from initlab.frameworks.torch.zoo import build_convnet, build_mlp

        with self.seeded(seed):
            return build_mlp(arch) if isinstance(arch, Mlp) else build_convnet(arch)

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """A context in which the generators of torch, NumPy and Python start from a seed."""
        from initlab.frameworks.torch.user_training.build import seeded

        return seeded(seed)

    def build_own(self, factory: Callable[[], object], seed: int) -> tuple[object, object]:
        """What the user's function makes under a seed: a model, and the example beside it; None for none."""
        from initlab.frameworks.torch.user_training.build import build_own

        return build_own(factory, seed)

    def outputs(self, model: object, rows: NDArray[np.generic]) -> NDArray[np.float32]:
        """What a model gives for rows in evaluation mode; it stays as it was."""
        from initlab.frameworks.torch.user_training.build import outputs

        return outputs(model, rows)

    def digest(self, model: object, factory: Callable[[], object]) -> str:
        """sha256 of a model's structure, and of the source of its own classes and of the function that made it."""
        from initlab.frameworks.torch.user_training.build import digest

        return digest(model, factory)

    def exhibit(self, name: str) -> FunctionType:
        """The function of the museum that builds ``broken_NAME`` or ``mended_NAME``."""
        from initlab.frameworks.torch.museum.exhibits import exhibit

        return exhibit(name)

    def trainer(self) -> Trainer:
        """What trains initlab's own networks in PyTorch."""
        from initlab.frameworks.torch.training.train import train

        return train

    def own_trainer(self) -> OwnTrainer:
        """What trains the user's own models in PyTorch."""
        from initlab.frameworks.torch.user_training.train import train

        return train

    def together(self, recipe: Recipe | OwnRecipe) -> tuple[int, str]:
        """Small networks train up to 40 at a time; the user's own 32 at a time where ``torch.func`` takes them."""
        if isinstance(recipe, Recipe):
            from initlab.frameworks.torch.training.chunks import chunk_size

            return chunk_size(recipe), ""
        from initlab.frameworks.torch.user_training.train import together

        return together(recipe)

    def settings(self, *, here: bool) -> Mapping[str, str]:
        """None beside the versions."""
        return {}


ADAPTER = TorchAdapter()
