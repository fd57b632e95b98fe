"""What is meant to stay is kept: zeros and constants in a role that gives them a meaning, and no others."""

from __future__ import annotations

import math

import pytest
import torch
from tests.frameworks.torch.models import Composed, ResNet18, Transformer, applied, specs
from torch import nn

IMAGES = torch.zeros(1, 3, 32, 32)
TOKENS = torch.arange(8).reshape(2, 4)


def intents(model: nn.Module, **options: object) -> dict[str, str]:
    return {name: p.intent for name, p in specs(model, **options).items() if p.intent}


class Lora(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(8, 8)
        self.lora_A, self.lora_B = nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False)
        self.base.requires_grad_(False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.lora_B(self.lora_A(x))


def test_a_lora_factor_of_zeros_is_meant() -> None:
    found = specs(Lora(), example=torch.zeros(1, 8))
    assert "LoRA" in found["lora_B.weight"].intent
    assert found["lora_A.weight"].intent == ""
    assert found["base.weight"].frozen


def test_zero_scales_of_a_branchs_last_norm_are_meant() -> None:
    net = ResNet18()
    nn.init.zeros_(net.layer1[0].bn2.weight)
    assert list(intents(net, example=IMAGES)) == ["layer1.0.bn2.weight"]


def test_a_last_layer_of_zeros_in_a_branch_is_meant() -> None:
    net = Transformer()
    nn.init.zeros_(net.blocks[1].proj.weight)
    assert list(intents(net, example=TOKENS)) == ["blocks.1.proj.weight"]


def test_zeros_outside_a_recognised_role_are_not_meant() -> None:
    net = Transformer()
    nn.init.zeros_(net.blocks[1].fc.weight)
    assert intents(net, example=TOKENS) == {}


def test_zeros_are_not_meant_where_most_weights_are_zero() -> None:
    net = Transformer()
    for p in net.parameters():
        nn.init.zeros_(p)
    assert intents(net, example=TOKENS) == {}


class Scaled(nn.Module):
    def __init__(self, start: float, size: int) -> None:
        super().__init__()
        self.f = nn.Linear(8, 8)
        self.gamma = nn.Parameter(torch.full((size,), start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.gamma * torch.tanh(self.f(x))


@pytest.mark.parametrize(
    ("start", "size", "text"), [(0.0, 1, "a gate starts at zero"), (1e-5, 8, "a branch's scale starts at 1e-05")]
)
def test_gates_and_layer_scales_are_meant(start: float, size: int, text: str) -> None:
    assert text in intents(Scaled(start, size), example=torch.zeros(2, 8))["gamma"]


@pytest.mark.parametrize("example", [None, torch.zeros(1, 8)], ids=["symbolic", "recorded"])
def test_a_prior_probability_in_the_output_bias_is_meant(example: torch.Tensor | None) -> None:
    net = Composed(torch.relu)
    nn.init.constant_(net.b.bias, -math.log((1 - 0.01) / 0.01))
    assert intents(net, example=example) == {"b.bias": "the output starts at the prior probability 0.01"}


def test_a_constant_bias_in_the_middle_is_meant() -> None:
    net = Composed(torch.relu)
    nn.init.constant_(net.a.bias, -4.6)
    assert intents(net, example=torch.zeros(1, 8)) == {"a.bias": "the biases start at -4.6"}


def test_torch_defaults_are_not_meant() -> None:
    assert intents(ResNet18(), example=IMAGES) == {}
    assert intents(Transformer(), example=TOKENS) == {}


def test_the_slope_of_a_prelu_is_kept() -> None:
    assert intents(nn.Sequential(nn.Linear(3, 3), nn.PReLU()))["1.weight"] == "the slope of a PReLU"


def test_zeros_that_initlab_wrote_are_not_meant() -> None:
    net = Transformer()
    applied(net, "zeros")
    for name in ("blocks.0.proj.weight", "blocks.1.fc.weight"):
        nn.init.normal_(net.get_parameter(name))  # most weights are zero no more
    for block in net.blocks:
        nn.init.normal_(block.attn.in_proj_weight)
        nn.init.normal_(block.fc.weight)
    nn.init.normal_(net.wte.weight)
    assert intents(net, example=TOKENS) == {}


def test_zeros_then_he_normal_draws_all_weights() -> None:
    net = applied(applied(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), "zeros"), "he_normal")
    assert bool(net[0].weight.all())
    assert bool(net[2].weight.all())
