"""What is one and the same: experts, scanned layers, units that differ by their bias, in each framework."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import initlab
from initlab.probing.diagnosis import Diagnosis

WIDTH, EXPERTS = 24, 4
X = np.random.default_rng(5).standard_normal((64, WIDTH)).astype(np.float32)
LABELS = np.arange(64) % 5


def stacked(rule: str, *, seed: int = 3) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((EXPERTS, WIDTH, WIDTH)) / WIDTH**0.5
    if rule == "same":
        drawn[:] = drawn[0]
    elif rule != "drawn":
        drawn[:] = float(rule)
    return drawn.astype(np.float32)


def torch_experts(rule: str) -> Diagnosis:
    torch = pytest.importorskip("torch")

    class Experts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.router = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, EXPERTS)
            self.inner = torch.nn.Parameter(torch.tensor(stacked(rule)))
            self.outer = torch.nn.Parameter(torch.tensor(stacked(rule, seed=4)))
            self.head = torch.nn.Linear(WIDTH, 5)

        def forward(self, x):
            x = torch.tanh(self.up(x))
            inner = torch.relu(torch.einsum("bi,eio->ebo", x, self.inner))
            made = torch.einsum("ebo,eoi->ebi", inner, self.outer)
            return self.head(x + torch.einsum("be,ebi->bi", self.router(x).softmax(-1), made))

    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = Experts()
    return initlab.probe(net, torch.tensor(X), torch.tensor(LABELS)).diagnose()


def torch_scanned(rule: str) -> Diagnosis:
    torch = pytest.importorskip("torch")

    class Scanned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Parameter(torch.tensor(stacked(rule)))
            self.up, self.head = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, 5)

        def forward(self, x):
            x = self.up(x)
            for at in range(EXPERTS):
                x = torch.tanh(x @ self.layers[at])
            return self.head(x)

    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = Scanned()
    return initlab.probe(net, torch.tensor(X), torch.tensor(LABELS)).diagnose()


def flax_scanned(rule: str) -> Diagnosis:
    pytest.importorskip("flax")
    import jax.numpy as jnp
    from flax import nnx

    class Scanned(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.layers = nnx.Param(jnp.asarray(stacked(rule)))
            self.up, self.head = nnx.Linear(WIDTH, WIDTH, rngs=rngs), nnx.Linear(WIDTH, 5, rngs=rngs)

        def __call__(self, x):
            x = self.up(x)
            for at in range(EXPERTS):
                x = jnp.tanh(x @ self.layers[at])
            return self.head(x)

    return initlab.probe(Scanned(nnx.Rngs(3)), jnp.asarray(X), jnp.asarray(LABELS)).diagnose()


@pytest.mark.parametrize("diagnosed", [torch_experts, torch_scanned, flax_scanned])
def test_slices_that_are_the_same_are_told_and_drawn_ones_are_not(diagnosed: Callable[[str], Diagnosis]) -> None:
    assert diagnosed("drawn").findings == ()
    found = diagnosed("same")
    finding = next(one for one in found.findings if one.kind == "cloned layers")
    assert f"{EXPERTS - 1} of the {EXPERTS} weights" in finding.what
    assert found.alarms == ()


def test_experts_that_are_all_zero_or_constant_are_sick() -> None:
    assert "zero weights that block learning" in torch_experts("0.0")
    assert "equal units" in {one.kind for one in torch_experts("0.05").alarms}


def torch_units(weights: np.ndarray, biases: np.ndarray) -> Diagnosis:
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = torch.nn.Sequential(torch.nn.Linear(WIDTH, 63), torch.nn.Tanh(), torch.nn.Linear(63, 5))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(weights))
        net[0].bias.copy_(torch.tensor(biases))
    return initlab.probe(net, torch.tensor(X), torch.tensor(LABELS)).diagnose()


def keras_units(weights: np.ndarray, biases: np.ndarray) -> Diagnosis:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(3)
    net = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(63, "tanh"), keras.layers.Dense(5)])
    net.layers[0].set_weights([weights.T, biases])
    return initlab.probe(net, X, LABELS).diagnose()


@pytest.mark.parametrize("diagnosed", [torch_units, keras_units])
def test_units_that_differ_by_their_bias_alone_are_a_note(diagnosed: Callable[..., Diagnosis]) -> None:
    draw = np.random.default_rng(5).standard_normal
    constant, biases = np.full((63, WIDTH), 0.05, np.float32), draw(63).astype(np.float32)
    found = diagnosed(constant, biases)
    assert [(one.kind, one.severity) for one in found.findings] == [("equal units", "note")]
    assert "62 of the 63 units" in found.findings[0].what
    assert "equal units" in {one.kind for one in diagnosed(constant, 0 * biases).alarms}
    assert diagnosed((draw((63, WIDTH)) / 5.0).astype(np.float32), biases).findings == ()
