"""Recipes by which language models are trained, some with a law for each block: torchtitan, OLMo, nanochat, DS-Init."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from initlab.core.errors import OptionError
from initlab.core.facts.fans import fans
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.recipes.language import ends
from initlab.recipes.recipe import Declaration, DepthScale, exact, places, register_recipe

# Names in torchtitan and Llama's own code, in transformers, and in OLMo-core.
_TOKENS = ("*tok_embeddings[./]weight", "*embed_tokens[./]weight", "embeddings[./]weight")
_OUTPUT = ("output[./]weight", "*lm_head[./]weight", "*lm_head[./]w_out[./]weight")
_INSIDE = ("*[./]w[qkv1][./]weight", "*[./][qkv]_proj[./]weight", "*gate_proj[./]weight", "*[./]w_[qkv][./]weight")
_SCALED = (
    "*[./]wo[./]weight",
    "*[./]w[23][./]weight",
    "*[./]o_proj[./]weight",
    "*up_proj[./]weight",
    "*down_proj[./]weight",
    "*attention[./]w_out[./]weight",
)


@register_recipe(source="pytorch/torchtitan at b5bcd76, models/llama3 and models/common/param_init.py: depth_init")
def torchtitan_llama(model: ModelSpec, *, std: float = 0.02) -> Declaration:
    """N(0, 0.02^2), but 0.02/sqrt(2l) in wo, w2 and w3 of block l; tokens N(0, 1), the head 1/sqrt(d) cut at 3 sigma.

    Blocks are counted from 1. ``w3``, the factor beside SiLU, is scaled too, as its authors do.

    Args:
        model: Every parameter.
        std: The std before depth scaling.
    """
    name = "torchtitan_llama"
    tokens = places(model, name, _TOKENS)
    scaled = places(model, name, _SCALED)
    depth = {p.path: 1.0 / math.sqrt(2.0 * block) for p, block in _blocks(name, scaled)}
    schemes = {exact(p): f"truncated_normal(std={std!r})" for p in places(model, name, _INSIDE)}
    schemes |= {exact(p): f"truncated_normal(std={std * depth[p.path]!r})" for p in scaled}
    schemes |= {exact(p): "normal(std=1.0)" for p in tokens}
    schemes |= {exact(p): _cut(1.0 / math.sqrt(p.shape[1])) for p in places(model, name, _OUTPUT)}
    scales = {exact(p): DepthScale(depth[p.path], "1/sqrt(2l), l the block counted from 1") for p in scaled}
    return Declaration(schemes, dialect="torch", depth=scales)


@register_recipe(source="allenai/OLMo-core at fa6c501, nn/transformer/init.py, InitMethod.normal; arXiv:2501.00656")
def olmo2(model: ModelSpec, *, std: float = 0.02) -> Declaration:
    """N(0, 0.02^2) cut at 3 sigma in every weight and embedding, whatever the depth; norm scales 1.

    Args:
        model: Every parameter.
        std: The std before the cut.
    """
    found = [*places(model, "olmo2", _TOKENS), *places(model, "olmo2", _INSIDE), *places(model, "olmo2", _SCALED)]
    return Declaration({"*": _cut(std), **{exact(p): _cut(std) for p in found}}, dialect="torch")


@register_recipe(source="karpathy/nanochat at 3a5e0bc, nanochat/gpt.py, GPT.init_weights")
def nanochat(model: ModelSpec) -> Declaration:
    """Normal of std min(1, sqrt(out/in))/sqrt(in), the last layer of every branch and the head 0, tokens N(0, 1)."""
    inside = places(model, "nanochat", ("*attn[./]c_[qkv][./]weight", "*mlp[./]c_fc[./]weight"))
    zero = places(model, "nanochat", ("*attn[./]c_proj[./]weight", "*mlp[./]c_proj[./]weight", "*lm_head[./]weight"))
    schemes = {exact(p): f"normal(std={_spectral(p)!r})" for p in inside} | {exact(p): "zeros" for p in zero}
    tokens = places(model, "nanochat", ("*wte[./]weight", "*embed_tokens[./]weight"))
    return Declaration(schemes | {exact(p): "normal(std=1.0)" for p in tokens})


@register_recipe(
    source="EleutherAI/gpt-neox at ea7aefd, megatron/model/init_functions.py: small_init and wang; arXiv:1910.05895"
)
def small_init(model: ModelSpec) -> Declaration:
    """N(0, 2/(5d)) in every weight and embedding, but std 2/(L sqrt(d)) in those that write into the residual sum.

    d is the width of the residual stream and L the number of blocks, two such layers each.
    """
    last = ends(model, "small_init")
    width, blocks = last[0].shape[0], len(last) / 2.0
    small, wang = math.sqrt(2.0 / (5.0 * width)), 2.0 / (blocks * math.sqrt(width))
    schemes = {"*": f"normal(std={small!r})"}
    schemes |= {exact(p): schemes["*"] for p in model.params if p.role == "embedding" and p.tied_to is None}
    return Declaration(schemes | {exact(p): f"normal(std={wang!r})" for p in last})


@register_recipe(source="Zhang, Titov, Sennrich 2019, arXiv:1908.11365", aliases=("depth_scaled",))
def ds_init(model: ModelSpec, *, alpha: float = 1.0, branches: float = 2) -> Declaration:
    """Glorot's uniform law, its bound times alpha/sqrt(l) in every weight of block l, counted from 1.

    Args:
        model: Every parameter, of one stack of blocks.
        alpha: A factor of all blocks, in (0, 1].
        branches: Residual branches in a block: 3 in a decoder that attends to an encoder too.
    """
    inside = [p for p in model.params if p.is_weight and p.branch is not None and p.tied_to is None]
    schemes = {"*": "glorot_uniform"}
    depth: dict[str, DepthScale] = {}
    for p, block in _blocks("ds_init", inside or ends(model, "ds_init"), branches=branches):
        factor = alpha / math.sqrt(block)
        bound = factor * math.sqrt(6.0 / (fans(p).fan_in + fans(p).fan_out))
        schemes[exact(p)] = f"uniform(low={-bound!r}, high={bound!r})"
        depth[exact(p)] = DepthScale(factor, "alpha/sqrt(l), l the block counted from 1")
    return Declaration(schemes, depth=depth)


def _blocks(recipe: str, params: Iterable[ParamSpec], *, branches: float = 2) -> list[tuple[ParamSpec, int]]:
    """The weights, each with its block counted from 1: by its place in the pass, or else by the number in its name.

    Raises:
        OptionError: A weight of which neither is known.
    """
    return [(p, _block(recipe, p, branches)) for p in params]


def _block(recipe: str, p: ParamSpec, branches: float) -> int:
    if p.branch is not None and p.branch.index is not None:
        return math.ceil(p.branch.index / branches)
    number = re.search(r"(?:^|[./])(\d+)(?=[./])", p.native or p.path)
    if number is None:
        raise OptionError(
            f"the recipe '{recipe}' does not know which block '{p.native or p.path}' is in",
            fix="give example=, an input, to see residual sums",
        )
    return int(number[1]) + 1


def _cut(std: float) -> str:
    """A normal law cut at 3 sigma, as torch counts: in absolute values.

    Example:
        >>> _cut(0.5)
        'truncated_normal(std=0.5, low=-1.5, high=1.5)'
    """
    return f"truncated_normal(std={std!r}, low={-3.0 * std!r}, high={3.0 * std!r})"


def _spectral(p: ParamSpec) -> float:
    """The std of a law whose matrix has a spectral norm of order sqrt(out/in) (arXiv:2310.17813).

    Example:
        >>> _spectral(ParamSpec(shape=(4, 16)))      # 1/4 times sqrt(4/16)
        0.125
    """
    outputs, inputs = p.shape[0], math.prod(p.shape[1:])
    return min(1.0, math.sqrt(outputs / inputs)) / math.sqrt(inputs)
