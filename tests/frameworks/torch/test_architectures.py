"""Whole architectures: every parameter is in the plan with a known role, and a signal lives through them."""

from __future__ import annotations

import warnings
from math import log, sqrt

import pytest
import torch
from tests.frameworks.torch.models import Deep, ResNet18, Transformer, applied, planned
from torch import nn
from torch.nn import functional

from initlab.core.facts.spec import WEIGHT_ROLES
from initlab.frameworks.torch.adapter import ADAPTER

transformers = pytest.importorskip("transformers")
TOKENS = torch.arange(14).reshape(2, 7)


def gpt2() -> nn.Module:
    options = {"bos_token_id": 0, "eos_token_id": 0}
    config = transformers.GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2, n_positions=16, **options)
    return transformers.GPT2LMHeadModel(config)


def bert() -> nn.Module:
    config = transformers.BertConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    return transformers.BertForMaskedLM(config)


def vit() -> nn.Module:
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=4
    )
    return transformers.ViTForImageClassification(config)


MODELS = {
    "resnet18": (ResNet18, torch.zeros(1, 3, 32, 32)),
    "gpt2": (gpt2, TOKENS),
    "bert": (bert, TOKENS),
    "vit": (vit, torch.zeros(1, 3, 16, 16)),
    "transformer": (Transformer, TOKENS[:, :4] % 11),
}


@pytest.mark.parametrize("has_example", [False, True], ids=["no example", "example"])
@pytest.mark.parametrize(("build", "example"), MODELS.values(), ids=MODELS)
def test_every_parameter_is_in_the_plan_with_a_known_role(build, example: torch.Tensor, has_example: bool) -> None:
    model = build()
    plan = planned(model, "he_normal", example=example if has_example else None)
    assert sorted(e.param.native for e in plan) == sorted(n for n, _ in model.named_parameters(remove_duplicate=False))
    assert [e.param.native for e in plan if e.param.role == "unknown"] == []
    assert {e.action for e in plan if e.param.role in WEIGHT_ROLES and not e.param.tied_to} == {"initialise"}


@pytest.mark.parametrize(("build", "example"), MODELS.values(), ids=MODELS)
def test_an_architecture_is_seen_whole(build, example: torch.Tensor) -> None:
    assert ADAPTER.describe(build(), example=example).fidelity == "traced"


@pytest.mark.parametrize(
    ("build", "inner", "outer"),
    [
        (gpt2, "transformer.h.1.mlp.c_fc", "transformer.h.1.mlp.c_proj"),
        (bert, "bert.encoder.layer.1.intermediate.dense", "bert.encoder.layer.1.output.dense"),
        (Transformer, "blocks.1.fc", "blocks.1.proj"),
    ],
)
def test_a_transformers_inner_layers_sit_around_their_activation(build, inner: str, outer: str) -> None:
    found = {p.native: p for p in ADAPTER.describe(build(), example=TOKENS % 11).params}
    first, second = found[f"{inner}.weight"], found[f"{outer}.weight"]
    assert first.in_moment == 1.0
    assert first.f_out == second.f_in
    assert second.f_in is not None
    assert second.branch is not None
    assert second.branch.is_last


def test_gpt2_has_packed_projections_and_a_tied_head() -> None:
    found = {p.native: p for p in ADAPTER.describe(gpt2(), example=TOKENS).params}
    assert found["transformer.h.0.attn.c_attn.weight"].shape == (48, 16)
    assert found["transformer.h.0.attn.c_attn.weight"].blocks == (16, 16, 16)
    assert found["transformer.h.0.mlp.c_proj.weight"].f_in == "gelu_tanh"
    assert found["lm_head.weight"].tied_to == "transformer/wte/weight"


# The power of a ReLU layer with n terms a sum varies by E relu^4 / (E relu^2)^2 - 1 = 5, over n: so does its logarithm,
# layer after layer (Hanin 2018, arXiv:1801.03744). Inputs share the weights, so more of them do not help.


def test_twenty_functional_relus_keep_the_signal() -> None:
    net, x = Deep(20, 1024), torch.randn(64, 1024, generator=torch.Generator().manual_seed(0))
    applied(net, "exact_gain_normal", example=x[:1])
    with torch.no_grad():
        for layer in net.layers:
            z = layer(x)
            x = functional.relu(z)
    assert abs(log(z.square().mean())) < 5 * sqrt(20 * 5 / 1024)  # three activations unseen would give log 8 = 2.1


def test_transposed_convolutions_with_stride_keep_the_signal_at_every_layer() -> None:
    layers = [nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1) for _ in range(4)]
    net = nn.Sequential(*(module for layer in layers for module in (layer, nn.ReLU())))
    applied(net, "exact_gain_normal")
    x = torch.randn(4, 64, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for depth, layer in enumerate(layers, start=1):
            z = layer(x)
            assert abs(log(z[..., 2:-2, 2:-2].square().mean())) < 5 * sqrt(depth * 5 / (64 * 4))
            x = functional.relu(z)


def test_a_compiled_model_has_the_paths_of_the_model_inside() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        compiled = torch.compile(net)
    assert [p.path for p in ADAPTER.describe(compiled).params] == [p.path for p in ADAPTER.describe(net).params]
    assert ADAPTER.describe(compiled)["1/weight"].f_in == "relu"
