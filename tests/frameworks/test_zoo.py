"""One architecture, one seed: the same weights and outputs in torch, in Keras, in Flax and in the JAX engine.

``keras/test_backends.py`` runs this file again on Keras' other back ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest
import torch
from flax import nnx

import initlab
from initlab import ConvNet, Mlp
from initlab.core.adapter import Adapter
from initlab.core.errors import OptionError
from initlab.core.facts.spec import ModelSpec
from initlab.frameworks.jax import zoo as flax_zoo
from initlab.frameworks.jax.adapter import ADAPTER as FLAX
from initlab.frameworks.jax.training.convnet import convnet_logits
from initlab.frameworks.jax.training.model import forward, initial_moments
from initlab.frameworks.keras import zoo as keras_zoo
from initlab.frameworks.keras.adapter import ADAPTER as KERAS
from initlab.frameworks.torch import zoo as torch_zoo
from initlab.frameworks.torch.adapter import ADAPTER as TORCH

SEED = 3
MLPS = {
    "dense": Mlp((6, 12, 8, 3)),
    "dense, layer norm": Mlp((6, 12, 8, 3), activation="gelu", norm="layer"),
    "dense, batch norm, no biases": Mlp((6, 12, 3), activation="silu", norm="batch", bias=False),
    "dense, residual": Mlp((6, 8, 8, 8, 3), activation="tanh", residual=True),
    "dense, layer norm, residual": Mlp((6, 8, 8, 3), norm="layer", residual=True),
}
CONVNETS = {
    "conv": ConvNet((2, 8, 12), classes=3),
    "conv, strides": ConvNet((2, 8, 8, 12), classes=3, strides=(2, 1, 2), activation="gelu"),
    "conv, stride 3 and kernel 5": ConvNet((2, 8), classes=3, strides=(3,), kernel=5, activation="tanh"),
    "conv, groups": ConvNet((2, 8, 12), classes=3, groups=(2, 4)),
    "conv, depthwise and 1 x 1": ConvNet((4, 4, 8), classes=3, groups=(4, 1), kernel=1, bias=False),
    "conv, strides and groups": ConvNet((4, 8, 12), classes=3, strides=(2, 2), groups=(2, 4), activation="silu"),
}
ARCHS: dict[str, Mlp | ConvNet] = {**MLPS, **CONVNETS}
SIDES = {"even": (8, 10), "odd": (7, 9)}  # of an image: a stride meets its edge in two ways


def torch_model(arch: Mlp | ConvNet) -> torch.nn.Module:
    built = torch_zoo.build_mlp(arch) if isinstance(arch, Mlp) else torch_zoo.build_convnet(arch)
    return built.eval()


def keras_model(arch: Mlp | ConvNet) -> keras.Model:
    return keras_zoo.build_mlp(arch) if isinstance(arch, Mlp) else keras_zoo.build_convnet(arch)


def flax_model(arch: Mlp | ConvNet) -> nnx.Module:
    zeros = nnx.initializers.zeros_init()  # Flax compiles its own draw for each shape, which is slow
    is_mlp = isinstance(arch, Mlp)
    built = flax_zoo.build_mlp(arch, kernel_init=zeros) if is_mlp else flax_zoo.build_convnet(arch, kernel_init=zeros)
    built.eval()
    return built


FRAMEWORKS: dict[str, tuple[Adapter, Callable[[Mlp | ConvNet], object]]] = {
    "torch": (TORCH, torch_model),
    "keras": (KERAS, keras_model),
    "flax": (FLAX, flax_model),
}


@cache
def initialised(framework: str, arch: Mlp | ConvNet) -> object:
    """Built once, since Keras on JAX is slow to build; nothing here changes a model."""
    return initlab.initialize(FRAMEWORKS[framework][1](arch), "he_normal", seed=SEED)


def facts(spec: ModelSpec) -> list[tuple[object, ...]]:
    return [(p.path, p.shape, p.role, p.groups, p.stride, p.f_in, p.f_out, p.layer_shape) for p in spec.params]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ARCHS)
def test_a_seed_gives_the_bits_that_the_architecture_alone_gives(name: str, framework: str) -> None:
    model, adapter = initialised(framework, ARCHS[name]), FRAMEWORKS[framework][0]
    held = {p.path: adapter.read(model, p) for p in adapter.describe(model).params}
    drawn = initlab.plan(ARCHS[name], "he_normal").draw(SEED)
    assert held.keys() == drawn.keys()
    for key, values in drawn.items():
        np.testing.assert_array_equal(held[key], values, strict=True)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", CONVNETS)
def test_a_trace_of_our_convnet_finds_its_own_spec(name: str, framework: str) -> None:
    seen = FRAMEWORKS[framework][0].describe(initialised(framework, CONVNETS[name]))
    assert facts(seen) == facts(CONVNETS[name].spec())
    assert (seen.fidelity, seen.notes) == ("traced", ())


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", MLPS)
def test_a_trace_of_our_mlp_finds_its_norms_and_branches(name: str, framework: str) -> None:
    seen = FRAMEWORKS[framework][0].describe(initialised(framework, MLPS[name]))
    own = MLPS[name].spec()
    assert {p.path: (p.role, p.norm, p.branch) for p in seen.params} == {
        p.path: (p.role, p.norm, p.branch) for p in own.params
    }


def outputs(framework: str, arch: Mlp | ConvNet, x: np.ndarray) -> np.ndarray:
    model = initialised(framework, arch)
    if framework == "keras":
        return keras.ops.convert_to_numpy(model(x))
    if framework == "flax":
        return np.asarray(nnx.jit(lambda net, x: net(x))(model, x))
    given = torch.from_numpy(x if isinstance(arch, Mlp) else np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        return model(given).numpy()


def engine_outputs(arch: Mlp | ConvNet, x: np.ndarray) -> np.ndarray:
    params = {key: jax.numpy.asarray(value) for key, value in initlab.plan(arch, "he_normal").draw(SEED).items()}
    if isinstance(arch, ConvNet):
        return np.asarray(convnet_logits(arch, params, x))
    running = initial_moments(arch) if arch.norm == "batch" else None
    return np.asarray(forward(arch, params, x, running=running).logits)


# Sums of at most 80 terms of size about 1, in another order: some units in the last place (1.2e-7) of their size.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", MLPS)
def test_an_mlp_gives_the_outputs_of_the_jax_engine(name: str, framework: str) -> None:
    x = np.random.default_rng(0).standard_normal((16, 6)).astype(np.float32)
    np.testing.assert_allclose(outputs(framework, MLPS[name], x), engine_outputs(MLPS[name], x), **CLOSE)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("name", CONVNETS)
def test_a_convnet_gives_the_outputs_of_the_jax_engine(name: str, sides: tuple[int, int], framework: str) -> None:
    arch = CONVNETS[name]
    x = np.random.default_rng(0).standard_normal((5, *sides, arch.channels[0])).astype(np.float32)
    np.testing.assert_allclose(outputs(framework, arch, x), engine_outputs(arch, x), **CLOSE)


def test_a_strided_convolution_looks_around_the_first_place_and_every_second_one_after_it() -> None:
    # Columns 0, 1, 2, 3 of a ramp: the middles are columns 0 and 2, whose neighbours add up to 0 + 1 and 1 + 2 + 3, and
    # rows 0 and 2, which see 2 and 3 rows. Padded "same", the middles would be 1 and 3: 0 + 1 + 2 and 2 + 3.
    arch = ConvNet((1, 1), classes=1, strides=(2,), bias=False, activation="identity")
    params = {"0/weight": np.ones((1, 1, 3, 3), np.float32), "1/weight": np.ones((1, 1), np.float32)}
    ramp = np.broadcast_to(np.arange(4.0, dtype=np.float32)[None, None, :, None], (1, 4, 4, 1))
    assert float(convnet_logits(arch, params, ramp)[0, 0]) == (1 + 6) * (2 + 3) / 4


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"channels": (3,)}, "channels need"),
        ({"channels": (1, 0)}, "channels must be whole numbers"),
        ({"classes": 0}, "classes must be whole numbers"),
        ({"kernel": 4}, "kernel 4 has no middle"),
        ({"strides": (2,)}, "1 strides for 2 convolutions"),
        ({"groups": (1, 3)}, "3 groups do not divide 8 channels"),
    ],
)
def test_a_convnet_that_cannot_be_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        ConvNet(**{"channels": (1, 8, 12), "classes": 3, **options})  # type: ignore[arg-type]
