"""The trainers: for each framework its dotted name, its chunks, and what its workers settle before it is imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from initlab.core.errors import UnknownNameError
from initlab.core.training.protocol import OwnRecipe, Recipe
from initlab.frameworks.jax.training import chunks as jax_chunks
from initlab.frameworks.torch.training import chunks as torch_chunks


@dataclass(frozen=True)
class Engine:
    """What a study knows of a trainer without importing its framework.

    Attributes:
        trainer: The ``core.training.protocol.Trainer``, as ``module:function``.
        chunk_size: Models that a worker is given at a time.
        extra: The extra of initlab that installs the framework.
        packages: What computes, for a record's environment.
        environment: Variables that a worker sets, where the user has not, before the framework is imported.
        together: Of the user's own models how many train at a time, and if it is one, why; None: always one.
    """

    trainer: str
    chunk_size: Callable[[Recipe], int]
    extra: str
    packages: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    together: Callable[[OwnRecipe], tuple[int, str]] | None = None


def _one(recipe: Recipe | OwnRecipe) -> int:
    return 1


def _torch_together(recipe: OwnRecipe) -> tuple[int, str]:
    from initlab.frameworks.torch.user_training.train import together

    return together(recipe)


ENGINES: Mapping[str, Engine] = {
    "jax": Engine(
        "initlab.frameworks.jax.training.train:train", jax_chunks.chunk_size, "lab", ("jax", "jaxlib", "optax")
    ),
    # So that a matrix product's bits do not depend on where its operands lie.
    "torch": Engine(
        "initlab.frameworks.torch.training.train:train",
        torch_chunks.chunk_size,
        "torch",
        ("torch",),
        {"MKL_CBWR": "AUTO,STRICT"},
    ),
    # Keras' own default, tensorflow, is in no extra of initlab; jax is in the one that trains.
    "keras": Engine(
        "initlab.frameworks.keras.training.train:train",
        _one,
        "keras",
        ("keras", "tensorflow", "torch", "jax", "jaxlib"),
        {"KERAS_BACKEND": "jax", "MKL_CBWR": "AUTO,STRICT", "TF_CPP_MIN_LOG_LEVEL": "2"},
    ),
}
"""By framework, as in ``StudyDesign.framework``."""

# They set neither MKL_CBWR nor a back end: a worker computes as the process that holds the user's model does.
OWN_ENGINES: Mapping[str, Engine] = {
    "torch": Engine(
        "initlab.frameworks.torch.user_training.train:train",
        _one,
        "torch",
        ENGINES["torch"].packages,
        together=_torch_together,
    ),
    "keras": Engine(
        "initlab.frameworks.keras.user_training.train:train",
        _one,
        "keras",
        ENGINES["keras"].packages,
        {"TF_CPP_MIN_LOG_LEVEL": "2"},
    ),
}
"""The trainers of the user's own models (``core.training.protocol.OwnTrainer``), by framework."""


def engine(framework: str) -> Engine:
    """The engine of a framework.

    Raises:
        UnknownNameError: No trainer of that name; the nearest is offered.

    Example:
        >>> engine("torch").trainer
        'initlab.frameworks.torch.training.train:train'
    """
    if framework not in ENGINES:
        raise UnknownNameError("framework", framework, ENGINES)
    return ENGINES[framework]


def engine_of(trainer: str) -> Engine | None:
    """The engine whose trainer has this dotted name; None for a trainer of one's own."""
    known = (*ENGINES.values(), *OWN_ENGINES.values())
    return next((engine for engine in known if engine.trainer == trainer), None)


def settle(trainer: str) -> None:
    """Set, for this process, the variables of a trainer's engine that are not set."""
    found = engine_of(trainer)
    for name, value in (found.environment if found is not None else {}).items():
        os.environ.setdefault(name, value)
