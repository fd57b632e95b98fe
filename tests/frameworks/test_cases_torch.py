"""Cases on real PyTorch models, by the public verbs: numbers that are known, and input that must change nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from tests.frameworks.torch.models import BasicBlock, Block, ResNet18, digest
from torch import nn

import initlab
from initlab.core.laws import Constant, Law
from initlab.frameworks.torch.adapter import ADAPTER
from initlab.theory.chain import Limits

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(48, 96),
    "conv2d": lambda: nn.Conv2d(16, 24, 3),
    "conv2d in groups": lambda: nn.Conv2d(32, 48, 3, groups=4),
    "depthwise": lambda: nn.Conv2d(256, 256, 3, groups=256),
    "conv2d transposed": lambda: nn.ConvTranspose2d(16, 24, 4, stride=2),
    "conv1d transposed, in groups": lambda: nn.ConvTranspose1d(24, 800, 3, groups=4),
    "bilinear": lambda: nn.Bilinear(16, 25, 60),
    "embedding": lambda: nn.Embedding(200, 40),
    "rnn": lambda: nn.RNN(24, 48),
    "lstm": lambda: nn.LSTM(24, 48),
    "lstm with a projection": lambda: nn.LSTM(24, 48, 2, proj_size=12, bidirectional=True),
    "gru": lambda: nn.GRU(24, 48),
    "gru cell": lambda: nn.GRUCell(24, 48),
    "attention": lambda: nn.MultiheadAttention(48, 4, add_bias_kv=True),
    "attention of other keys and values": lambda: nn.MultiheadAttention(48, 4, kdim=24, vdim=96),
}

# Half the width of each uniform law, by hand from torch's reset_parameters; None: all entries are 0.
BOUNDS: dict[str, dict[str, float | None]] = {
    "conv2d transposed": {"weight": (24 * 16) ** -0.5, "bias": (24 * 16) ** -0.5},
    "conv1d transposed, in groups": {"weight": (200 * 3) ** -0.5, "bias": (200 * 3) ** -0.5},
    "bilinear": {"weight": 0.25, "bias": 0.25},
    "lstm with a projection": {
        name + way: 48**-0.5
        for name in ("weight_ih_l0", "weight_hh_l0", "weight_hr_l0", "weight_ih_l1", "bias_ih_l1", "bias_hh_l1")
        for way in ("", "_reverse")
    },
    "attention": {
        "in_proj_weight": (6 / (48 + 144)) ** 0.5,
        "in_proj_bias": None,
        "out_proj.weight": 48**-0.5,
        "out_proj.bias": None,
    },
    "attention of other keys and values": {
        "q_proj_weight": (6 / 96) ** 0.5,
        "k_proj_weight": (6 / 72) ** 0.5,
        "v_proj_weight": (6 / 144) ** 0.5,
    },
}


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def assert_drawn_from(sample: np.ndarray, law: Law, shape: tuple[int, ...]) -> None:
    """Kolmogorov-Smirnov at one in a million, and no entry beyond the bounds."""
    assert stats.kstest(sample.ravel(), lambda x: law.cdf(x, shape)).pvalue > 1e-6
    low, high = law.bounds(shape)
    assert low * (1 + 1e-6) <= sample.min()
    assert sample.max() <= high * (1 + 1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_torch_default_is_the_law_of_what_torch_draws(kind: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    rows = list(initlab.plan(layer, "torch_default"))
    assert all(row.action == "initialise" for row in rows)
    for row in rows:
        assert row.law is not None
        drawn = np.asarray(ADAPTER.read(layer, row.param), float)
        if row.std == 0.0:
            assert not drawn.any()
        else:
            assert_drawn_from(drawn, row.law, row.param.shape)


@pytest.mark.parametrize("kind", BOUNDS)
def test_torch_default_has_the_bounds_that_torchs_source_gives(kind: str) -> None:
    plan = initlab.plan(LAYERS[kind](), "torch_default")
    for name, bound in BOUNDS[kind].items():
        law, shape = plan[name].law, plan[name].param.shape
        assert law is not None
        assert law.bounds(shape) == pytest.approx((-bound, bound) if bound else (0.0, 0.0), rel=1e-12)


def test_torch_default_draws_the_learned_key_of_attention_with_std_one_over_the_root_of_its_width() -> None:
    """xavier_normal_ of (1, 1, 48): sqrt(2 / (48 + 48))."""
    assert initlab.plan(LAYERS["attention"](), "torch_default")["bias_k"].std == pytest.approx(48**-0.5)


def test_torch_default_keeps_the_padding_row_of_a_standard_normal_table() -> None:
    table = initlab.initialize(nn.Embedding(500, 40, padding_idx=3), "torch_default", seed=0)
    assert not table.weight[3].any()
    assert table.weight[4:].std().item() == pytest.approx(1.0, abs=5 / (2 * 496 * 40) ** 0.5)


def test_a_depthwise_he_normal_of_fan_out_has_std_0471() -> None:
    layer = nn.Conv2d(256, 256, 3, groups=256)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    assert layer.weight.std().item() == pytest.approx(0.0295, abs=5 * 0.0295 / (2 * 2304) ** 0.5)
    initlab.initialize(layer, "he_normal(mode=fan_out)", seed=0)
    # sqrt(2 / 9), measured on 2304 entries
    assert layer.weight.std().item() == pytest.approx(0.4714, abs=5 * 0.4714 / (2 * 2304) ** 0.5)


@pytest.mark.parametrize("name", ["glorot_uniform", "he_normal", "lecun_normal"])
def test_packed_projections_have_the_measured_std_of_separate_ones(name: str) -> None:
    packed = initlab.initialize(nn.MultiheadAttention(64, 4), name, seed=0)
    separate = initlab.initialize(nn.ModuleList(nn.Linear(64, 64) for _ in range(3)), name, seed=0)
    for part, layer in zip(packed.in_proj_weight.reshape(3, 64, 64), separate, strict=True):
        # two measured stds of 4096 entries each
        assert part.std().item() == pytest.approx(layer.weight.std().item(), rel=5 * (2 / (2 * 4096)) ** 0.5)


class Stream(nn.Module):
    """Pre-LN blocks on a stream of variance 1; it keeps the variance behind each block."""

    def __init__(self, blocks: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.variances: list[float] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.variances = []
        for block in self.blocks:
            x = block(x)
            self.variances.append(float(x.detach().var()))
        return x


@pytest.mark.parametrize("blocks", [4, 16, 64])
def test_the_measured_stream_of_a_pre_ln_transformer_stays_between_one_and_two(blocks: int) -> None:
    x = torch.randn(4, 16, 64, generator=torch.Generator().manual_seed(1))
    x = (x - x.mean()) / x.std()
    model = initlab.initialize(Stream(blocks, 64), "auto", seed=0, example=x)
    with torch.no_grad():
        model(x)
    assert min(model.variances) > 0.95  # the first block's branch may be correlated with the stream by chance
    assert max(model.variances) < 2.0


class Stage(nn.Module):
    """The blocks of one stage of a ResNet; it keeps the mean square of each block's sum, before its ReLU."""

    def __init__(self, blocks: int, width: int) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList(BasicBlock(width, width, 1) for _ in range(blocks))
        self.fc = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean((2, 3)))


def stream_of(model: nn.Module, x: torch.Tensor) -> list[float]:
    """The mean square of what enters the ReLU behind each residual sum, in training."""
    found: list[float] = []
    blocks = [module for module in model.modules() if isinstance(module, BasicBlock)]
    hooks = [
        block.relu.register_forward_pre_hook(lambda _, given: found.append(float(given[0].detach().pow(2).mean())))
        for block in blocks
    ]
    model.train()(x)
    for hook in hooks:
        hook.remove()
    return found[1::2]  # the first ReLU of a block stands inside its branch


@pytest.mark.parametrize("blocks", [4, 16, 32])
def test_the_measured_stream_of_a_resnet_with_batch_norm_at_most_doubles(blocks: int) -> None:
    """E[relu(z)^2] = 1/2, to which the branches add 1/2; with scales of 1 they add ``blocks``."""
    x = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    model = initlab.initialize(Stage(blocks, 16), "auto", seed=0, example=x)
    found = stream_of(model, x)
    assert min(found) > 0.45
    assert max(found) < 1.15
    for block in model.blocks:
        nn.init.ones_(block.bn2.weight)
    assert stream_of(model, x)[-1] > 0.4 * blocks


def test_a_resnet_18_gets_the_scale_of_its_branches_in_its_norms() -> None:
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    model = ResNet18()
    plan = initlab.plan(model, "auto", example=x)
    plan.apply(0)
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        for block in stage:
            assert bool((block.bn2.weight == 0.25).all())  # 1 / sqrt(2 * 8)
            assert bool((block.bn1.weight == 1.0).all())
            out, inside = block.conv2.weight.shape[:2]
            std = (2 / (9 * inside)) ** 0.5
            assert block.conv2.weight.std().item() == pytest.approx(std, abs=5 * std / (18 * inside * out) ** 0.5)
    assert "residual branches" in plan["layer2.0.bn2.weight"].why


def test_a_zero_scale_at_the_end_of_a_branch_is_kept() -> None:
    model = ResNet18()
    nn.init.zeros_(model.layer1[0].bn2.weight)
    row = initlab.plan(model, "auto", example=torch.zeros(1, 3, 32, 32))["layer1.0.bn2.weight"]
    assert (row.action, row.law) == ("keep", None)


class PostNorm(nn.Module):
    """Branches that end in a norm, built in or written by hand, or in an activation."""

    def __init__(self, ends: list[nn.Module]) -> None:
        super().__init__()
        self.fc = nn.ModuleList(nn.Linear(64, 64) for _ in ends)
        self.ends = nn.ModuleList(ends)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for fc, end in zip(self.fc, self.ends, strict=True):
            x = x + end(fc(x))
        return x


class OwnBatchNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - x.mean(0)) / (x.var(0) + 1e-5).sqrt() * self.weight + self.bias


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.BatchNorm1d, nn.RMSNorm, OwnBatchNorm])
@pytest.mark.parametrize("has_example", [True, False])
def test_any_norm_at_the_end_of_a_branch_takes_its_scale(norm: Callable[[int], nn.Module], has_example: bool) -> None:
    model = PostNorm([norm(64), norm(64)])
    plan = initlab.plan(model, "auto", example=torch.randn(8, 64) if has_example else None)
    assert [plan[f"ends.{k}.weight"].law for k in range(2)] == [Constant(0.5)] * 2  # 1 / sqrt(2 * 2)
    assert plan["fc.1.weight"].std == pytest.approx(1 / 8)


@pytest.mark.parametrize(
    ("norm", "kind"),
    [
        (nn.BatchNorm1d(8), "batch"),
        (nn.LayerNorm(8), "layer"),
        (nn.RMSNorm(8), "layer"),
        (nn.GroupNorm(2, 8), "layer"),
        (OwnBatchNorm(8), "batch"),
        (nn.Identity(), None),
    ],
)
@pytest.mark.parametrize("has_example", [True, False])
def test_the_norm_behind_a_weight_is_seen_with_its_kind(norm: nn.Module, kind: str | None, has_example: bool) -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1), norm, nn.ReLU(), nn.Linear(8, 3))
    described = ADAPTER.describe(model, example=torch.randn(4, 8) if has_example else None)
    assert [p.norm for p in described.params if p.is_weight] == [kind, None]


def test_a_norm_that_takes_a_stream_beside_others_is_not_behind_its_weight() -> None:
    class PreNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.ln, self.fc = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            return x + self.fc(self.ln(x))

    assert [p.norm for p in ADAPTER.describe(PreNorm()).params if p.is_weight] == [None, None]


def test_the_scale_of_a_norm_has_the_path_that_the_other_frameworks_give_it() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    assert [p.path for p in ADAPTER.describe(model).params if p.role == "norm_scale"] == ["undrawn_0/scale"]


def test_an_activation_before_the_sum_has_a_mean_that_counts_and_one_behind_it_has_not() -> None:
    class Behind(PostNorm):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for fc, end in zip(self.fc, self.ends, strict=True):
                x = end(x + fc(x))
            return x

    before, behind = (
        initlab.plan(kind([nn.ReLU(), nn.ReLU()]), "auto", example=torch.randn(8, 64)) for kind in (PostNorm, Behind)
    )
    # 1 / sqrt(2 L (1 + (L - 1) m^2)), m^2 = (E relu)^2 / E relu^2 = 1 / pi
    assert before["fc.0.weight"].std == pytest.approx((64 * 4 * (1 + 1 / np.pi)) ** -0.5)
    assert behind["fc.0.weight"].std == pytest.approx((64 * 4) ** -0.5)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
}


def last_over_first(model: nn.Sequential, seed: int) -> tuple[float, float, float]:
    """E[z^2] of the last layer by the first, the squared gradient of the first by the last, and 1 - c at the end."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(128, 256, generator=generator)
    seen = []
    for layer in model[:-1]:
        h = layer(h)
        if isinstance(layer, nn.Linear):
            h.retain_grad()
            seen.append(h)
    (model[-1](h) * torch.randn(128, 10, generator=generator)).sum().backward()
    power = [float(z.detach().pow(2).mean()) for z in seen]
    slope = [float(z.grad.pow(2).mean()) for z in seen if z.grad is not None]
    unit = nn.functional.normalize(seen[-1].detach(), dim=1)
    alike = (float((unit @ unit.T).sum()) - 128) / (128 * 127)
    return power[-1] / power[0], slope[0] / slope[-1], 1 - alike


@pytest.mark.parametrize("depth", [3, 20, 50])
@pytest.mark.parametrize("f", ACTIVATIONS)
def test_auto_holds_a_real_net_within_the_limits_or_has_said_that_it_does_not(f: str, depth: int) -> None:
    hidden = [module for _ in range(depth) for module in (nn.Linear(256, 256), ACTIVATIONS[f]())]
    model, limits = nn.Sequential(*hidden, nn.Linear(256, 10)), Limits()
    plan = initlab.plan(model, "auto", example=torch.zeros(2, 256))
    plan.apply(0)
    signal, gradient, apart = last_over_first(model, 0)
    is_held = all(1 / limits.ratio < x < limits.ratio for x in (signal, gradient)) and apart > limits.separation
    assert is_held or plan.notes


def test_buffers_stay_to_the_bit() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3))
    model(torch.randn(4, 3, 8, 8))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    initlab.initialize(model, "he_normal", seed=0, example=torch.randn(2, 3, 8, 8))
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())


def test_a_parameter_of_unknown_role_has_a_row_and_keeps_its_value() -> None:
    model = net()
    model.register_parameter("mystery", nn.Parameter(torch.full((3, 5, 2), 7.0)))
    with pytest.warns(initlab.IncompleteWarning, match="unknown role"):
        initlab.initialize(model, "he_normal", seed=0)
    row = initlab.plan(model, "he_normal")["mystery"]
    assert (row.action, row.why) == ("keep", "role unknown")
    assert bool((model.mystery == 7.0).all())


def test_every_row_of_a_printed_plan_says_role_shape_fan_activations_law_std_action_and_why() -> None:
    text = initlab.plan(net(), "he_normal").text(width=120)
    header, first, *_ = text.splitlines()
    assert header.split() == ["parameter", "role", "shape", "fan", "from", "->", "to", "action", "law", "std", "why"]
    assert first.split()[:7] == ["0.weight", "dense", "8x4", "4", "-", "->", "relu"]


def test_an_override_says_what_a_trace_could_not_see() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.from_numpy(np.sort(self.a(x).detach().numpy())))

    model, x = Hidden(), torch.randn(4, 8)
    plan = initlab.plan(model, "exact_gain_normal", example=x, overrides={"b*": {"f_in": "gelu"}})
    # 1 / sqrt(8 E gelu(z)^2), E gelu(z)^2 = 0.42521
    assert plan["b.weight"].std == pytest.approx((8 * 0.4252145) ** -0.5, rel=1e-5)


def two_schemes_for_one() -> nn.Module:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    model[1].weight = model[0].weight
    return model


def of_whole_numbers() -> nn.Module:
    model = net()
    model.codes = nn.Parameter(torch.ones(3, 3, dtype=torch.int8), requires_grad=False)
    return model


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return net()


BAD: dict[str, tuple[Callable[[], nn.Module], object, dict[str, object], str]] = {
    "no parameters": (lambda: nn.Sequential(nn.ReLU()), "he_normal", {}, "no parameters"),
    "wrong example": (net, "he_normal", {"example": torch.ones(2, 5)}, r"\(2, 5\)"),
    "no match": (net, {"7.*": "zeros"}, {}, "matches no parameter"),
    "no include": (net, "zeros", {"include": "seven"}, "matches no parameter"),
    "a number to include": (net, "zeros", {"include": 3}, "3 is no glob"),
    "a number to exclude": (net, "zeros", {"exclude": [3]}, "is no glob"),
    "misfit": (net, {"*": "he_normal", "2.weight": "dirac"}, {}, r"2\.weight"),
    "unknown scheme": (net, "he_norml", {}, "Did you mean"),
    "bad seed": (net, "he_normal", {"seed": -1}, "seed"),
    "tied": (two_schemes_for_one, {"0.*": "normal(std=1.0)", "1.*": "zeros"}, {}, "two schemes"),
    "whole numbers": (of_whole_numbers, "he_normal", {}, "int8"),
    "meta": (on_meta, "he_normal", {}, "materialize"),
    "bad override": (net, "auto", {"overrides": {"0*": {"f_in": "swooosh"}}}, "swooosh"),
    "no scheme": (net, None, {}, "None is not the name of a scheme"),
    "a number for a scheme": (net, {"0.*": 3}, {}, "3 is not the name of a scheme"),
    "a number for a pattern": (net, {3: "zeros"}, {}, "3 is no pattern"),
    "no such fact": (net, "auto", {"overrides": {"0*": {"colour": "red"}}}, "colour"),
    "overrides that are a number": (net, "auto", {"overrides": 3}, "3 is no mapping"),
    "facts that are a name": (net, "auto", {"overrides": {"0*": "gelu"}}, "'gelu' is no mapping of facts"),
    "a pattern that is a number": (net, "auto", {"overrides": {3: {"f_in": "gelu"}}}, "3 is no pattern"),
    "a fact of another type": (net, "auto", {"overrides": {"0*": {"groups": "two"}}}, "groups cannot be 'two'"),
    "a moment of zero": (net, "auto", {"overrides": {"0*": {"in_moment": 0}}}, "in_moment cannot be 0"),
}


@pytest.mark.parametrize(("build", "schemes", "options", "text"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_changes_no_bit(build, schemes, options, text: str) -> None:
    model = build()
    before, state = digest(model), torch.get_rng_state()
    with pytest.raises(initlab.InitlabError, match=text) as caught:
        initlab.initialize(model, schemes, **{"seed": 0, **options})
    assert "\n" not in str(caught.value)
    assert digest(model) == before
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_model_is_refused_and_changes_no_number() -> None:
    model = torch.ao.quantization.quantize_dynamic(net(), {nn.Linear})
    x = torch.ones(2, 4)
    before = model(x)
    with pytest.raises(initlab.InitlabError, match="are neither drawn nor probed"):
        initlab.initialize(model, "he_normal", seed=0)
    assert torch.equal(model(x), before)


@pytest.mark.parametrize("thing", [3, "model", None, [nn.Linear(2, 2)], nn.Linear])
def test_what_is_no_model_is_refused_in_one_line(thing: object) -> None:
    with pytest.raises(initlab.InitlabError, match="not a model") as caught:
        initlab.initialize(thing, "he_normal", seed=0)
    assert "\n" not in str(caught.value)


def test_a_torch_model_imports_no_other_framework() -> None:
    code = (
        "import sys, torch, initlab; initlab.initialize(torch.nn.Linear(2, 3), seed=0);"
        "print([name for name in ('keras', 'jax', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_table_gets_its_frameworks_default_and_keeps_its_padding_row() -> None:
    table = initlab.initialize(nn.Embedding(500, 40, padding_idx=3), "keras_default", seed=0)
    assert not table.weight[3].any()
    assert 0.0499 < table.weight.abs().max().item() <= 0.05


def test_a_named_scheme_leaves_tables_to_their_role() -> None:
    table = nn.Sequential(nn.Embedding(500, 40), nn.Linear(40, 3))
    assert initlab.plan(table, "he_normal")["0.weight"].std == 0.02
