"""Recipes of what frameworks do unasked, and of two nets with rules of their own: SIREN and PPO."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from initlab.core.errors import OptionError
from initlab.core.facts.fans import fans
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.recipes.recipe import Declaration, exact, places, register_recipe

_POLICY = ("*actor*", "*policy*", "*action_net*", "pi[./]*", "*[./]pi[./]*")
_VALUE = ("*critic*", "*value*", "vf[./]*", "*[./]vf[./]*")


@register_recipe(source="torch.nn, reset_parameters of each layer", aliases=("pytorch",))
def torch(model: ModelSpec) -> Declaration:
    """What PyTorch draws unasked: weights and biases uniform within 1/sqrt(fan_in), embeddings N(0, 1)."""
    return Declaration({"*": "torch_default"})


@register_recipe(source="keras.layers, the initializers each layer has by default", aliases=("tensorflow",))
def keras(model: ModelSpec) -> Declaration:
    """What Keras draws unasked: glorot_uniform, recurrent weights orthogonal, embeddings within 0.05, biases 0."""
    return Declaration({"*": "keras_default"})


@register_recipe(
    source="flax.linen.linear: default_kernel_init, default_embed_init; flax.linen.recurrent", aliases=("jax",)
)
def flax(model: ModelSpec) -> Declaration:
    """What Flax draws unasked: lecun_normal cut at 2 sigma, embeddings N(0, 1/width), recurrent weights orthogonal."""
    schemes = {"*": "variance_scaling(scale=1.0, mode=fan_in, distribution=truncated_normal)"}
    for p in model.params:
        if p.role == "embedding" and p.tied_to is None:
            schemes[exact(p)] = f"normal(std={1.0 / math.sqrt(max(math.prod(p.shape[1:]), 1))!r})"
        elif p.role == "recurrent":
            schemes[exact(p)] = "orthogonal"
    return Declaration(schemes)


@register_recipe(source="vsitzmann/siren, explore_siren.ipynb, SineLayer.init_weights")
def siren(model: ModelSpec, *, omega: float = 30.0) -> Declaration:
    """First layer uniform within 1/fan_in, the others within sqrt(6/fan_in)/omega; biases as torch draws them.

    Args:
        model: Every parameter.
        omega: The frequency inside the sines.
    """
    weights = [p for p in model.params if p.is_weight and p.role == "dense" and p.tied_to is None]
    if not weights:
        raise OptionError("the recipe 'siren' does not find its places in this model", fix="it looked for dense layers")
    schemes: dict[str, str] = {}
    for i, p in enumerate(weights):
        fan = fans(p).fan_in
        bound = math.sqrt(6.0 / fan) / omega if i else 1.0 / fan
        schemes[exact(p)] = f"uniform(low={-bound!r}, high={bound!r})"
    biases = [p for p in model.params if p.role == "bias" and p.layer_shape is not None]
    return Declaration(schemes | {exact(p): "torch_default" for p in biases})


@register_recipe(source="vwxyzjn/cleanrl, cleanrl/ppo.py, layer_init")
def ppo(model: ModelSpec) -> Declaration:
    """Orthogonal times sqrt(2), the policy's last layer times 0.01 and the value's times 1; biases 0."""
    schemes = {"*": f"orthogonal(gain={math.sqrt(2.0)!r})"}
    schemes[exact(_last(places(model, "ppo", _POLICY), _POLICY))] = "orthogonal(gain=0.01)"
    schemes[exact(_last(places(model, "ppo", _VALUE), _VALUE))] = "orthogonal(gain=1.0)"
    return Declaration(schemes)


def _last(found: Sequence[ParamSpec], patterns: Sequence[str]) -> ParamSpec:
    """The last weight of a network, by the numbers in its name where it is a chain, and else by its place."""
    weights = [p for p in found if p.is_weight]
    if not weights:
        raise OptionError(
            "the recipe 'ppo' does not find its places in this model", fix=f"no weight matches {', '.join(patterns)}"
        )
    return max(enumerate(weights), key=lambda item: (_is_head(item[1]), item[0]))[1]


def _is_head(p: ParamSpec) -> bool:
    """Whether a layer is called a head: action_net and value_net of Stable-Baselines3."""
    return re.search(r"(^|[./])(action_net|value_net)[./]\w+$", p.native or p.path) is not None
