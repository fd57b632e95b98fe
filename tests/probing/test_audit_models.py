"""Whole models with a planted fault, each beside a healthy twin that the audit is silent on."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import initlab
from initlab.api.auditing import audit, lock
from initlab.auditing.audit import audit_claims
from initlab.auditing.claims import recipe_claims
from initlab.auditing.grids import Values
from initlab.auditing.records import WIDTH, Audit
from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks import adapter_for
from initlab.recipes.book import declaration, declared_plan


def gpt2(seed: int = 0, *, tied: bool = True, layers: int = 4, width: int = 64) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        n_layer=layers,
        n_embd=width,
        n_head=4,
        vocab_size=200,
        n_positions=32,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=tied,
    )
    return GPT2LMHeadModel(config)


def wrong(found: Audit) -> set[str]:
    return {entry.native for entry in found.wrong}


@torch.no_grad()
def test_transformers_own_gpt2_is_healthy() -> None:
    found = audit(gpt2(), "gpt2")
    assert found.ok, str(found)
    assert {entry.verdict for entry in found} == {"ok"}


@torch.no_grad()
def test_projections_that_never_got_their_depth_scale_are_named() -> None:
    model = gpt2()
    for name, tensor in model.named_parameters():
        if name.endswith("c_proj.weight"):
            tensor.normal_(0.0, 0.02)
    found = audit(model, "gpt2")
    assert wrong(found) == {f"transformer.h.{i}.{part}.c_proj.weight" for i in range(4) for part in ("attn", "mlp")}
    entry = found["transformer.h.0.attn.c_proj.weight"]
    assert entry.why.endswith("never got its 1/sqrt(2L) = 0.3536, L = 4")
    assert entry.found == "looks like normal(std=0.02)"


@torch.no_grad()
def test_a_projection_that_was_scaled_twice_is_named() -> None:
    model = gpt2()
    model.get_parameter("transformer.h.1.mlp.c_proj.weight").mul_(1.0 / math.sqrt(8.0))
    found = audit(model, "gpt2")
    assert [entry.why.split(": ")[1] for entry in found.wrong] == ["got twice its 1/sqrt(2L) = 0.3536, L = 4"]


@torch.no_grad()
def test_a_layer_left_at_torchs_default_is_called_that() -> None:
    model = gpt2()
    weight = model.get_parameter("transformer.h.2.mlp.c_fc.weight")
    weight.copy_(nn.Linear(*weight.shape).weight.T)
    found = audit(model, "gpt2")
    assert wrong(found) == {"transformer.h.2.mlp.c_fc.weight"}
    assert found.wrong[0].found == "looks like torch's default, kaiming_uniform(a=sqrt(5))"


def test_a_head_that_lost_its_tie_is_found() -> None:
    found = audit(gpt2(tied=False), "gpt2")
    assert [(entry.native, entry.why) for entry in found.wrong] == [
        ("lm_head.weight", "shares no memory, and was to: transformer.wte.weight")
    ]


def test_a_tie_that_nobody_declared_is_found() -> None:
    model = gpt2()
    blocks = model.get_submodule("transformer.h")
    blocks.get_submodule("1.mlp.c_fc").weight = blocks.get_submodule("0.mlp.c_fc").weight
    found = audit(model, "gpt2")
    assert [entry.why for entry in found.wrong] == [
        "shares the memory of transformer.h.0.mlp.c_fc.weight, and was not to"
    ]


FAULTS: dict[str, tuple[str, Callable[[torch.Tensor], object], str]] = {
    "norm": ("transformer.h.0.ln_1.weight", lambda t: t.fill_(1.5), "no entry is constant 1, e.g. 1.5 for 1"),
    "bias": ("transformer.h.0.mlp.c_fc.bias", lambda t: t.fill_(0.01), "no entry is constant 0, e.g. 0.01 for 0"),
    "nan": ("transformer.h.3.attn.c_attn.weight", lambda t: t[0, 0].fill_(math.nan), "1 of 12288 entries are NaN"),
    "huge": ("transformer.h.0.attn.c_attn.weight", lambda t: t.mul_(1e30), "std"),
    "uniform": ("transformer.wte.weight", lambda t: t.uniform_(-0.03464, 0.03464), "not N(0, 0.02^2)"),
    "zero": ("transformer.h.1.mlp.c_fc.weight", lambda t: t.zero_(), "std 0, declared 0.02"),
    "std": ("transformer.h.1.attn.c_attn.weight", lambda t: t.mul_(1.06), "std 0.02"),
}


@pytest.mark.parametrize("fault", FAULTS)
@torch.no_grad()
def test_a_planted_fault_is_found_where_it_is_and_nowhere_else(fault: str) -> None:
    name, plant, words = FAULTS[fault]
    model = gpt2()
    plant(model.get_parameter(name))
    found = audit(model, "gpt2")
    assert wrong(found) == {name}
    assert words in found.wrong[0].why


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_a_healthy_model_in_another_type_is_healthy(dtype: torch.dtype) -> None:
    found = audit(gpt2().to(dtype), "gpt2")
    assert found.ok, str(found)


def test_a_healthy_gpt2_of_148_tensors_stays_silent() -> None:
    spec = adapter_for(model := gpt2(layers=12, width=16)).describe(model)
    given = declaration(spec, "gpt2")
    claims = recipe_claims(declared_plan(spec, given), spec, given)
    assert len(claims) == 149  # the head, which shares the memory of the embedding, is a name of its own
    generator = np.random.default_rng(0)

    def read(p: ParamSpec) -> Values:
        law = next(claim.law for claim in claims if claim.param is p)
        assert law is not None
        return (law.mean(p.shape) + law.std(p.shape) * generator.standard_normal(p.shape)).astype(np.float32)

    for _ in range(15):
        found = audit_claims("GPT-2", "gpt2", spec, claims, read)
        assert found.ok, str(found)
        assert found.limit > 4.0


def test_cloned_encoder_layers_are_found() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    found = audit(nn.TransformerEncoder(layer, 6, enable_nested_tensor=False), "torch")
    assert found.notes == ("the layers layers.0 to layers.5 are clones: 12 of 12 tensors identical",)
    assert found["layers.3.linear1.weight"].why == "a clone: equal to layers.0.linear1.weight in every entry"
    assert found["layers.0.linear1.weight"].verdict == "ok"


def test_encoder_layers_of_their_own_draws_are_healthy() -> None:
    torch.manual_seed(0)
    layers = [nn.TransformerEncoderLayer(32, 4, 64, batch_first=True) for _ in range(6)]
    found = audit(nn.Sequential(*layers), "torch")
    assert (found.ok, found.notes) == (True, ())


@torch.no_grad()
def test_a_padding_row_that_was_drawn_over_is_found() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(100, 32, padding_idx=3), nn.Linear(32, 5))
    assert audit(model, "torch").ok
    model[0].weight.normal_()
    assert [entry.why for entry in audit(model, "torch").wrong] == ["the padding row 3 is not zero"]


@torch.no_grad()
def test_a_broken_block_of_an_orthogonal_cell_is_found() -> None:
    model = initlab.initialize(nn.LSTM(16, 32), {"*hh*": "orthogonal", "*ih*": "glorot_uniform"}, seed=0)
    declared = {"*weight_hh*": "orthogonal", "*weight_ih*": "glorot_uniform"}
    assert audit(model, declared).ok
    nn.init.normal_(model.weight_hh_l0[32:64])
    assert [entry.why.split(":")[0] for entry in audit(model, declared).wrong] == ["block 1"]


def test_a_plan_that_was_applied_is_found_to_the_bit() -> None:
    model = nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 5))
    plan = initlab.plan(model, "he_normal")
    plan.apply(seed=7)
    assert audit(model, plan, seed=7).ok
    found = audit(model, plan, seed=8)
    assert found["0.weight"].why == "1200 of 1200 entries are not those of seed 8"
    assert found["0.weight"].found.startswith("the law, std")
    with torch.no_grad():
        model[2].weight[0, 0] += 1e-6
    assert audit(model, plan).ok
    assert audit(model, plan, seed=7)["2.weight"].why == "1 of 200 entries are not those of seed 7"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_narrow_draw_is_found_to_the_bit(dtype: torch.dtype) -> None:
    model = initlab.initialize(nn.Linear(30, 40).to(dtype), "glorot_uniform", seed=3)
    assert audit(model, "glorot_uniform", seed=3).ok
    assert not audit(model, "glorot_uniform", seed=4).ok


def test_what_is_kept_is_wrong_only_where_it_is_broken() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[0].requires_grad_(False)
    found = audit(model, "torch_default")
    assert (found["0.weight"].verdict, found["1.weight"].verdict) == ("kept", "ok")
    with torch.no_grad():
        model[0].weight[0, 0] = math.inf
    assert audit(model, "torch_default")["0.weight"].why == "1 entries are NaN or infinite"


def test_an_empty_parameter_is_right() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    model.extra = nn.Parameter(torch.zeros(0, 5))
    assert audit(model, "torch").ok


def test_complex_numbers_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    model.phases = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    assert audit(model, "torch")["phases"].verdict == "kept"
    assert {p.name: p.laws for p in lock(model, None).parameters}["phases"] == ()


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.ModuleList(nn.Linear(64, 64) for _ in range(4))
        self.outside = nn.ModuleList(nn.Linear(64, 64) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for inside, outside in zip(self.inside, self.outside, strict=True):
            x = x + outside(inside(x).relu())
        return x


def test_a_depth_factor_that_nobody_declared_is_named() -> None:
    model, x = initlab.initialize(Residual(), "he_normal", seed=0), torch.zeros(2, 64)
    assert audit(model, "he_normal", example=x).ok
    with torch.no_grad():
        model.outside[1].weight.mul_(0.5)
    entry = audit(model, "he_normal", example=x)["outside.1.weight"]
    assert entry.why.endswith("smaller by 1/sqrt(4), the scale of 4 residual branches")


def test_an_untied_head_differs_from_the_plan_it_was_made_with() -> None:
    model = gpt2()
    plan = initlab.plan(model, "normal(std=0.02)")
    plan.apply(seed=0)
    assert audit(model, plan).ok
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    assert wrong(audit(model, plan)) == {"lm_head.weight"}


def test_an_audit_changes_neither_the_model_nor_a_generator() -> None:
    model = gpt2()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    audit(model, "gpt2")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@torch.no_grad()
def test_the_printed_audit_fits_80_columns_and_tells_the_worst_first() -> None:
    model = gpt2()
    for name, tensor in model.named_parameters():
        if name.endswith("c_proj.weight"):
            tensor.normal_(0.0, 0.02)
    model.get_parameter("transformer.h.1.ln_2.weight").fill_(2.0)
    lines = str(audit(model, "gpt2")).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[0] == "audit of GPT2LMHeadModel against gpt2: 9 of 53 parameters are wrong"
    assert lines[1] == "wrong    transformer.h.1.ln_2.weight"
    assert "transformer.h.*.mlp.c_proj.weight (4 of them)" in lines[4]
    assert lines[-1] == "ok       44 of 53"


@torch.no_grad()
def test_assert_ok_says_in_one_line_what_is_wrong() -> None:
    model = gpt2()
    audit(model, "gpt2").assert_ok()
    model.get_parameter("transformer.h.1.ln_2.weight").fill_(2.0)
    with pytest.raises(InitlabError, match=r"1 of 53 parameters is wrong: transformer\.h\.1\.ln_2\.weight") as raised:
        audit(model, "gpt2").assert_ok()
    assert "\n" not in str(raised.value)


def test_names_in_the_notebook_table_are_escaped() -> None:
    model = nn.Sequential()
    model.add_module("<b>", nn.Linear(4, 4))
    assert "<b>" not in audit(model, "he_normal")._repr_html_()


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ("gpt2", r"the recipe 'gpt2' does not find its places.*it looked for '\*attn"),
        ("he_norml", r"unknown recipe or scheme 'he_norml': Did you mean 'he_normal'"),
        ("siren(omega=-1)", r"omega=-1 is not allowed \(siren\)"),
        ("siren(std=1)", r"the recipe siren has no option 'std': its options: omega"),
        ({"x*": "zeros"}, r"the pattern 'x\*' matches no parameter"),
        (3, r"a value of type int declares nothing"),
        ("gone.json", r"cannot read the lock file: No such file or directory \(gone.json\)"),
    ],
    ids=str,
)
def test_a_declaration_that_says_nothing_is_one_line(declared: object, words: str) -> None:
    with pytest.raises(InitlabError, match=words) as raised:
        audit(nn.Linear(4, 3), declared)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_a_plan_of_another_model_is_refused_with_the_first_difference() -> None:
    plan = initlab.plan(nn.Linear(4, 3), "he_normal")
    with pytest.raises(OptionError, match=r"the plan is of another model: it has 'weight' of shape \(3, 4\)"):
        audit(nn.Linear(5, 3), plan)


def test_a_keras_model_is_audited_alike() -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((12,)), layers.Dense(64, "relu"), layers.LayerNormalization(), layers.Dense(3)]
    )
    found = audit(model, "keras")
    assert found.ok, str(found)
    model.layers[0].kernel.assign(np.random.default_rng(0).normal(0.0, 0.02, (12, 64)))
    found = audit(model, "keras")
    assert [entry.found for entry in found.wrong] == ["looks like normal(std=0.02)"]
