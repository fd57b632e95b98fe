"""``auto``: real NumPy nets stay within the limits, or a note was made."""

from __future__ import annotations

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from initlab.core.facts.arch import Mlp
from initlab.core.facts.spec import Branch, ModelSpec, ParamSpec
from initlab.core.laws import Constant, Normal
from initlab.core.plans.plan import Consent, Plan, make_plan
from initlab.schemes import SCHEMES, scheme
from initlab.schemes.rules import make_rules
from initlab.theory import activation
from initlab.theory.chain import ChainLayer, chain_signals

Weights = dict[str, NDArray[np.float32]]


EDGE_WEIGHT, EDGE_BIAS = 1.393961628314, 0.008125154162


def planned(model: ModelSpec, schemes: str | dict[str, str] = "auto") -> Plan:
    rules, notes = make_rules(model, schemes)
    return make_plan(model, rules, notes=notes)


def deep(f: str, depth: int, *, width: int = 256, bias: bool = True) -> ModelSpec:
    return Mlp((width, *(width,) * depth, 10), activation=f, bias=bias).spec()


def signals(f: str, w: Weights, depth: int, seed: int) -> tuple[float, float, float]:
    """Last over first E[z^2], first over last squared gradient, and the least 1 - c, on a real net."""
    act, rng = activation(f), np.random.default_rng(seed)
    a = rng.standard_normal((16, w["0/weight"].shape[1]))
    zs = []
    for layer in range(depth):
        zs.append(a @ w[f"{layer}/weight"].T + w[f"{layer}/bias"])
        a = act(zs[-1])
    last = back = rng.standard_normal(a.shape) * act.slope(zs[-1])
    for layer in range(depth - 1, 0, -1):
        back = (back @ w[f"{layer}/weight"]) * act.slope(zs[layer - 1])
    unit = zs[-1] / np.linalg.norm(zs[-1], axis=1, keepdims=True)
    apart = 1.0 - (unit @ unit.T)[np.triu_indices(len(unit), 1)].mean()
    return float(np.mean(zs[-1] ** 2) / np.mean(zs[0] ** 2)), float(np.mean(back**2) / np.mean(last**2)), float(apart)


@pytest.mark.parametrize("depth", [3, 20, 50])
@pytest.mark.parametrize("f", ["relu", "leaky_relu", "tanh", "gelu", "silu", "elu", "selu", "sigmoid"])
def test_real_nets_stay_within_the_limits_or_a_note_was_made(f: str, depth: int) -> None:
    plan = planned(deep(f, depth))
    if plan.notes:
        return
    for seed in range(3):
        signal, gradient, apart = signals(f, plan.draw(seed), depth, seed)
        assert 0.1 < signal < 10.0
        assert 0.1 < gradient < 10.0
        assert apart > 1e-3


@pytest.mark.parametrize(("f", "depth"), [("relu", 50), ("tanh", 50), ("gelu", 50), ("silu", 50), ("sigmoid", 3)])
def test_no_note_is_made_where_a_candidate_holds(f: str, depth: int) -> None:
    assert planned(deep(f, depth)).notes == ()


def test_relu_gets_he() -> None:
    assert planned(deep("relu", 20))["7/weight"].std == pytest.approx(sqrt(2.0 / 256))


def test_a_shallow_tanh_net_gets_the_forward_gain_and_a_deep_one_the_edge_of_chaos_with_its_biases() -> None:
    shallow, far = planned(deep("tanh", 3)), planned(deep("tanh", 20))
    assert shallow["1/weight"].std == pytest.approx(1.5925374197 / 16)
    assert shallow["1/bias"].law == Constant(0.0)
    # At q = 1/4, 1 / E tanh'(z/2)^2 and q - E tanh(z/2)^2 / E tanh'(z/2)^2, by mpmath.
    assert far["1/weight"].std == pytest.approx(sqrt(EDGE_WEIGHT) / 16)
    assert far["1/bias"].std == pytest.approx(sqrt(EDGE_BIAS))


def test_a_deep_tanh_net_on_the_edge_of_chaos_is_orthogonal_and_keeps_inputs_apart() -> None:
    made = planned(deep("tanh", 50))
    assert made["1/weight"].law.family == "orthogonal"
    assert not made.notes


def test_without_biases_a_deep_silu_net_gets_a_note_with_the_layer_and_the_way_out() -> None:
    (note,) = planned(deep("silu", 50, bias=False)).notes
    assert "layer 37 ('36/weight')" in note
    assert "biases" in note


def test_frozen_biases_bar_the_edge_of_chaos() -> None:
    spec = deep("tanh", 50)
    held = ModelSpec(tuple(replace(p, frozen=p.role == "bias") for p in spec.params))
    assert "edge" in planned(spec)["1/weight"].why
    assert "backward gain" in planned(held)["1/weight"].why
    assert "biases" in planned(held).notes[0]


def test_a_narrow_deep_net_is_told_to_be_wider() -> None:
    (note,) = planned(deep("relu", 50, width=16)).notes
    assert "wider layers" in note


def test_an_output_layer_starts_one_percent_above_the_loss_of_equal_guesses() -> None:
    plan = planned(Mlp((64, 512, 512, 10)).spec())
    losses = []
    for seed in range(20):
        w, rng = plan.draw(seed), np.random.default_rng(seed)
        a = rng.standard_normal((200, 64))
        for layer in range(2):
            a = np.maximum(a @ w[f"{layer}/weight"].T, 0.0)
        logits = a @ w["2/weight"].T
        losses.append(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[:, 0]))
    assert np.mean(losses) == pytest.approx(1.01 * log(10), abs=5 * np.std(losses) / sqrt(20))
    assert "1 % above ln 10" in plan["2/weight"].why


def test_a_normalised_input_gets_gain_one() -> None:
    spec = ModelSpec((ParamSpec(path="fc/weight", shape=(8, 100), in_moment=1.0, f_out="gelu"),))
    assert planned(spec)["fc/weight"].std == pytest.approx(0.1)


def test_behind_a_pooling_the_weights_make_up_for_what_it_took() -> None:
    params = (
        ParamSpec(path="0/weight", shape=(100, 100), f_out="relu"),
        ParamSpec(path="1/weight", shape=(100, 100), f_in="relu", in_moment=0.25, f_out="relu"),
    )
    assert planned(ModelSpec(params))["1/weight"].std == pytest.approx(2.0 / 10)


def test_transposed_convolutions_keep_the_signal() -> None:
    """16 inputs x 16 taps / stride 4 = 64 terms meet in each output."""
    kernel = {"shape": (16, 16, 4, 4), "role": "conv_transpose", "stride": (2, 2), "f_out": "relu"}
    params = [ParamSpec(path=f"{k}/weight", f_in="relu" if k else None, **kernel) for k in range(4)]
    stds = [entry.std for entry in planned(ModelSpec(tuple(params)))]
    assert stds == pytest.approx([sqrt(1 / 64), *[sqrt(2 / 64)] * 3])


def transformer(blocks: int, width: int = 64) -> ModelSpec:
    params = []
    for k in range(blocks):
        inside, end = Branch(1, 2, 2 * blocks, is_last=False), Branch(2, 2, 2 * blocks, is_last=True)
        sizes = (width,) * 3
        params += [
            ParamSpec(path=f"{k}/qkv", shape=(3 * width, width), blocks=sizes, in_moment=1.0, branch=inside),
            ParamSpec(path=f"{k}/out", shape=(width, width), branch=end),
            ParamSpec(path=f"{k}/up", shape=(4 * width, width), in_moment=1.0, f_out="gelu", branch=inside),
            ParamSpec(path=f"{k}/down", shape=(width, 4 * width), f_in="gelu", branch=end),
        ]
    return ModelSpec(tuple(params))


def stream_variances(w: Weights, blocks: int, tokens: int = 16, width: int = 64) -> list[float]:
    """Variance of the residual stream of a pre-LN transformer of one head, before and behind every block."""
    x = np.random.default_rng(0).standard_normal((tokens, width))
    gelu, found = activation("gelu"), [float(x.var())]

    def norm(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)

    for k in range(blocks):
        q, key, v = np.split(norm(x) @ w[f"{k}/qkv"].T, 3, axis=1)
        scores = np.exp(q @ key.T / sqrt(width))
        x = x + (scores / scores.sum(axis=1, keepdims=True) @ v) @ w[f"{k}/out"].T
        x = x + gelu(norm(x) @ w[f"{k}/up"].T) @ w[f"{k}/down"].T
        found.append(float(x.var()))
    return found


@pytest.mark.parametrize("blocks", [4, 16, 64])
def test_the_residual_stream_of_a_pre_ln_transformer_stays_between_one_and_two(blocks: int) -> None:
    plan = planned(transformer(blocks))
    for seed in range(3):
        found = stream_variances(plan.draw(seed), blocks)
        assert found[0] == pytest.approx(1.0, abs=0.1)  # the input's own
        assert found[0] * 0.99 < min(found)
        assert max(found) < 2.0


@pytest.mark.parametrize("f", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("branches", [4, 64])
def test_branches_that_end_in_an_activation_hold_the_stream_too(f: str, branches: int) -> None:
    """The means of ReLU outputs add up: with 1 / sqrt(2 L) alone the stream of 64 branches grows 400-fold."""
    arch = Mlp((64, *(128,) * (branches + 1), 10), activation=f, residual=True)
    w, act = planned(arch.spec()).draw(0), activation(f)
    x = act(np.random.default_rng(0).standard_normal((64, 64)) @ w["0/weight"].T)
    start = np.mean(x**2)
    for k in range(1, branches + 1):
        x = x + act(x @ w[f"{k}/weight"].T)
    assert 1.0 <= np.mean(x**2) / start < 4.0


def stack(*, tied: bool) -> ModelSpec:
    head = ParamSpec(path="head/weight", shape=(50, 8), tied_to="tokens/weight" if tied else None)
    tables = [ParamSpec(path=f"{name}/weight", shape=(50, 8), role="embedding") for name in ("tokens", "places")]
    return ModelSpec((*tables, *transformer(2, 8).params, head))


def test_untied_tables_together_give_the_residual_stream_variance_one() -> None:
    plan = planned(stack(tied=False))
    assert plan["tokens/weight"].std == plan["places/weight"].std == pytest.approx(sqrt(0.5))


def test_a_table_beside_a_layer_that_feeds_the_stream_keeps_the_rule_of_embeddings() -> None:
    """A vision transformer: its patches bring variance 1, to which the places are added."""
    patches = ParamSpec(path="patches/weight", shape=(8, 3, 4, 4), role="conv")
    places = ParamSpec(path="places", shape=(1, 17, 8), role="embedding")
    plan = planned(ModelSpec((places, patches, *transformer(2, 8).params)))
    assert plan["places"].law == Normal(0.02)
    assert plan["patches/weight"].std == pytest.approx(1.0 / sqrt(48))


def test_a_table_tied_to_the_head_starts_one_percent_above_the_loss_of_equal_guesses() -> None:
    """A logit is a sum over 8 of variance 1: 8 std^2 (1 - 1 / 50) / 2 = 0.01 ln 50."""
    plan = planned(stack(tied=True))
    std = sqrt(0.02 * log(50) / (8 * 0.98))
    assert plan["tokens/weight"].std == plan["places/weight"].std == pytest.approx(std)
    assert any(f"starts at variance {2 * std**2:.2g}" in note for note in plan.notes)
    assert plan["head/weight"].action == "keep"


def test_an_empty_layer_is_refused_and_the_others_are_planned() -> None:
    params = (ParamSpec(path="0/weight", shape=(8, 0), f_out="relu"), ParamSpec(path="1/weight", shape=(8, 100)))
    plan = planned(ModelSpec(params))
    assert [entry.action for entry in plan] == ["refuse", "initialise"]


def test_recurrent_weights_are_orthogonal() -> None:
    spec = ModelSpec((ParamSpec(path="rnn/recurrent", shape=(64, 16), role="recurrent", blocks=(16,) * 4),))
    assert planned(spec)["rnn/recurrent"].law == scheme("orthogonal")(spec.params[0])


def test_a_later_pattern_wins_over_auto() -> None:
    plan = planned(deep("tanh", 20), {"*": "auto", "3/weight": "zeros", "3/bias": "zeros"})
    assert plan["3/weight"].law == plan["3/bias"].law == Constant(0.0)
    # A layer without the bias that it takes bars the edge of chaos: 1 / sqrt(E tanh'(z)^2), z standard normal.
    assert plan["4/weight"].std == pytest.approx(sqrt(1.0 / 0.4644029024) / 16)


def test_a_norm_between_layers_leaves_nothing_to_choose() -> None:
    plan = planned(Mlp((64, *(64,) * 50, 10), activation="relu", norm="layer").spec())
    assert plan["30/weight"].std == pytest.approx(sqrt(2.0 / 64))
    assert plan["30/bias"].law == Constant(0.0)


def test_auto_is_listed_as_a_scheme_and_takes_a_weight_alone() -> None:
    assert "auto" in SCHEMES
    assert scheme("auto")(ParamSpec(shape=(8, 100), f_in="tanh")).std((8, 100)) == pytest.approx(0.15925374197)


def test_a_softmax_behind_the_last_layer_leaves_it_the_output() -> None:
    spec = ModelSpec((ParamSpec(path="0/weight", shape=(10, 64), f_out="softmax"),))
    assert "ln 10" in planned(spec)["0/weight"].why


def test_a_last_layer_with_a_hidden_activation_is_no_output() -> None:
    spec = ModelSpec((ParamSpec(path="0/weight", shape=(10, 100), f_out="relu"),))
    assert planned(spec)["0/weight"].std == pytest.approx(0.1)


def test_a_bias_that_the_user_excludes_bars_the_edge_of_chaos() -> None:
    spec = deep("tanh", 50)
    rules, notes = make_rules(spec, "auto", consent=Consent(exclude=("*/bias",)))
    plan = make_plan(spec, rules, consent=Consent(exclude=("*/bias",)), notes=notes)
    assert "backward gain" in plan["1/weight"].why
    assert "biases" in plan.notes[0]


def test_a_frozen_bias_that_the_user_includes_allows_the_edge_of_chaos() -> None:
    spec = deep("tanh", 50)
    held = ModelSpec(tuple(replace(p, frozen=p.role == "bias") for p in spec.params))
    rules, _ = make_rules(held, "auto", consent=Consent(include=("*/bias",)))
    assert "edge" in make_plan(held, rules, consent=Consent(include=("*/bias",)))["1/weight"].why


@pytest.mark.parametrize("schemes", [{"*": "auto", "*/bias": "zeros"}, {"*/weight": "auto"}])
def test_a_bias_that_is_not_autos_own_bars_the_edge_of_chaos(schemes: dict[str, str]) -> None:
    assert "backward gain" in planned(deep("tanh", 50), schemes)["1/weight"].why


def branch_of(*, norm: bool, count: int = 8) -> ModelSpec:
    """One of ``count`` residual branches: a weight and, where there is one, the norm behind it."""
    end = Branch(1, 1, count, is_last=True, is_normed=norm)
    weight = ParamSpec(path="conv/weight", shape=(16, 100), f_in="relu", branch=end)
    return ModelSpec(
        (weight, ParamSpec(path="norm/scale", shape=(16,), role="norm_scale", branch=end if norm else None))
    )


def test_a_norm_at_the_end_of_a_branch_takes_its_scale_and_the_weight_keeps_its_gain() -> None:
    plan = planned(branch_of(norm=True))
    assert plan["norm/scale"].law == Constant(0.25)  # 1 / sqrt(2 * 8)
    assert plan["conv/weight"].std == pytest.approx(sqrt(2 / 100))
    assert "one of 8 residual branches" in plan["norm/scale"].why
    assert "the norm behind it" in plan["conv/weight"].why


def test_without_a_norm_the_weight_takes_the_scale_of_its_branch() -> None:
    plan = planned(branch_of(norm=False))
    assert plan["norm/scale"].law == Constant(1.0)
    assert plan["conv/weight"].std == pytest.approx(0.25 * sqrt(2 / 100))


def test_a_norms_scale_that_starts_at_zero_is_kept() -> None:
    spec = branch_of(norm=True)
    closed = ModelSpec(tuple(replace(p, intent="closed" if p.role == "norm_scale" else "") for p in spec.params))
    assert (planned(closed)["norm/scale"].action, planned(closed)["norm/scale"].why) == ("keep", "closed")


def test_branches_whose_norms_have_no_scale_make_a_note() -> None:
    (note,) = planned(ModelSpec(branch_of(norm=True).params[:1])).notes
    assert "without a scale" in note


def test_an_activation_behind_the_sum_is_no_end_of_the_branch() -> None:
    """ResNets: relu(x + branch). The branch itself has mean 0, so eight of them add up to 8 / (2 * 8)."""
    end = Branch(1, 1, 8, is_last=True)
    spec = ModelSpec((ParamSpec(path="0/weight", shape=(16, 100), f_in="relu", f_out="relu", branch=end),))
    assert planned(spec)["0/weight"].std == pytest.approx(0.25 * sqrt(2 / 100))


def norm_gradient(f: str, depth: int, seed: int, *, rows: int = 64, width: int = 256) -> float:
    """First over last squared gradient of a real net of Dense, BatchNorm, f, in training."""
    act, rng = activation(f), np.random.default_rng(seed)
    a, steps = rng.standard_normal((rows, width)), []
    for _ in range(depth):
        w = rng.standard_normal((width, width)) / sqrt(width)
        z = a @ w.T
        spread = z.std(axis=0)
        z = (z - z.mean(axis=0)) / spread
        steps.append((w, z, spread))
        a = act(z)
    last = back = rng.standard_normal(a.shape)
    for at, (w, z, spread) in enumerate(reversed(steps)):
        back = back * act.slope(z)
        if at == 0:
            last = back
        if at == depth - 1:
            break
        back = (back - back.mean(axis=0) - z * (back * z).mean(axis=0)) / spread @ w
    return float(np.mean(back**2) / np.mean(last**2))


@pytest.mark.parametrize(
    ("f", "factor"), [("relu", np.pi / (np.pi - 1)), ("tanh", 1.1778), ("gelu", 0.4558508656 * 1.7009262434**2)]
)
def test_batch_norm_makes_the_gradient_grow_as_predicted(f: str, factor: float) -> None:
    """E f'^2 / Var f a layer, times (B - 2) / (B - 3) for a batch of B."""
    depth = 12
    norms = [ChainLayer(f if at else None, 1.0, normalised=True, centered=True) for at in range(depth)]
    *_, last = chain_signals(norms)
    assert last.gradient == pytest.approx(factor ** (depth - 1), rel=1e-3)
    found = [np.log(norm_gradient(f, depth, seed)) for seed in range(8)]
    predicted = (depth - 1) * np.log(factor * 62 / 61)
    assert np.mean(found) == pytest.approx(predicted, abs=5 * np.std(found) / sqrt(8) + 0.02 * depth)


def test_a_deep_net_of_batch_norm_gets_a_note_and_one_of_layer_norm_none() -> None:
    batch, layer = (planned(Mlp((256, *(256,) * 20, 10), norm=norm).spec()) for norm in ("batch", "layer"))
    assert "squared gradient" in batch.notes[0]
    assert "Layer in place of batch normalisation" in batch.notes[0]
    assert layer.notes == ()


def test_a_norm_of_unknown_kind_is_taken_for_the_milder_one() -> None:
    spec = Mlp((256, *(256,) * 20, 10), norm="batch").spec()
    blurred = ModelSpec(tuple(replace(p, norm="unknown" if p.norm else None) for p in spec.params))
    assert planned(blurred).notes == ()


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_residual_branches_with_a_norm_are_scaled_by_the_norm(norm: str) -> None:
    plan = planned(Mlp((32, *(64,) * 9, 10), activation="tanh", norm=norm, residual=True).spec())
    assert plan["norm_3/scale"].law == Constant(0.25)  # 8 branches of mean 0
    assert plan["norm_0/scale"].law == Constant(1.0)  # in no branch


# What would help

ADVICE = {
    "loud": (deep("softplus", 60, width=9999), "A norm layer, residual branches or another activation would help"),
    "without biases": (
        deep("sigmoid", 90, width=9999, bias=False),
        "A norm layer, residual branches, another activation or biases, for the edge of chaos, would help",
    ),
    "strays, with biases that stay": (
        ModelSpec(tuple(replace(p, frozen=p.role == "bias") for p in deep("tanh", 50).params)),
        "A norm layer, residual branches, another activation or biases, for the edge of chaos, would help",
    ),
    "narrow": (deep("relu", 50, width=16), "A norm layer, residual branches or wider layers would help"),
    "layer norm": (
        Mlp((9999, *(9999,) * 20, 10), norm="layer", activation="sigmoid").spec(),
        "Residual branches or another activation would help",
    ),
    "batch norm": (
        Mlp((256, *(256,) * 20, 10), norm="batch").spec(),
        "Layer in place of batch normalisation, residual branches or another activation would help",
    ),
}


@pytest.mark.parametrize("case", ADVICE)
def test_the_advice_names_what_the_chain_lacks_and_nothing_that_it_has(case: str) -> None:
    spec, advice = ADVICE[case]
    (note,) = planned(spec).notes
    assert note.split(". ")[-1] == advice
