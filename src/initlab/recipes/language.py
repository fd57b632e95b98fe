"""Recipes of language models and of what is added to them: GPT-2, Llama, T5, LoRA."""

from __future__ import annotations

import math

from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.recipes.recipe import Declaration, DepthScale, exact, places, present, register_recipe, rows

# Names of the layers that write into the residual sum, in transformers, nanoGPT, torch.nn and timm.
_ATTENTION_OUT = ("*attn[./]c_proj[./]weight", "*attn[./]out_proj[./]weight", "*attn[./]proj[./]weight")
_MLP_OUT = (
    "*mlp[./]c_proj[./]weight",
    "*mlp[./]fc2[./]weight",
    "*mlp[./]proj[./]weight",
    "*linear2[./]weight",
    "*ffn[./]c_proj[./]weight",
)
_TOKENS = ("*wte[./]weight", "*tok_emb*[./]weight", "*token_emb*[./]weight", "*embed_tokens[./]weight")
_HEADS = ("*lm_head[./]weight", "*head[./]weight")


@register_recipe(
    source="transformers, models/gpt2/modeling_gpt2.py, GPT2PreTrainedModel._init_weights", aliases=("gpt",)
)
def gpt2(model: ModelSpec, *, std: float = 0.02) -> Declaration:
    """N(0, 0.02^2) everywhere, but 0.02/sqrt(2L) in the layers that write into the residual sum; biases 0.

    L is the number of blocks, two such layers each; embeddings have 0.02 too, and the head is the token embedding.

    Args:
        model: Every parameter.
        std: The std before depth scaling.
    """
    last = ends(model, "gpt2")
    factor = 1.0 / math.sqrt(len(last))
    scale = DepthScale(factor, f"1/sqrt(2L) = {factor:.4g}, L = {len(last) / 2:g}")
    schemes = {"*": f"normal(std={std!r})", **_embeddings(model, f"normal(std={std!r})")}
    schemes |= {exact(p): f"normal(std={std * factor!r})" for p in last}
    return Declaration(schemes, ties=_pairs(_TOKENS, _HEADS), depth={exact(p): scale for p in last})


@register_recipe(source="transformers, models/llama: PreTrainedModel._init_weights with initializer_range 0.02")
def llama(model: ModelSpec, *, std: float = 0.02) -> Declaration:
    """N(0, 0.02^2) in every weight and embedding, whatever the depth; norm scales 1, biases 0.

    Args:
        model: Every parameter.
        std: The std.
    """
    places(model, "llama", ("*q_proj[./]weight", "*attention[./]wq[./]weight"))
    places(model, "llama", ("*down_proj[./]weight", "*feed_forward[./]w2[./]weight"))
    schemes = {"*": f"normal(std={std!r})", **_embeddings(model, f"normal(std={std!r})")}
    return Declaration(schemes, may_tie=_pairs(_TOKENS, _HEADS))


@register_recipe(
    source="transformers 5.24.0, models/mixtral and models/qwen3_moe: _init_weights", aliases=("qwen3_moe",)
)
def mixtral(model: ModelSpec, *, std: float = 0.02) -> Declaration:
    """N(0, 0.02^2) in every weight, embedding, router and expert, whatever the depth; norm scales 1, biases 0.

    Args:
        model: Every parameter.
        std: The std.
    """
    experts = places(model, "mixtral", ("*[./]experts[./]*",))
    routers = places(model, "mixtral", ("*[./]gate[./]weight", "*[./]router[./]weight"))
    call = f"normal(std={std!r})"
    schemes = {"*": call, **_embeddings(model, call), **{exact(p): call for p in (*experts, *routers)}}
    return Declaration(schemes, may_tie=_pairs(_TOKENS, _HEADS))


@register_recipe(source="transformers, models/t5/modeling_t5.py, T5PreTrainedModel._init_weights")
def t5(model: ModelSpec, *, factor: float = 1.0, d_kv: float = 64) -> Declaration:
    """Normal with a std for each use: q 1/sqrt(d_model d_kv), k and v 1/sqrt(d_model), the rest 1/sqrt(fan_in).

    The embedding, shared by encoder and decoder, has std 1, and so has a head of its own; the table of relative
    positions has 1/sqrt(d_model).

    Args:
        model: Every parameter.
        factor: What every std is multiplied with.
        d_kv: Width of a head, where no table of relative positions tells the number of heads.
    """
    attention = "*Attention[./]"
    queries = places(model, "t5", (f"{attention}q[./]weight",))
    tables = present(model, ("*relative_attention_bias[./]weight",))
    width = queries[0].shape[1]
    head = queries[0].shape[0] / tables[0].shape[1] if tables else d_kv
    stds = [(p, factor / math.sqrt(width * head)) for p in queries]
    inside = (f"{attention}[kvo][./]weight", "*DenseReluDense[./]w*[./]weight")
    stds += [(p, factor / math.sqrt(p.shape[1])) for p in places(model, "t5", inside)]
    stds += [(p, factor / math.sqrt(width)) for p in tables]
    stds += [(p, factor) for p in present(model, ("*shared[./]weight", "*embed_tokens[./]weight", *_HEADS))]
    ties = [("*shared[./]weight", "*embed_tokens[./]weight")]
    schemes = {exact(p): f"normal(std={std!r})" for p, std in stds}
    return Declaration(schemes, ties=ties, may_tie=_pairs(("*shared[./]weight",), _HEADS))


@register_recipe(source="peft, tuners/lora/layer.py, LoraLayer.reset_lora_parameters")
def lora(model: ModelSpec) -> Declaration:
    """A uniform within 1/sqrt(fan_in), B zero, so that the adapted model starts as it was; all else is kept.

    The adapters of an embedding are the other way round: A zero, B N(0, 1).
    """
    schemes = {
        "*lora_[Aa]*": "torch_default",
        "*lora_[Bb]*": "zeros",
        "*lora_embedding_A*": "zeros",
        "*lora_embedding_B*": "normal(std=1.0)",
    }
    places(model, "lora", tuple(schemes))
    return Declaration(rows(model, schemes), only=True)


def ends(model: ModelSpec, recipe: str) -> list[ParamSpec]:
    """The weights that write into a residual sum: those that the trace saw there, or else those so named.

    Raises:
        OptionError: There is none.
    """
    patterns = (*_ATTENTION_OUT, *_MLP_OUT)
    named = [p for p in present(model, patterns) if p.is_weight]
    traced = [p for p in model.params if p.is_weight and p.branch is not None and p.branch.is_last]
    # Where the trace saw the residual sums it finds such layers whatever their names.
    last = traced if {p.path for p in named} <= {p.path for p in traced} else named
    return last or places(model, recipe, patterns)


def _embeddings(model: ModelSpec, call: str) -> dict[str, str]:
    return {exact(p): call for p in model.params if p.role == "embedding" and p.tied_to is None}


def _pairs(firsts: tuple[str, ...], seconds: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(first, second) for first in firsts for second in seconds]
