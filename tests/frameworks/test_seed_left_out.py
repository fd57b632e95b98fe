"""A seed that is left out is drawn from the framework's own generator, in every framework that has one."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import torch

import initlab
from initlab.core.errors import OptionError
from initlab.frameworks import adapter_for
from initlab.frameworks.torch.writing.state import random_bits

pytest.importorskip("flax")
from flax import nnx


def torch_net(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))


def keras_net(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, "tanh"), keras.layers.Dense(2)])


def flax_net(seed: int) -> nnx.Module:
    rngs = nnx.Rngs(seed)
    return nnx.Sequential(nnx.Linear(3, 5, rngs=rngs), nnx.tanh, nnx.Linear(5, 2, rngs=rngs))


DRAWING = [torch_net, keras_net]


@pytest.fixture(autouse=True)
def _generators() -> Iterator[None]:
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    random.setstate(kept[0])
    np.random.set_state(kept[1])  # noqa: NPY002
    torch.set_rng_state(kept[2])


def weights(model: object) -> list[np.ndarray]:
    adapter = adapter_for(model)
    return [np.array(adapter.read(model, p)) for p in adapter.describe(model).params if p.is_weight]


def states() -> tuple[object, ...]:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002


@pytest.mark.parametrize("build", DRAWING)
def test_the_cell_of_a_notebook_that_is_run_again_gives_the_same_model(build) -> None:
    first, again, other = (weights(initlab.initialize(build(seed), "he_normal")) for seed in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("build", DRAWING)
def test_setting_the_seed_repeats_the_sequence_of_three_models_that_differ(build) -> None:
    nets = [build(3) for _ in range(3)]

    def three() -> list[bytes]:
        build(3)  # sets the seed
        return [b"".join(w.tobytes() for w in weights(initlab.initialize(net, "he_normal"))) for net in nets]

    first = three()
    assert len(set(first)) == 3
    assert three() == first


@pytest.mark.parametrize("build", DRAWING)
def test_one_draw_is_taken_for_a_whole_model_and_reset_takes_one_too(build) -> None:
    model = build(5)
    adapter = adapter_for(model)
    initlab.initialize(model, "he_normal")
    initlab.reset(model)
    third = adapter.random_bits(model)
    build(5)
    assert [adapter.random_bits(model) for _ in range(3)][2] == third


@pytest.mark.parametrize("build", [*DRAWING, flax_net])
def test_looking_and_refusing_draw_nothing(build) -> None:
    model, x = build(5), np.ones((4, 3), np.float32)
    before = states()
    made = initlab.plan(model, "he_normal", example=x)
    initlab.probe(model, x)
    initlab.audit(model, "he_normal")
    initlab.lock(model, path=None)
    with pytest.raises(OptionError):
        initlab.reset(model)
    with pytest.raises(OptionError):
        made.apply(-1)
    with pytest.raises(initlab.InitlabError):
        initlab.initialize(model, "dirac")
    assert states() == before


@pytest.mark.parametrize("build", [*DRAWING, flax_net])
@pytest.mark.parametrize("seed", [5, 2**32, 2**64, 10**40])
def test_with_a_seed_of_any_size_no_generator_moves(build, seed: int) -> None:
    model = build(5)
    before = states()
    initlab.initialize(model, "he_normal", seed=seed)
    assert initlab.plan(model).seed == seed
    initlab.audit(model, "he_normal", seed=seed).assert_ok()
    adapter = adapter_for(model)
    first, again, other = (adapter.build(initlab.Mlp((3, 5, 2)), seed=n) for n in (seed, seed, seed + 1))
    assert all(np.array_equal(a, b) for a, b in zip(weights(first), weights(again), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(weights(first), weights(other), strict=True))
    with adapter.seeded(seed):
        pass
    assert states() == before


def test_the_draw_is_that_of_the_cpu_under_any_default_device() -> None:
    torch.manual_seed(4)
    first = random_bits()
    torch.manual_seed(4)
    with torch.device("meta"):
        assert random_bits() == first


def test_in_a_process_group_a_seed_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    net, before = torch_net(5), torch.get_rng_state()
    was = [w.copy() for w in weights(net)]
    group = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True, get_world_size=lambda: 3)
    monkeypatch.setattr("initlab.frameworks.torch.writing.state.distributed", group)
    with pytest.raises(OptionError, match=r"3 processes .*seed=0"):
        initlab.initialize(net, "he_normal")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(np.array_equal(a, b) for a, b in zip(was, weights(net), strict=True))
    initlab.initialize(net, "he_normal", seed=1)
