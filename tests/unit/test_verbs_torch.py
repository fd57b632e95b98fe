"""The verbs on PyTorch models: seeds from the global generator, intent, ties, and what stays untouched."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import initlab
from initlab.core.errors import OptionError
from initlab.frameworks.torch.writing.state import random_bits


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in model.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_manual_seeds_make_different_nets_and_the_same_one_again() -> None:
    def made(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return weights(initlab.initialize(net(), "he_normal"))

    nets = [made(seed) for seed in (0, 1, 2)]
    assert not any(same(nets[i], nets[k]) for i, k in ((0, 1), (0, 2), (1, 2)))
    assert all(same(made(seed), nets[seed]) for seed in (0, 1, 2))


def test_two_calls_in_a_row_make_two_nets_with_one_draw_of_the_generator_each() -> None:
    first, second = net(), net()
    state = torch.get_rng_state()
    initlab.initialize(first, "he_normal")
    initlab.initialize(second, "he_normal")
    assert not same(weights(first), weights(second))
    assert not torch.equal(torch.get_rng_state(), state)
    initlab.initialize(second, "he_normal", seed=3)
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    for _ in range(2):
        random_bits()
    assert torch.equal(torch.get_rng_state(), after)


def test_a_norm_put_before_a_layer_changes_no_bit_of_it() -> None:
    plain = initlab.initialize(net(), "he_normal", seed=0)
    normed = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3))
    initlab.initialize(normed, "he_normal", seed=0)
    assert torch.equal(plain[2].weight, normed[3].weight)


def test_zeros_that_initlab_wrote_are_no_intent() -> None:
    model = initlab.initialize(net(), "zeros", seed=0)
    initlab.initialize(model, "he_normal", seed=0)
    assert same(weights(model), weights(initlab.initialize(net(), "he_normal", seed=0)))


def test_a_frozen_layer_is_kept_unless_it_is_included() -> None:
    model = net()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    initlab.initialize(model, "he_normal", seed=0)
    assert torch.equal(model[0].weight, before)
    initlab.initialize(model, "he_normal", seed=0, include="0.*")
    assert not torch.equal(model[0].weight, before)
    assert not model[0].weight.requires_grad


def test_a_reset_is_a_new_draw_of_a_trained_model() -> None:
    model = initlab.initialize(net(), "auto", seed=0)
    with torch.no_grad():
        model[0].weight.add_(1.0)
    initlab.reset(model, seed=1)
    assert same(weights(model), weights(initlab.initialize(net(), "auto", seed=1)))


def test_two_schemes_for_tied_weights_are_refused_and_nothing_changes() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    model[1].weight = model[0].weight
    before = weights(model)
    with pytest.raises(initlab.InitlabError, match="one parameter with two schemes"):
        initlab.initialize(model, {"0.*": "normal(std=1.0)", "1.*": "zeros"}, seed=0)
    assert same(weights(model), before)


def test_transposed_convolutions_keep_the_signal_at_every_layer() -> None:
    """Four times ConvTranspose2d(16, 16, 4, stride=2, padding=1) and ReLU: E[z^2] is about 1 throughout."""
    layers = [m for _ in range(4) for m in (nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1), nn.ReLU())]
    model = nn.Sequential(*layers)
    x = torch.randn(32, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for seed in range(8):
        initlab.initialize(model, "auto", seed=seed)
        z, powers = x, []
        for layer in model:
            z = layer(z)
            powers += [z.pow(2).mean().item()] if isinstance(layer, nn.ConvTranspose2d) else []
        found.append(powers)
    for mean in torch.tensor(found).mean(dim=0):
        assert 0.7 < mean < 1.3


def test_twenty_functional_relus_with_a_data_dependent_branch_keep_the_signal() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(256, 256) for _ in range(20))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.mean() > 1e6:
                return x
            for layer in self.layers:
                x = nn.functional.relu(layer(x))
            return x

    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    powers = []
    for seed in range(8):
        model = initlab.initialize(Deep(), "auto", seed=seed, example=x)
        powers.append(2.0 * model(x).pow(2).mean().item())  # E relu(z)^2 = E[z^2] / 2
    # ln E[z^2] has variance 5 * 19 / 256 (Hanin & Rolnick): its mean over 8 nets lies within 5 / sqrt(8) of that root.
    assert abs(torch.tensor(powers).log().mean().item() + 5 * 19 / 512) < 5 * (5 * 19 / 256 / 8) ** 0.5


def gpt_like() -> nn.Module:
    attn = nn.ModuleDict({"c_attn": nn.Linear(16, 48), "c_proj": nn.Linear(16, 16)})
    mlp = nn.ModuleDict({"c_fc": nn.Linear(16, 64), "c_proj": nn.Linear(64, 16)})
    block = nn.ModuleDict({"attn": attn, "mlp": mlp})
    return nn.ModuleDict({"wte": nn.Embedding(50, 16), "h": nn.ModuleList([block])})


def test_a_recipe_is_planned_by_its_name() -> None:
    made = initlab.plan(gpt_like(), "gpt2")
    stds = {entry.param.native: entry.std for entry in made if entry.param.is_weight}
    assert stds["h.0.mlp.c_fc.weight"] == stds["wte.weight"] == 0.02
    assert stds["h.0.attn.c_proj.weight"] == pytest.approx(0.02 / math.sqrt(2))


def test_a_recipe_keeps_what_is_excluded() -> None:
    made = initlab.plan(gpt_like(), "gpt2", exclude="*attn.c_proj*")
    kept = {entry.param.native for entry in made if entry.action == "keep"}
    assert kept == {"h.0.attn.c_proj.weight", "h.0.attn.c_proj.bias"}


def test_a_recipe_takes_no_dialect() -> None:
    with pytest.raises(OptionError, match="its own dialect"):
        initlab.plan(gpt_like(), "gpt2", dialect="keras")
