"""Each kind of layer: its parameters' roles and shapes, and numbers that come back as they were written."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch
from tests.frameworks.torch.models import applied, planned, specs
from torch import nn
from transformers.pytorch_utils import Conv1D

from initlab.core.adapter import WeightSource
from initlab.core.facts.fans import fans
from initlab.core.facts.spec import Axes
from initlab.core.laws import Normal, Orthogonal
from initlab.frameworks.torch.adapter import ADAPTER

LAYERS = {
    "linear": nn.Linear(5, 7),
    "bilinear": nn.Bilinear(3, 4, 5),
    "conv1d": nn.Conv1d(4, 6, 3),
    "conv2d": nn.Conv2d(4, 6, (3, 2), stride=2),
    "conv3d": nn.Conv3d(2, 3, 2, dilation=2),
    "grouped": nn.Conv2d(4, 6, 3, groups=2),
    "depthwise": nn.Conv2d(4, 8, 3, groups=4),
    "transposed": nn.ConvTranspose2d(4, 6, 3, stride=2),
    "transposed grouped": nn.ConvTranspose1d(4, 6, 3, groups=2),
    "transposed 3d": nn.ConvTranspose3d(2, 3, (1, 2, 3)),
    "attention": nn.MultiheadAttention(8, 2, add_bias_kv=True),
    "attention of own widths": nn.MultiheadAttention(8, 2, kdim=5, vdim=6),
    "embedding": nn.Embedding(9, 4),
    "embedding bag": nn.EmbeddingBag(9, 4),
    "rnn": nn.RNN(3, 4, num_layers=2),
    "lstm": nn.LSTM(3, 4, num_layers=2, bidirectional=True),
    "projected lstm": nn.LSTM(3, 4, proj_size=2),
    "gru": nn.GRU(3, 4),
    "gru cell": nn.GRUCell(3, 4),
    "layer norm": nn.LayerNorm(6),
    "batch norm": nn.BatchNorm2d(6),
    "group norm": nn.GroupNorm(2, 6),
    "instance norm": nn.InstanceNorm2d(6, affine=True),
    "rms norm": nn.RMSNorm(6),
    "prelu": nn.PReLU(6),
    "conv1d of transformers": Conv1D(6, 4),
    "half": nn.Linear(5, 7).half(),
    "bfloat16": nn.ConvTranspose2d(4, 6, 3).bfloat16(),
    "float64": nn.Linear(5, 7).double(),
    "channels last": nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_what_is_written_is_read_back(layer: nn.Module) -> None:
    for p in ADAPTER.describe(layer).params:
        wide = next(layer.parameters()).dtype == torch.float64
        source = WeightSource(Normal(1.0), p, seed=3)
        ADAPTER.write(layer, p, source)
        want = torch.from_numpy(source.part(dtype="float64" if wide else "float32"))
        narrowed = want.to(next(layer.parameters()).dtype).to(want.dtype)
        np.testing.assert_array_equal(ADAPTER.read(layer, p), narrowed.numpy())


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_every_parameter_has_a_known_role(layer: nn.Module) -> None:
    found = ADAPTER.describe(layer).params
    assert len(found) == len(list(layer.parameters()))
    assert all(p.role != "unknown" for p in found)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_is_described_as_out_by_in(groups: int) -> None:
    layer = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=groups, bias=False)
    p = specs(layer)["weight"]
    canonical = torch.from_numpy(np.array(ADAPTER.read(layer, p)))
    # The defining sum, from one input pixel alone: out[o] = sum_i W[o, i] x[i], group by group.
    x = torch.randn(1, 4, 1, 1)
    per_group = x.reshape(groups, 4 // groups)
    rows = canonical.reshape(groups, 6 // groups, 4 // groups, 3, 3)
    want = torch.einsum("goikl,gi->gokl", rows, per_group).reshape(1, 6, 3, 3)
    torch.testing.assert_close(layer(x), want)


def test_conv1d_of_transformers_is_described_as_out_by_in() -> None:
    layer = Conv1D(6, 4)
    p = specs(layer)["weight"]
    np.testing.assert_array_equal(ADAPTER.read(layer, p), layer.weight.detach().numpy().T)


def test_conv1d_of_transformers_gets_the_bits_of_a_linear() -> None:
    transposed = applied(nn.Sequential(Conv1D(6, 4)), "he_normal")
    linear = applied(nn.Sequential(nn.Linear(4, 6)), "he_normal")
    assert torch.equal(transposed[0].weight.t(), linear[0].weight)


def test_a_depthwise_convolution_counts_its_own_fan_out() -> None:
    entry = planned(nn.Conv2d(256, 256, 3, groups=256), "he_normal(mode=fan_out)")["weight"]
    assert entry.std == pytest.approx(sqrt(2 / 9), rel=1e-12)  # 0.471; torch counts 2304 terms: 0.029


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_strided_transposed_convolution_keeps_the_variance(stride: int) -> None:
    torch.manual_seed(0)
    layer = applied(nn.ConvTranspose2d(32, 32, 4, stride=stride, bias=False), "lecun_normal")
    with torch.no_grad():
        out = layer(torch.randn(16, 32, 24, 24))[..., 8:-8, 8:-8]
    # Averaged over 32 * 32 * 16 weights: the relative error of a variance is sqrt(2 / n), and outputs share weights.
    assert float(out.var()) == pytest.approx(1.0, abs=5 * sqrt(2 / (32 * 32 * 16)))


def test_packed_and_separate_projections_have_equal_std() -> None:
    packed = planned(nn.MultiheadAttention(64, 4), "xavier_uniform")["in_proj_weight"]
    separate = planned(nn.Linear(64, 64), "xavier_uniform")["weight"]
    assert packed.std == pytest.approx(separate.std, rel=1e-12)


def test_packed_projections_are_orthogonal_one_by_one() -> None:
    layer = applied(nn.MultiheadAttention(16, 4), "orthogonal")
    for block in layer.in_proj_weight.detach().chunk(3):
        torch.testing.assert_close(block @ block.t(), torch.eye(16), atol=1e-5, rtol=0)


def test_a_projection_of_own_width_has_its_own_fan() -> None:
    found = specs(nn.MultiheadAttention(8, 2, kdim=5, vdim=6))
    assert [fans(found[f"{x}_proj_weight"]).fan_in for x in "qkv"] == [8, 5, 6]


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_gates_are_blocks(kind: type[nn.RNNBase], gates: int) -> None:
    found = specs(kind(3, 4))
    blocks = (4,) * gates if gates > 1 else ()
    assert found["weight_ih_l0"].blocks == found["weight_hh_l0"].blocks == found["bias_ih_l0"].blocks == blocks
    assert (found["weight_ih_l0"].role, found["weight_hh_l0"].role) == ("dense", "recurrent")


def test_recurrent_weights_sit_between_their_own_activation() -> None:
    found = specs(nn.RNN(3, 4, num_layers=2, nonlinearity="relu"))
    assert (found["weight_hh_l0"].f_in, found["weight_ih_l1"].f_in, found["weight_ih_l0"].f_in) == (
        "relu",
        "relu",
        None,
    )


def test_a_bilinear_layer_sums_over_both_inputs() -> None:
    p = specs(nn.Bilinear(3, 4, 5))["weight"]
    assert (p.axes, fans(p).fan_in) == (Axes(inputs=(1, 2), outputs=(0,)), 12)


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
def test_a_padding_row_is_left_zero_and_the_plan_says_so(kind: type[nn.Module]) -> None:
    model = nn.Sequential(kind(9, 4, padding_idx=-1))
    plan = planned(model, "he_normal")
    applied(model, "he_normal")
    assert not model[0].weight[8].any()
    assert bool(model[0].weight[:8].all())
    assert "row 8 of 0.weight is padding and is set to zero" in plan.notes


def test_a_bias_knows_the_shape_of_its_layer() -> None:
    net = nn.ModuleList([nn.ConvTranspose2d(4, 6, 3, groups=2), nn.MultiheadAttention(6, 2), Conv1D(5, 6)])
    found = specs(net)
    assert found["0.bias"].layer_shape == (6, 2, 3, 3)
    assert found["1.in_proj_bias"].layer_shape == (18, 6)
    assert found["2.bias"].layer_shape == (5, 6)


@pytest.mark.parametrize(
    "wrap",
    [
        torch.nn.utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.spectral_norm,
        torch.nn.utils.parametrizations.orthogonal,
        torch.nn.utils.spectral_norm,
    ],
    ids=["weight_norm", "spectral_norm", "orthogonal", "spectral_norm by hook"],
)
def test_a_weight_that_its_module_computes_is_described_as_one(wrap) -> None:
    bare, net = (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), one(nn.Linear(4, 4))) for one in (lambda m: m, wrap))
    assert specs(net).keys() == specs(bare).keys()
    weight, plain = specs(net)["2.weight"], specs(bare)["2.weight"]
    is_divided = wrap in (torch.nn.utils.parametrizations.spectral_norm, torch.nn.utils.spectral_norm)
    assert weight == replace(plain, parts=weight.parts, is_divided=is_divided)
    assert set(weight.parts) == set(dict(net.named_parameters())) - set(dict(bare.named_parameters()))
    assert specs(net)["2.bias"] == specs(bare)["2.bias"]


def test_a_tied_weight_names_its_first_path() -> None:
    net = nn.ModuleDict({"embed": nn.Embedding(9, 4), "head": nn.Linear(4, 9, bias=False)})
    net["head"].weight = net["embed"].weight
    found = specs(net)
    assert (found["embed.weight"].tied_to, found["head.weight"].tied_to) == (None, "embed/weight")


def test_two_parameters_on_one_memory_are_tied() -> None:
    net = nn.ModuleDict({"a": nn.Linear(4, 9, bias=False), "b": nn.Linear(4, 9, bias=False)})
    net["b"].weight.data = net["a"].weight.data
    assert specs(net)["b.weight"].tied_to == "a/weight"


def test_a_view_of_a_part_of_a_parameter_is_not_tied_to_it() -> None:
    memory, net = torch.zeros(6, 4), nn.Module()
    net.whole, net.part, net.again = (nn.Parameter(view) for view in (memory, memory[:5], memory.view(2, 12)))
    assert {name: p.tied_to for name, p in specs(net).items()} == {"whole": None, "part": None, "again": "whole"}


def test_frozen_parameters_say_so() -> None:
    net = nn.Linear(3, 3)
    net.weight.requires_grad_(False)
    assert [p.frozen for p in ADAPTER.describe(net).params] == [True, False]


def test_orthogonal_groups_are_orthogonal_in_a_transposed_convolution() -> None:
    layer = nn.ConvTranspose1d(8, 8, 1, groups=2, bias=False)
    (p,) = ADAPTER.describe(layer).params
    ADAPTER.write(layer, p, WeightSource(Orthogonal(1.0), p, seed=0))
    rows = np.asarray(ADAPTER.read(layer, p)).reshape(8, 4)
    np.testing.assert_allclose(rows.T @ rows, np.eye(4), atol=1e-6)
