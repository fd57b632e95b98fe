"""What scales a branch and what only opens it, what takes a value and what only looks at it, and all the outputs."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import pytest
import torch
from tests.frameworks.torch.models import specs
from torch import nn
from torch.nn import functional

import initlab
from initlab.core.laws import Constant

X = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class SqueezeBlock(nn.Module):
    """A residual branch of two convolutions whose channels are weighed by gates (Hu et al. 2018)."""

    def __init__(self, width: int, *, is_normed: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width) if is_normed else nn.Identity()
        self.down, self.up = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        gates = torch.sigmoid(self.up(torch.relu(self.down(h.mean((2, 3), keepdim=True)))))
        return torch.relu(x + h * gates)


class SqueezeNet(nn.Module):
    def __init__(self, *, is_normed: bool, width: int = 16) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*(SqueezeBlock(width, is_normed=is_normed) for _ in range(8)))
        self.fc = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.blocks(torch.relu(self.bn(self.stem(x)))).mean((2, 3)))


def test_the_norm_before_a_gate_takes_the_scale_of_its_branch() -> None:
    plan = initlab.plan(SqueezeNet(is_normed=True), "auto", example=X)
    assert plan["blocks.3.bn2.weight"].law == Constant(0.25)  # 1 / sqrt(2 * 8)
    assert plan["blocks.3.conv2.weight"].std == pytest.approx((2 / (9 * 16)) ** 0.5)


@pytest.mark.parametrize("is_normed", [True, False])
def test_the_weights_of_a_gate_take_no_scale_of_its_branch(is_normed: bool) -> None:
    plan = initlab.plan(SqueezeNet(is_normed=is_normed), "auto", example=X)
    assert plan["blocks.3.up.weight"].std == pytest.approx((2 / 4) ** 0.5)
    assert "residual" not in plan["blocks.3.up.weight"].why


@pytest.mark.parametrize("is_normed", [True, False])
def test_the_measured_stream_of_a_net_with_gates_at_most_doubles(is_normed: bool) -> None:
    """E[relu(z)^2] = 1/2; with a norm of scale 1 before each gate it would be 2 after eight blocks."""
    model = initlab.initialize(SqueezeNet(is_normed=is_normed), "auto", seed=0, example=X)
    found: list[float] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _, __, out: found.append(float(out.detach().pow(2).mean())))
    model.train()(X)
    assert min(found) > 0.4
    assert max(found) < 1.0


class Gated(nn.Module):
    def __init__(self, gate: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.stem, self.value, self.gate, self.head = (nn.Linear(16, 16) for _ in range(4))
        self.function = gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(x + self.value(x) * self.function(self.gate(x)))


@pytest.mark.parametrize("gate", [torch.sigmoid, functional.silu, lambda z: torch.softmax(z, -1)])
def test_of_a_gated_product_the_plain_factor_alone_ends_the_branch(gate: Callable) -> None:
    found = specs(Gated(gate), example=torch.randn(4, 16))
    ends = {name: found[f"{name}.weight"].branch.is_last for name in ("value", "gate")}
    assert ends == {"value": True, "gate": False}


def test_of_a_product_of_two_gates_both_end_the_branch() -> None:
    class Both(Gated):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            return self.head(x + torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x)))

    found = specs(Both(torch.sigmoid), example=torch.randn(4, 16))
    assert found["value.weight"].branch.is_last
    assert found["gate.weight"].branch.is_last


class Watched(nn.Module):
    """Conditions on values that are not activated yet, and statistics kept for a log."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.log: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for fc in self.fc:
            z = fc(x)
            self.log.append(z.detach().norm())
            if z.abs().max() > 1e6:
                raise ValueError("diverged")
            x = functional.gelu(z)
        return x


def test_what_only_looks_at_a_value_does_not_hide_the_activation_that_takes_it() -> None:
    found = specs(Watched(), example=torch.randn(4, 16))
    assert [found[f"fc.{k}.weight"].f_out for k in range(3)] == ["gelu"] * 3
    assert not any("takes the output" in note for note in initlab.plan(Watched(), example=torch.randn(4, 16)).notes)


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.classes, self.value = nn.Linear(16, 64), nn.Linear(64, 5), nn.Linear(64, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        h = functional.relu(self.body(x))
        return {"classes": self.classes(h), "value": self.value(h)}


def test_each_of_several_outputs_starts_with_a_small_loss() -> None:
    plan = initlab.plan(Heads(), "auto", example=torch.randn(4, 16))
    assert "ln 5" in plan["classes.weight"].why
    assert "targets' variance" in plan["value.weight"].why
    std = (2 * 0.01 * log(5) / (1 - 1 / 5)) ** 0.5  # E[CE] = ln K + s^2 / 2 (1 - 1 / K), 1 % above ln K
    assert plan["classes.weight"].std == pytest.approx(std * (2 / 64) ** 0.5)


def test_a_returned_value_that_goes_on_in_the_model_is_no_output() -> None:
    class Features(Heads):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            h = self.body(x)
            return h, self.classes(functional.relu(h))

    found = specs(Features(), example=torch.randn(4, 16))
    assert [name for name, p in found.items() if p.is_output] == ["classes.weight"]


def test_probabilities_of_a_sigmoid_start_one_percent_above_the_loss_of_a_fair_coin() -> None:
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 400), nn.Sigmoid())
    initlab.initialize(model, "auto", seed=0)
    p = model(torch.randn(400, 256, generator=torch.Generator().manual_seed(1)))
    loss = functional.binary_cross_entropy(p, torch.randint(0, 2, p.shape).float())
    assert loss.item() == pytest.approx(1.01 * log(2), abs=5 * 0.24 / 2 / 400)  # z / 2 an entry, 160,000 of them


def test_the_bias_of_a_layer_whose_weight_is_computed_is_seen() -> None:
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))
    plan = initlab.plan(nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 3)), example=torch.randn(2, 8))
    assert not any("not seen in use" in note for note in plan.notes)


def test_a_model_made_in_inference_mode_is_refused_with_the_way_out() -> None:
    with torch.inference_mode():
        model = nn.Linear(4, 3)
        before = model.weight.tolist()
    with pytest.raises(initlab.InitlabError, match=r"outside torch\.inference_mode") as caught:
        initlab.initialize(model, "he_normal", seed=0)
    assert "\n" not in str(caught.value)
    assert model.weight.tolist() == before


def test_a_tied_weight_is_told_by_the_models_own_names() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    assert initlab.plan(model, "he_normal")["1.weight"].why == "tied to 0.weight"
    with pytest.raises(initlab.InitlabError, match=r"'1\.weight' and '0\.weight' are one parameter"):
        initlab.plan(model, {"0.*": "zeros", "1.*": "ones"})
