"""Every framework that comes with initlab; importing this module fills the registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from initlab.core.adapter import Adapter
from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.training.protocol import Trainer
from initlab.frameworks.jax.training.chunks import chunk_size as chunk_size_in_jax
from initlab.frameworks.reading.made_up import Asked
from initlab.frameworks.registry import FRAMEWORKS, Framework, register_framework
from initlab.frameworks.torch.training.chunks import chunk_size as chunk_size_in_torch

__all__ = ["FRAMEWORKS"]

# So that a matrix product's bits do not depend on where its operands lie.
_STRICT = {"MKL_CBWR": "AUTO,STRICT"}
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}


def _torch() -> Adapter:
    from initlab.frameworks.torch.adapter import ADAPTER

    return ADAPTER


def _keras() -> Adapter:
    from initlab.frameworks.keras.adapter import ADAPTER

    return ADAPTER


def _open_keras(path: Path) -> object:
    from initlab.frameworks.keras.reading.saved import opened

    return opened(path)


def _asked_by_keras(model: object) -> tuple[Asked, ...]:
    from initlab.frameworks.keras.reading.inputs import asked

    return asked(model)


def _jax() -> Adapter:
    from initlab.frameworks.jax.adapter import ADAPTER

    return ADAPTER


def _train_in_jax() -> Trainer:
    """Without Flax, which only models of the user's own need."""
    from initlab.frameworks.jax.training.train import train

    return train


def _back_end(here: bool) -> Mapping[str, str]:
    """The back end of Keras, as this process has it or as a worker will."""
    loaded = sys.modules.get("keras") if here else None
    if loaded is not None:
        return {"keras_backend": loaded.config.backend()}
    chosen = FRAMEWORKS["keras"].environment["KERAS_BACKEND"]
    return {"keras_backend": os.environ.get("KERAS_BACKEND", chosen)}


def _xla(compiled: Path) -> None:
    from initlab.frameworks.jax.training.pinning import settle

    settle(compiled)


register_framework(
    Framework(
        "torch",
        "PyTorch",
        _torch,
        roots=("torch.nn.modules.module:Module",),
        model="torch.nn.Module",
        install="pip install 'initlab[torch]'",
        packages=("torch",),
        environment=_STRICT,
        chunk_size=chunk_size_in_torch,
        default_scheme="torch_default",
        channels_last=False,
    )
)
register_framework(
    Framework(
        "keras",
        "Keras",
        _keras,
        roots=("keras.src.layers.layer:Layer",),
        model="keras.Model",
        install="pip install 'initlab[keras]'",
        packages=("keras", "tensorflow", "torch", "jax", "jaxlib"),
        # Keras' own default, tensorflow, is in no extra of initlab; jax is in the one that trains.
        environment={"KERAS_BACKEND": "jax", **_STRICT, **_QUIET},
        own_environment=_QUIET,
        prepare=_xla,
        settings=_back_end,
        default_scheme="keras_default",
        built_by_calls=True,
        gru_update_first=True,
        saved={".keras": _open_keras},
        asked=_asked_by_keras,
    )
)
register_framework(
    Framework(
        "jax",
        "JAX",
        _jax,
        roots=("flax.nnx.module:Module",),
        model="flax.nnx.Module",
        look_alikes={
            "flax.linen.module:Module": (
                "a Linen module, which holds no parameters",
                "wrap it: flax.nnx.bridge.ToNNX(module, rngs=nnx.Rngs(0)).lazy_init(x), and give x as the example",
            )
        },
        install="pip install 'initlab[lab]'",
        packages=("jax", "jaxlib", "optax"),
        prepare=_xla,
        load_trainer=_train_in_jax,
        trains=(Mlp, Recurrent),
        chunk_size=chunk_size_in_jax,
        default_scheme="flax_default",
    )
)
