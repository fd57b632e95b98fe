"""Initialising twice is initialising once: for every pair of schemes, also after training and in copies."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import initlab
from initlab.core.errors import InitlabError
from initlab.frameworks import adapter_for
from initlab.schemes import SCHEMES

X = np.linspace(-1.0, 1.0, 24, dtype=np.float32).reshape(4, 6)
KINDS = ("zeros", "ones", "constant(value=0.25)", "normal(std=0.3)", "he_normal", "orthogonal", "identity", "auto")
FRAMEWORKS = ("torch", "keras", "flax")
State = dict[str, np.ndarray[Any, Any]]


class TorchNet(nn.Module):
    """A branch, a gate and a head, each of which may start at zero; the author's own gate starts nearly closed."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.gate, self.head = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.norm = nn.LayerNorm(5)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(x))
        h = h + self.norm(self.b(h))
        return self.head(h * torch.sigmoid(self.gate(h)))


class FlaxNet(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(3)
        self.a, self.b = nnx.Linear(6, 5, rngs=rngs), nnx.Linear(5, 5, rngs=rngs)
        self.gate, self.head = nnx.Linear(5, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)
        self.norm = nnx.LayerNorm(5, rngs=rngs)
        assert self.gate.bias is not None
        self.gate.bias.set_value(jnp.full((5,), -2.0))

    def __call__(self, x: Any) -> Any:
        h = jnp.tanh(self.a(x))
        h = h + self.norm(self.b(h))
        return self.head(h * nnx.sigmoid(self.gate(h)))


def keras_net() -> Any:
    x = keras.Input((6,))
    h = keras.layers.Dense(5, "tanh", name="a")(x)
    h = keras.layers.add([h, keras.layers.LayerNormalization(name="norm")(keras.layers.Dense(5, name="b")(h))])
    nearly_closed = keras.initializers.Constant(-2.0)
    gate = keras.layers.Dense(5, "sigmoid", bias_initializer=nearly_closed, name="gate")(h)
    return keras.Model(x, keras.layers.Dense(3, name="head")(keras.layers.multiply([h, gate])))


def build(framework: str) -> Any:
    torch.manual_seed(3)
    return {"torch": TorchNet, "keras": keras_net, "flax": FlaxNet}[framework]()


def initialised(model: Any, scheme: str) -> State:
    initlab.initialize(model, scheme, seed=11, example=torch.from_numpy(X) if isinstance(model, nn.Module) else X)
    return state(model)


def state(model: Any) -> State:
    return {name: np.array(value) for name, value in adapter_for(model).state(model).items()}


def differing(found: State, wanted: State, *, but: str = "") -> list[str]:
    return [name for name in wanted if not (but and but in name) and not np.array_equal(found[name], wanted[name])]


def schemes(framework: str) -> Sequence[str]:
    """All that can take every weight of the net, in PyTorch; in the others, where a trace takes longer, each kind."""
    if framework != "torch":
        return KINDS
    found = []
    for name in [*KINDS, *SCHEMES]:
        try:
            initlab.plan(build("torch"), name).plan.check()
        except InitlabError:
            continue
        found.append(name)
    return found


def all_pairs(names: Sequence[str]) -> Iterator[str]:
    """A sequence in which each name follows each, itself too (de Bruijn 1946, words of two letters)."""
    for at, name in enumerate(names):
        yield name
        for other in names[at + 1 :]:
            yield from (name, other)
    yield names[0]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_second_scheme_gives_the_bits_that_it_gives_a_fresh_model(framework: str) -> None:
    names = schemes(framework)
    wanted = {name: initialised(build(framework), name) for name in names}
    model = build(framework)
    before = ""
    for name in all_pairs(names):
        assert not differing(initialised(model, name), wanted[name]), (before, name)
        before = name


def trained(model: Any) -> Any:
    """After ten steps of a real training in PyTorch; else moved as training moves it."""
    if isinstance(model, nn.Module):
        optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(10):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(torch.from_numpy(X)), torch.tensor([0, 1, 2, 1])).backward()
            optimiser.step()
        return model
    rng = np.random.default_rng(5)
    if isinstance(model, nnx.Module):
        for _, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
            variable.set_value(variable.get_value() + 0.01 * rng.normal(size=variable.get_value().shape))
        nnx.update(model, nnx.state(model, nnx.Param))
        return model
    for variable in model.trainable_variables:
        variable.assign(variable + 0.01 * rng.normal(size=variable.shape))
    return model


def loaded(model: Any) -> Any:
    """Another model, into which the first one's state was loaded."""
    fresh = build("torch" if isinstance(model, nn.Module) else "keras")
    if isinstance(model, nn.Module):
        fresh.load_state_dict(model.state_dict())
    else:
        fresh.set_weights(model.get_weights())
    return fresh


LATER: dict[str, Callable[[Any], Any]] = {"trained": trained, "copied": copy.deepcopy, "loaded": loaded}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # JAX' own, as Keras is copied
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("how", list(LATER))
@pytest.mark.parametrize("first", KINDS)
def test_nor_is_it_another_after_training_or_in_a_copy(framework: str, how: str, first: str) -> None:
    if framework == "flax" and how == "loaded":
        pytest.skip("nnx.update puts other arrays into the same model, as a copy has them")
    model, wanted = build(framework), initialised(build(framework), "he_normal")
    initialised(model, first)
    found = initialised(LATER[how](model), "he_normal")
    # The gate's bias was its author's, until training moved it.
    assert not differing(found, wanted, but="gate" if how == "trained" else "")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_value_that_its_author_writes_after_initlab_is_the_authors(framework: str) -> None:
    model = build(framework)
    initialised(model, "he_normal")
    if framework == "torch":
        nn.init.constant_(model.head.bias, -4.6)
    elif framework == "keras":
        model.get_layer("head").bias.assign(np.full(3, -4.6))
    else:
        model.head.bias.set_value(jnp.full((3,), -4.6))
    found = initialised(model, "glorot_uniform")
    assert sum(bool((value == np.float32(-4.6)).all()) for value in found.values()) == 1
