"""The bias of an LSTM's forget gate, and every other recurrent bias: alike in three frameworks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import initlab

UNITS = 3
OPEN = [0.0] * UNITS + [1.0] * UNITS + [0.0] * (2 * UNITS)  # gates i, f, g (c to Keras), o


def _in_torch(kind: str) -> nn.Module:
    return {"lstm": nn.LSTM, "cell": nn.LSTMCell, "gru": nn.GRU}[kind](4, UNITS)


def _in_keras(kind: str) -> keras.Model:
    made = {
        "lstm": lambda: keras.layers.LSTM(UNITS, unit_forget_bias=False),
        "cell": lambda: keras.layers.RNN(keras.layers.LSTMCell(UNITS)),
        "gru": lambda: keras.layers.GRU(UNITS),
    }
    return keras.Sequential([keras.Input((5, 4)), made[kind]()])


def _in_jax(kind: str) -> nnx.Module:
    cells = {"lstm": nnx.LSTMCell, "cell": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}
    return nnx.RNN(cells[kind](4, UNITS, rngs=nnx.Rngs(3)))


MAKERS: list[Callable[[str], Any]] = [_in_torch, _in_keras, _in_jax]


def biases(model: Any) -> np.ndarray:
    """The sum of a layer's biases, gate by gate, as its sums get it: torch adds two."""
    if isinstance(model, nn.Module):
        found = [p.detach().numpy() for name, p in model.named_parameters() if "bias" in name]
        return np.sum(found, axis=0)
    if isinstance(model, keras.Model):
        return np.concatenate(
            [np.ravel(keras.ops.convert_to_numpy(w.value)) for w in model.weights if w.name == "bias"]
        )
    state = nnx.to_flat_state(nnx.state(model, nnx.Param))
    parts = {path[-2]: np.asarray(value[...]) for path, value in state if path[-1] == "bias"}
    gates: Sequence[str] = ("hi", "hf", "hg", "ho")
    return np.concatenate([parts[gate] for gate in (gates if set(gates) <= set(parts) else sorted(parts))])


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", ["lstm", "cell", "gru"])
def test_a_plain_scheme_opens_the_forget_gate_and_nothing_else(make: Callable[[str], Any], kind: str) -> None:
    model = make(kind)
    initlab.initialize(model, "he_normal", seed=7)
    found = biases(model)
    np.testing.assert_array_equal(found, OPEN if kind != "gru" else np.zeros_like(found))


@pytest.mark.parametrize("make", MAKERS)
def test_schemes_and_recipes_of_a_framework_do_as_it_does(make: Callable[[str], Any]) -> None:
    closed = [0.0] * (4 * UNITS)
    for scheme, expected in (("keras_default", OPEN), ("keras", OPEN), ("flax", closed)):
        model = make("lstm")
        initlab.initialize(model, "he_normal", seed=7)  # what initlab wrote is nobody's intent
        initlab.initialize(model, scheme, seed=7)
        np.testing.assert_array_equal(biases(model), expected, err_msg=scheme)
    model = make("lstm")
    initlab.initialize(model, "torch", seed=7)
    most = (2 if isinstance(model, nn.Module) else 1) / np.sqrt(UNITS)  # U(-1 / sqrt(units), 1 / sqrt(units)) each
    found = biases(model)
    assert len(set(found.tolist())) == 4 * UNITS
    assert np.abs(found).max() <= most


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("dialect", "forget"), [("torch", 0.0), ("keras", 1.0), ("jax", 0.0)])
def test_a_dialect_does_as_its_framework(make: Callable[[str], Any], dialect: Any, forget: float) -> None:
    model = make("cell")
    initlab.initialize(model, "he_normal", dialect=dialect, seed=7)
    np.testing.assert_array_equal(biases(model)[UNITS : 2 * UNITS], [forget] * UNITS)


def test_a_state_is_kept_at_first() -> None:
    """With zero weights the state is multiplied by sigmoid(1) a step: 0.731, where a closed start gives 0.5."""
    own = nn.LSTMCell(4, UNITS)
    initlab.initialize(own, "zeros", seed=7, reinit=True)
    _, kept = own(torch.zeros(2, 4), (torch.zeros(2, UNITS), torch.full((2, UNITS), 0.8)))
    np.testing.assert_allclose(kept.detach().numpy(), 0.8 / (1.0 + np.exp(-1.0)), rtol=1e-6)
    cell = nnx.OptimizedLSTMCell(4, UNITS, rngs=nnx.Rngs(3))
    initlab.initialize(cell, "zeros", seed=7, reinit=True)
    (state, _), _ = cell((jax.numpy.full((2, UNITS), 0.8), jax.numpy.zeros((2, UNITS))), jax.numpy.zeros((2, 4)))
    np.testing.assert_allclose(np.asarray(state), 0.8 / (1.0 + np.exp(-1.0)), rtol=1e-6)


def test_what_a_frameworks_defaults_cannot_take_is_kept_and_counted() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.linspace(0.3, 0.7, 7))  # of no weight's sum
            self.out = nn.Linear(7, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(torch.tanh(x + self.bias))

    made = initlab.plan(Shifted(), "torch_default", example=torch.ones(2, 7))
    assert {row.param.native: row.action for row in made} == {
        "bias": "keep",
        "out.weight": "initialise",
        "out.bias": "initialise",
    }
    assert {why: (held.size, held.names) for why, held in made.account.unasked.items()} == {"unruled": (7, ("bias",))}
    named = initlab.plan(Shifted(), {"bias": "torch_default"}, example=torch.ones(2, 7))
    assert named["bias"].action == "refuse"  # asked for by name
