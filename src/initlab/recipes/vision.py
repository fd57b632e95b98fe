"""Recipes of vision models: ViT in three forms, DiT with adaLN-zero, ResNet with zero gamma."""

from __future__ import annotations

import math
from collections.abc import Sequence

from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.recipes.recipe import Declaration, exact, places, present, register_recipe, rows

_PATCHES = ("*patch_embed*[./]weight", "*x_embedder*[./]weight", "*conv_proj[./]weight")
_HEADS = ("head[./]*", "*classifier[./]*", "heads[./]*")
_MLP_BIASES = ("*mlp*[./]bias",)
_POSITIONS = ("*pos_emb*", "*position_embeddings")
_CLASS = ("*cls_token", "*class_token")


@register_recipe(source="timm, models/vision_transformer.py, init_weights_vit_timm", aliases=("vit_timm", "deit"))
def vit(model: ModelSpec) -> Declaration:
    """N(0, 0.02^2) in every dense weight and in the positions, the class token N(0, 1e-12), patches torch's default.

    timm's ``trunc_normal_`` cuts at -2 and 2, not at 2 sigma, so nothing is cut at 0.02; the head is a dense weight.
    """
    patches = places(model, "vit", _PATCHES)
    schemes = {"*": "truncated_normal(std=0.02)", **{exact(p): "torch_default" for p in _layer(model, patches)}}
    schemes |= _tokens(model, positions="truncated_normal(std=0.02)", token="normal(std=1e-06)")
    return Declaration(schemes, dialect="torch")


@register_recipe(source="timm, models/vision_transformer.py, init_weights_vit_jax", aliases=("vit_flax",))
def vit_jax(model: ModelSpec) -> Declaration:
    """Glorot uniform in every dense weight, biases of the MLP N(0, 1e-12), patches lecun_normal cut at 2 sigma, head 0.

    Packed queries, keys and values are one matrix to it, so their bound is sqrt(6 / (d + 3 d)).
    """
    patches = places(model, "vit_jax", _PATCHES)
    schemes = {exact(p): glorot_whole(p) for p in model.params if p.is_weight and p.role != "embedding"}
    lecun = "variance_scaling(scale=1.0, mode=fan_in, distribution=truncated_normal)"
    schemes |= {exact(p): lecun for p in patches if p.is_weight}
    schemes |= {exact(p): "normal(std=1e-06)" for p in present(model, _MLP_BIASES) if p.role == "bias"}
    schemes |= {exact(p): "zeros" for p in places(model, "vit_jax", _HEADS)}
    schemes |= _tokens(model, positions="normal(std=0.02)", token="normal(std=1e-06)")
    return Declaration(schemes)


@register_recipe(source="transformers, models/vit/modeling_vit.py, ViTPreTrainedModel._init_weights")
def vit_transformers(model: ModelSpec, *, std: float = 0.02) -> Declaration:
    """N(0, 0.02^2) in every weight, the patches too, and in class token and positions; biases 0.

    Args:
        model: Every parameter.
        std: The std.
    """
    places(model, "vit_transformers", _PATCHES)
    call = f"normal(std={std!r})"
    return Declaration({"*": call, **_tokens(model, positions=call, token=call)})


@register_recipe(source="facebookresearch/DiT, models.py, DiT.initialize_weights", aliases=("adaln_zero",))
def dit(model: ModelSpec) -> Declaration:
    """Glorot uniform, with every adaLN modulation and the output layer 0: each block starts as the identity.

    Label table and timestep MLP N(0, 0.02^2); the patches' kernel is drawn as a matrix; positions are left as they are.
    """
    schemes = {exact(p): glorot_whole(p) for p in model.params if p.is_weight and p.role != "embedding"}
    small = ("*t_embedder*[./]weight", "*y_embedder*[./]weight")
    schemes |= {exact(p): "normal(std=0.02)" for p in present(model, small)}
    # Its bias was never touched by the authors: a convolution of torch's.
    patches = [p for p in present(model, ("*x_embedder*[./]bias",)) if p.layer_shape and len(p.layer_shape) > 2]
    schemes |= {exact(p): "torch_default" for p in patches}
    zero = places(model, "dit", ("*adaLN_modulation*",))
    schemes |= {exact(p): "zeros" for p in [*zero, *present(model, ("*final_layer[./]linear[./]*",))]}
    return Declaration(schemes)


@register_recipe(source="torchvision, models/resnet.py, ResNet.__init__ with zero_init_residual", aliases=("resnet",))
def resnet_zero_gamma(model: ModelSpec) -> Declaration:
    """Convolutions N(0, 2 / fan_out), the last norm scale of every residual branch 0, the head torch's default."""
    convolutions = [p for p in model.params if p.role == "conv"]
    last = [p for p in model.params if p.role == "norm_scale" and p.branch is not None and p.branch.is_last]
    last = last or present(model, ("*layer[0-9]*[./]bn3[./]weight", "*layer[0-9]*[./]bn3[./]scale"))
    last = last or places(model, "resnet_zero_gamma", ("*layer[0-9]*[./]bn2[./]weight", "*layer[0-9]*[./]bn2[./]scale"))
    schemes = {"*": "torch_default", **{exact(p): "he_normal(mode=fan_out)" for p in convolutions}}
    return Declaration(schemes | {exact(p): "zeros" for p in last}, dialect="torch")


def glorot_whole(p: ParamSpec) -> str:
    """Glorot's uniform law of the whole tensor as a matrix (out, in * k), packed blocks and groups together.

    Example:
        >>> glorot_whole(ParamSpec(shape=(12, 12)))      # sqrt(6 / 24)
        'uniform(low=-0.5, high=0.5)'
    """
    bound = math.sqrt(6.0 / (p.shape[0] + math.prod(p.shape[1:])))
    return f"uniform(low={-bound!r}, high={bound!r})"


def _tokens(model: ModelSpec, *, positions: str, token: str) -> dict[str, str]:
    return rows(model, {**dict.fromkeys(_POSITIONS, positions), **dict.fromkeys(_CLASS, token)})


def _layer(model: ModelSpec, weights: Sequence[ParamSpec]) -> list[ParamSpec]:
    """The weights with their layers' biases."""
    modules = {(p.native or p.path).removesuffix("weight") for p in weights}
    biases = [p for p in model.params if p.role == "bias" and (p.native or p.path).removesuffix("bias") in modules]
    return [*weights, *biases]
