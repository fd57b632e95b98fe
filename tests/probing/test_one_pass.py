"""``probe`` enters a model's code once, and describes what it says of a parameter from that one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import initlab
from initlab.core.facts.spec import ModelSpec

torch = pytest.importorskip("torch")

from tests.frameworks.torch import models  # noqa: E402
from tests.probing import torch_nets as nets  # noqa: E402
from torch import nn  # noqa: E402  (after the skip)

from initlab.frameworks.torch.adapter import ADAPTER  # noqa: E402


class Counted(nn.Module):
    """Counts how often its code is run."""

    def __init__(self, *, looks_at_data: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(5, 7), nn.Linear(7, 3), nn.BatchNorm1d(7)
        self.looks_at_data = looks_at_data
        self.entered: list[bool] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One hidden layer; it may depend on the numbers, so that symbols cannot follow it."""
        self.entered.append(self.training)
        y = nn.functional.dropout(torch.relu(self.norm(self.a(x))), 0.25, self.training)
        if self.looks_at_data and y.abs().max() > 1e6:
            y = y / 2
        return self.b(y)


@pytest.mark.parametrize("looks_at_data", [False, True], ids=["plain", "looks at its data"])
def test_a_probe_enters_a_torch_model_once(looks_at_data: bool) -> None:
    model = Counted(looks_at_data=looks_at_data)
    entered = model.entered
    profile = initlab.probe(model, torch.randn(6, 5), torch.arange(6) % 3)
    assert entered == [True]
    assert [(p.native, p.f_in) for p in profile.evidence.spec.params if p.is_weight] == [
        ("a.weight", None),
        ("b.weight", "relu"),
    ]


def test_a_probe_enters_a_flax_model_once() -> None:
    nnx = pytest.importorskip("flax.nnx")
    from tests.frameworks.jax.flax_models import RNGS, linear

    entered: list[bool] = []

    class Net(nnx.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.a, self.b, self.drop = linear(5, 7), linear(7, 3), nnx.Dropout(0.25, rngs=RNGS)

        def __call__(self, x: Any) -> Any:
            entered.append(True)
            return self.b(self.drop(nnx.silu(self.a(x))))

    profile = initlab.probe(Net(), np.ones((6, 5), np.float32), np.arange(6) % 3)
    assert entered == [True]
    assert [(p.native, p.f_in) for p in profile.evidence.spec.params if p.is_weight] == [
        ("a.kernel", None),
        ("b.kernel", "silu"),
    ]


def tokens(words: int, length: int) -> torch.Tensor:
    return torch.arange(3 * length).reshape(3, length) % words


TORCH: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.Tensor]]] = {
    "dropout": (nets.dropout_mlp, lambda: torch.randn(4, 64)),
    "convolutions": (nets.conv_net, lambda: torch.randn(2, 3, 32, 32)),
    "concatenation": (nets.DenseNet, lambda: torch.randn(2, 3, 8, 8)),
    "transposed": (nets.UNet, lambda: torch.randn(2, 3, 8, 8)),
    "gates": (nets.GatedBlock, lambda: torch.randn(4, 64)),
    "dot attention": (nets.Transformer, lambda: tokens(50, 6)),
    "batch norm": (lambda: nets.ResNet18(width=8), lambda: torch.randn(2, 3, 32, 32)),
    "torchvision's": (models.ResNet18, lambda: torch.randn(2, 3, 32, 32)),
    "nn.MultiheadAttention": (models.Transformer, lambda: tokens(11, 5)),
    "an if": (lambda: models.Deep(4), lambda: torch.randn(4, 16)),
    "nn.TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 24, 0.2, batch_first=True), 2),
        lambda: torch.randn(3, 5, 16),
    ),
    "lstm": (lambda: nn.LSTM(6, 9, 2, batch_first=True, dropout=0.3), lambda: torch.randn(3, 5, 6)),
}


@pytest.mark.parametrize("name", TORCH)
def test_training_mode_shows_the_facts_of_evaluation_mode_in_torch(name: str) -> None:
    make, batch = TORCH[name]
    model, x = make(), batch()
    assert_same(ADAPTER.capture(model, x).spec, ADAPTER.describe(model, example=x))


def flax_models() -> dict[str, tuple[Callable[[], Any], Any]]:
    from tests.frameworks.jax import flax_models as flax

    rows = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
    ids = np.arange(12).reshape(3, 4) % 11
    return {
        "dropout and attention": (lambda: flax.Gpt(dropout=0.4), ids),
        "batch norm": (flax.Statistics, rows[:, :4]),
        "residual": (flax.Residual, rows),
    }


@pytest.mark.parametrize("name", ["dropout and attention", "batch norm", "residual"])
def test_training_mode_shows_the_facts_of_evaluation_mode_in_flax(name: str) -> None:
    pytest.importorskip("flax")
    from initlab.frameworks.jax.adapter import ADAPTER as JAX

    make, x = flax_models()[name]
    model = make()
    assert_same(JAX.capture(model, x).spec, JAX.describe(model, example=x))


def assert_same(one: ModelSpec, other: ModelSpec) -> None:
    assert one.params == other.params
    assert (one.fidelity, one.notes) == (other.fidelity, other.notes)


def test_two_dropouts_of_one_generator_stay_on_their_own_branches_in_flax() -> None:
    """The generator's counter goes from one dropout to the next, and carries no signal."""
    pytest.importorskip("flax")
    from tests.frameworks.jax.flax_models import Gpt

    from initlab.frameworks.jax.adapter import ADAPTER as JAX

    places = JAX.capture(Gpt(dropout=0.4, blocks=1), np.arange(12).reshape(3, 4) % 11).reading.places
    behind = [places[place.inputs[0]].path for place in places if place.kind == "dropout"]
    assert behind == ["blocks.0.attention.out", "blocks.0.proj"]
