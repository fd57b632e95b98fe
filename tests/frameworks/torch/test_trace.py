"""What a trace sees: the activations around each weight, residual branches, and what it could not see."""

from __future__ import annotations

import pytest
import torch
from tests.frameworks.torch.models import Composed, Deep, ResNet18, Transformer, specs
from torch import nn
from torch.nn import functional

from initlab.core.errors import OptionError, ShapeError, UnknownNameError
from initlab.core.facts.spec import Axes, Branch
from initlab.frameworks.torch.adapter import ADAPTER
from initlab.theory import activation
from initlab.theory.expectations import value_moments

X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))

FUNCTIONS = {
    "F.relu": (functional.relu, "relu"),
    "torch.tanh": (torch.tanh, "tanh"),
    "a method": (lambda x: x.relu(), "relu"),
    "in place": (lambda x: functional.relu(x, inplace=True), "relu"),
    "an in-place method": (lambda x: x.sigmoid_(), "sigmoid"),
    "x sigmoid(x)": (lambda x: x * torch.sigmoid(x), "silu"),
    "x tanh(softplus(x))": (lambda x: x * torch.tanh(functional.softplus(x)), "mish"),
    "gelu": (functional.gelu, "gelu"),
    "gelu of tanh": (lambda x: functional.gelu(x, approximate="tanh"), "gelu_tanh"),
    "gelu written out": (
        lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
        "gelu_tanh",
    ),
    "quick gelu": (lambda x: x * torch.sigmoid(1.702 * x), "quick_gelu"),
    "leaky with a slope": (lambda x: functional.leaky_relu(x, 0.3), "leaky_relu(negative_slope=0.3)"),
    "leaky by where": (lambda x: torch.where(x > 0, x, 0.1 * x), "leaky_relu(negative_slope=0.1)"),
    "clamp": (lambda x: x.clamp(min=0), "relu"),
    "maximum": (lambda x: torch.maximum(x, torch.zeros_like(x[:1, :1])), "relu"),
    "squared relu": (lambda x: functional.relu(x) ** 2, "relu_squared"),
    "elu": (lambda x: functional.elu(x, alpha=0.5), "elu(alpha=0.5)"),
    "selu": (functional.selu, "selu"),
    "hardswish": (functional.hardswish, "hard_swish"),
    "sine": (torch.sin, "sin"),
    "dropout after": (lambda x: functional.dropout(functional.relu(x), 0.5), "relu"),
    "a view after": (lambda x: torch.tanh(x).reshape(3, 2, 4).flatten(1), "tanh"),
    "none": (lambda x: x, None),
}


@pytest.mark.parametrize(("f", "name"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_an_activation_is_seen_however_it_is_spelled(f, name: str | None) -> None:
    found = specs(Composed(f), example=X)
    assert (found["a.weight"].f_out, found["b.weight"].f_in) == (name, name)
    assert found["a.weight"].f_in is None
    assert found["b.weight"].f_out is None


MODULES = [
    (nn.ReLU(), "relu"),
    (nn.Tanh(), "tanh"),
    (nn.GELU(approximate="tanh"), "gelu_tanh"),
    (nn.SiLU(), "silu"),
    (nn.LeakyReLU(0.2), "leaky_relu(negative_slope=0.2)"),
    (nn.ELU(), "elu"),
    (nn.SELU(), "selu"),
    (nn.Softplus(beta=2), "softplus(beta=2.0)"),
    (nn.Hardtanh(-2, 2), "hard_tanh(max_val=2.0, min_val=-2.0)"),
    (nn.PReLU(), "leaky_relu(negative_slope=0.25)"),
    (nn.Mish(), "mish"),
    (nn.Sigmoid(), "sigmoid"),
]


@pytest.mark.parametrize(("module", "name"), MODULES, ids=[name for _, name in MODULES])
def test_recorded_and_symbolic_traces_agree_on_modules(module: nn.Module, name: str) -> None:
    net = nn.Sequential(nn.Linear(8, 8), module, nn.Dropout(0.3), nn.Linear(8, 2))
    for found in (specs(net), specs(net, example=X)):
        assert activation(found["0.weight"].f_out) is activation(found["3.weight"].f_in) is activation(name)


def test_all_twenty_functional_activations_are_seen_behind_a_data_dependent_if() -> None:
    found = specs(Deep(20, 8), example=X)
    assert [found[f"layers.{i}.weight"].f_out for i in range(20)] == ["relu"] * 20
    assert [found[f"layers.{i}.weight"].f_in for i in range(20)] == [None] + ["relu"] * 19


def test_without_an_example_a_forward_that_needs_numbers_is_declared_and_says_so() -> None:
    spec = ADAPTER.describe(Deep(2, 8))
    assert spec.fidelity == "declared"
    assert "give example=" in spec.notes[0]


def test_a_norm_layer_gives_its_successor_a_mean_square_of_one() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 8))
    for found in (specs(net), specs(net, example=X)):
        assert (found["3.weight"].f_in, found["3.weight"].in_moment) == (None, 1.0)


def test_a_norm_between_a_weight_and_its_activation_hides_nothing() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2)
    )
    for found in (specs(net), specs(net, example=torch.randn(2, 1, 8, 8))):
        assert (found["0.weight"].f_out, found["5.weight"].f_in) == ("relu", "relu")


class WrittenNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def test_a_norm_written_out_is_seen() -> None:
    found = specs(Composed(WrittenNorm()), example=X)
    assert (found["b.weight"].in_moment, found["a.weight"].f_out) == (1.0, None)
    assert found["f.weight"].role == "norm_scale"


class AroundOneNorm(nn.Module):
    """Keeps its scale as the distance from 1, as Gemma does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, (8,)) * (1.0 + self.weight)


def test_a_norm_scale_kept_as_its_distance_from_one_starts_at_zero() -> None:
    assert specs(Composed(AroundOneNorm()), example=X)["f.weight"].role == "norm_bias"


class Gated(nn.Module):
    """SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(functional.silu(self.gate(x)) * self.up(x))


def test_a_gated_product_has_the_product_of_the_mean_squares() -> None:
    found = specs(Gated(), example=X)
    assert found["down.weight"].in_moment == pytest.approx(value_moments(activation("silu"), 1.0).second)
    assert (found["gate.weight"].f_out, found["up.weight"].f_out) == ("silu", None)


def test_an_activation_without_a_name_gives_its_mean_square() -> None:
    found = specs(Composed(lambda x: 0.5 * functional.relu(x)), example=X)
    assert found["b.weight"].in_moment == pytest.approx(0.125)  # 1/4 of E relu(z)^2 = 1/2
    assert found["b.weight"].f_in is None


def test_what_is_not_known_is_said() -> None:
    spec = ADAPTER.describe(Composed(lambda x: torch.fft.fft(x).real), example=X)
    assert spec.fidelity == "partial"
    assert any("fft_fft: b.weight" in note for note in spec.notes)


def test_a_parameter_that_the_example_does_not_reach_is_said() -> None:
    net = Composed(torch.tanh)
    net.spare = nn.Linear(8, 8)
    spec = ADAPTER.describe(net, example=X)
    assert any(note.startswith("not seen in use: spare.weight") for note in spec.notes)


class Unrolled(nn.Module):
    """A recurrent net written as a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.again, self.out = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.zeros(len(x), 8)
        for step in x.unbind(1):
            h = torch.tanh(self.inner(step) + self.again(h))
        return self.out(h)


def test_a_weight_that_is_used_at_every_step_is_placed_where_it_mostly_stands() -> None:
    spec = ADAPTER.describe(Unrolled(), example=torch.randn(2, 5, 4))
    assert (spec["again/weight"].f_in, spec["again/weight"].f_out) == ("tanh", "tanh")
    assert all(p.branch is None for p in spec.params)
    assert any("the commonest counts: again.weight" in note for note in spec.notes)


class Concat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 24), nn.Linear(32, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(torch.cat([functional.relu(self.a(x)), self.b(x)], -1))


def test_a_concatenation_has_the_mean_of_the_mean_squares_of_its_entries() -> None:
    assert specs(Concat(), example=X)["c.weight"].in_moment == pytest.approx(0.875)  # 8 of 1/2 and 24 of 1
    assert specs(Concat())["c.weight"].in_moment == pytest.approx(0.75)  # no example, so no widths: 1/2 and 1


# Raw parameters, told by their use


class Raw(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, 4))
        self.b = nn.Parameter(torch.zeros(4))
        self.experts = nn.Parameter(torch.randn(3, 4, 5))
        self.gain = nn.Parameter(torch.ones(1))
        self.cls = nn.Parameter(torch.zeros(1, 1, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(x @ self.w + self.b) * self.gain
        h = torch.cat([self.cls.expand(3, -1, -1), h.unsqueeze(1)], 1)
        return torch.einsum("bti,eio->beto", h, self.experts)


def test_a_raw_parameter_gets_its_role_from_its_use() -> None:
    found = specs(Raw(), example=X)
    assert {name: p.role for name, p in found.items()} == {
        "w": "dense",
        "b": "bias",
        "experts": "dense",
        "gain": "scale",
        "cls": "embedding",
    }
    assert found["w"].axes == Axes(inputs=(0,), outputs=(1,))
    assert found["w"].f_out == "relu"


def test_an_einsum_kernel_has_its_axes_by_role() -> None:
    # The experts' letter is in no other operand, so it counts as an output.
    assert specs(Raw(), example=X)["experts"].axes == Axes(inputs=(1,), outputs=(0, 2))


def test_a_raw_parameter_that_nothing_was_seen_of_is_unknown() -> None:
    net = Raw()
    net.mystery = nn.Parameter(torch.zeros(3, 3))
    assert specs(net, example=X)["mystery"].role == "unknown"


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.projection, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.projection(x).chunk(3, dim=-1)
        return self.out(torch.softmax(q @ k.transpose(-1, -2), -1) @ v)


def test_a_projection_that_is_cut_in_three_has_three_blocks() -> None:
    assert specs(Packed(), example=X)["projection.weight"].blocks == (8, 8, 8)


def test_attention_written_out_passes_the_values_on() -> None:
    spec = ADAPTER.describe(Packed(), example=X)
    assert spec.fidelity == "traced"
    assert not any("not known" in note for note in spec.notes)


# Residual branches


@pytest.mark.parametrize("example", [None, torch.randn(1, 3, 32, 32)], ids=["symbolic", "recorded"])
def test_the_eight_branches_of_a_resnet_18_have_two_layers_each(example: torch.Tensor | None) -> None:
    found = specs(ResNet18(), example=example)
    for stage in range(1, 5):
        for block in range(2):
            name = f"layer{stage}.{block}"
            assert found[f"{name}.conv1.weight"].branch == Branch(1, 2, 8, is_last=False)
            assert found[f"{name}.conv2.weight"].branch == Branch(2, 2, 8, is_last=True, is_normed=True)
    outside = ("conv1.weight", "fc.weight", "layer2.0.downsample.0.weight")
    assert [found[name].branch for name in outside] == [None] * 3


def test_a_transformer_block_has_two_branches() -> None:
    found = specs(Transformer(2), example=torch.arange(8).reshape(2, 4))
    assert found["blocks.0.attn.in_proj_weight"].branch == Branch(1, 2, 4, is_last=False)
    assert found["blocks.0.attn.out_proj.weight"].branch == Branch(2, 2, 4, is_last=True)
    assert found["blocks.1.fc.weight"].branch == Branch(1, 2, 4, is_last=False)
    assert found["blocks.1.proj.weight"].branch == Branch(2, 2, 4, is_last=True)
    assert found["wte.weight"].branch is None


def test_a_branch_says_which_of_the_branches_it_is() -> None:
    found = specs(Transformer(3), example=torch.arange(8).reshape(2, 4))
    ends = [p.branch.index for p in found.values() if p.branch is not None and p.branch.is_last]
    inside = [p.branch.index for name, p in found.items() if p.branch is not None and name.endswith("fc.weight")]
    assert ends == [1, 2, 3, 4, 5, 6]
    assert inside == [2, 4, 6]


def test_a_sum_of_two_towers_is_no_residual_branch() -> None:
    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + self.b(x)

    assert all(p.branch is None for p in specs(Towers(), example=X).values())


# Overrides and examples


def test_an_override_by_module_wins_over_what_was_seen() -> None:
    found = specs(Composed(torch.tanh), example=X, overrides={"b": {"f_in": "gelu"}, "a.bias": {"frozen": True}})
    assert (found["b.weight"].f_in, found["a.bias"].frozen) == ("gelu", True)
    assert found["b.bias"].f_in is None


@pytest.mark.parametrize(
    ("overrides", "error", "text"),
    [
        ({"c*": {"f_in": "relu"}}, OptionError, "'c\\*' matches no parameter"),
        ({"a": {"fin": "relu"}}, UnknownNameError, "Did you mean 'f_in'"),
        ({"a": {"f_in": "rulu"}}, UnknownNameError, "Did you mean 'relu'"),
        ({"a": {"groups": 3}}, OptionError, "does not fit"),
    ],
)
def test_an_override_that_cannot_be_is_one_line(overrides, error, text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        ADAPTER.describe(Composed(torch.tanh), overrides=overrides)
    assert "\n" not in str(caught.value)


def test_an_example_of_the_wrong_shape_names_the_place_and_the_shape() -> None:
    with pytest.raises(ShapeError, match=r"does not take the example.*a\.weight.*\(3, 7\)") as caught:
        ADAPTER.describe(Composed(torch.tanh), example=torch.zeros(3, 7))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("example", [X, (X,), {"x": X}, X.numpy()], ids=["tensor", "tuple", "names", "array"])
def test_an_example_may_be_given_in_several_forms(example: object) -> None:
    assert specs(Composed(torch.tanh), example=example)["b.weight"].f_in == "tanh"


def test_a_tensor_computed_from_a_buffer_alone_does_not_stop_a_trace() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 2)
            self.register_buffer("var", torch.ones(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.relu(x / torch.sqrt(self.var + 1e-3)))

    net = Scaled()
    spec = ADAPTER.describe(net)
    assert (spec.fidelity, spec["fc/weight"].f_in) == ("traced", "relu")
    assert set(vars(net)) == set(vars(Scaled()))  # nothing that the trace computed is left on the model


# Paths


def test_a_norm_put_in_between_changes_no_path() -> None:
    plain = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    normed = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    assert [p.path for p in ADAPTER.describe(plain).params] == ["0/weight", "0/bias", "1/weight", "1/bias"]
    assert {"0/weight", "0/bias", "1/weight", "1/bias"} < {p.path for p in ADAPTER.describe(normed).params}


def test_an_example_changes_no_path() -> None:
    net = Transformer()
    with_one = {p.native: p.path for p in ADAPTER.describe(net, example=torch.ones(1, 3, dtype=torch.long)).params}
    assert with_one == {p.native: p.path for p in ADAPTER.describe(net).params}


def test_parameters_come_in_the_order_of_use() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(8, 2), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x))

    names = [p.native for p in ADAPTER.describe(Backwards(), example=X).params]
    assert names == ["first.weight", "first.bias", "last.weight", "last.bias"]


class Rows(nn.Module):
    """A table without a module of its own, whose rows the input picks, and a mean that is a sum by a number."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Parameter(torch.randn(11, 8)), nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.table[tokens].sum(1) / 5)


def test_rows_that_the_input_picks_from_a_parameter_make_it_a_table() -> None:
    assert specs(Rows(), example=torch.arange(10).reshape(2, 5))["table"].role == "embedding"
    assert specs(Rows())["table"].role == "embedding"


def test_a_sum_divided_by_its_number_keeps_the_size_of_its_entries() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), _Mean(), nn.Linear(8, 3))
    assert specs(net, example=torch.ones(2, 5, 8))["3.weight"].f_in == "relu"


class _Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(1) / 5
