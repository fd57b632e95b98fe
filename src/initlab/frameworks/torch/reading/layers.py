"""What a module's type says about each of its parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils.parametrize import ParametrizationList

from initlab.core.facts.spec import Axes, LayerKind, Role
from initlab.frameworks.reading.naming import is_scale_name
from initlab.frameworks.torch.writing.memory import Layout

_LEARNED_TOKEN = re.compile(r"(^|_)(tokens?|query|queries|embed(ding)?s?)$|pos_?emb|position(al)?_(emb|enc)|_table$")
_NORM_CLASS = re.compile(r"norm(\d?d)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What is known of a parameter without looking at how it is used.

    Attributes:
        role: What it does.
        layout: How torch stores it.
        groups: Groups of a convolution.
        stride: Stride of a convolution.
        blocks: Sizes of packed blocks along the canonical axis 0.
        axes: For an einsum kernel, its axes.
        layer: For a bias, the leaf of its layer's weight.
        layer_kind: The layer it belongs to, where torch's own default depends on it.
        inner: Whether its input or output stays inside the module, so that ``f_in`` and ``f_out`` here are final.
        f_in: The activation that made the input, where that is inside the module.
        f_out: The activation that takes the output, where that is inside the module.
        kept: Why initlab keeps it, where it has to.
    """

    role: Role = "unknown"
    layout: Layout = "same"
    groups: int = 1
    stride: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    axes: Axes | None = None
    layer: str = ""
    layer_kind: LayerKind | None = None
    inner: bool = False
    f_in: str | None = None
    f_out: str | None = None
    kept: str = ""


Rule = Callable[[nn.Module, str], Facts | None]


def layer_facts(owner: nn.Module, leaf: str, *, rank: int) -> Facts | None:
    """Facts from the owner's type and the leaf's name; None where only its use can tell.

    Args:
        owner: The module that holds the parameter.
        leaf: The parameter's name in it.
        rank: Axes of the parameter.

    Example:
        >>> layer_facts(nn.Conv2d(8, 8, 3, groups=8), "weight", rank=4).groups
        8
    """
    kept = _parametrised(owner, leaf)
    if kept:
        return Facts(kept=kept)
    for kinds, rule in _RULES:
        if isinstance(owner, kinds):
            return rule(owner, leaf)
    if is_hf_conv1d(owner):
        return Facts("dense", layout="transposed") if leaf == "weight" else Facts("bias", layer="weight")
    return _by_name(owner, leaf, rank)


def is_hf_conv1d(owner: nn.Module) -> bool:
    """Whether a module is the ``Conv1D`` of ``transformers``: a dense layer that stores ``(in, out)``."""
    return type(owner).__name__ == "Conv1D" and hasattr(owner, "nf") and hasattr(owner, "weight")


def weight_shape(owner: nn.Module, leaf: str) -> tuple[int, ...] | None:
    """The native shape of a module's weight, read without computing a parametrised one."""
    own = owner._parameters.get(leaf)
    if own is not None:
        return tuple(own.shape)
    lists = owner._modules.get("parametrizations")
    if lists is not None and leaf in lists._modules:
        parts = list(cast(nn.Module, lists._modules[leaf])._parameters.values())
        return max((tuple(p.shape) for p in parts if p is not None), key=_size, default=None)
    parts = [owner._parameters.get(f"{leaf}{end}") for end in ("_v", "_orig")]
    return next((tuple(p.shape) for p in parts if p is not None), None)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _parametrised(owner: nn.Module, leaf: str) -> str:
    if isinstance(owner, ParametrizationList):
        kind = type(next(iter(owner.children()), owner)).__name__.lstrip("_")
        return f"a part of a weight under {kind}; initialise before parametrising"
    for hook in owner._forward_pre_hooks.values():
        name = getattr(hook, "name", None)
        if isinstance(name, str) and leaf in (f"{name}_g", f"{name}_v", f"{name}_orig"):
            return f"a part of a weight under {type(hook).__name__}; initialise before parametrising"
    return ""


def _linear(owner: nn.Module, leaf: str) -> Facts | None:
    if leaf == "bias":
        # The output projection of nn.MultiheadAttention is a class of its own.
        is_projection = isinstance(owner, NonDynamicallyQuantizableLinear)
        return Facts("bias", layer="weight", layer_kind="attention" if is_projection else None)
    return Facts("dense") if leaf == "weight" else None


def _bilinear(owner: nn.Module, leaf: str) -> Facts | None:
    # (out, in1, in2): every output sums over all products of an entry of each input.
    if leaf == "weight":
        return Facts("dense", axes=Axes(inputs=(1, 2), outputs=(0,)), layer_kind="bilinear")
    return Facts("bias", layer="weight", layer_kind="bilinear") if leaf == "bias" else None


def _conv(owner: nn.Module, leaf: str) -> Facts | None:
    layer = cast(_ConvNd, owner)
    transposed = isinstance(owner, _ConvTransposeNd)
    if leaf == "bias":
        kind: LayerKind | None = "conv_transpose" if transposed else None
        return Facts("bias", layer="weight", layer_kind=kind, groups=layer.groups if transposed else 1)
    role: Role = "conv_transpose" if transposed else "conv"
    layout: Layout = "conv_transpose" if transposed else "same"
    stride = layer.stride if any(n != 1 for n in layer.stride) else ()
    return Facts(role, layout=layout, groups=layer.groups, stride=stride) if leaf == "weight" else None


def _embedding(owner: nn.Module, leaf: str) -> Facts | None:
    return Facts("embedding") if leaf == "weight" else None


def _norm(owner: nn.Module, leaf: str) -> Facts | None:
    return Facts("norm_scale") if leaf == "weight" else Facts("norm_bias") if leaf == "bias" else None


def _prelu(owner: nn.Module, leaf: str) -> Facts | None:
    return Facts("scale", kept="the slope of a PReLU") if leaf == "weight" else None


def _attention(owner: nn.Module, leaf: str) -> Facts | None:
    width = cast(nn.MultiheadAttention, owner).embed_dim
    if leaf in ("in_proj_weight", "in_proj_bias"):
        packed = (width, width, width)
        if leaf == "in_proj_weight":
            return Facts("dense", blocks=packed, layer_kind="attention")
        weight = "in_proj_weight" if owner._parameters.get("in_proj_weight") is not None else "q_proj_weight"
        return Facts("bias", blocks=packed, layer=weight, layer_kind="attention")
    if leaf in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
        return Facts("dense", layer_kind="attention")
    if leaf in ("bias_k", "bias_v"):  # a learned key and value in every sequence
        return Facts("embedding", layer_kind="attention")
    return None


def _recurrent(owner: nn.Module, leaf: str) -> Facts | None:
    found = re.fullmatch(r"(weight|bias)_(ih|hh|hr)(?:_l(\d+))?(_reverse)?", leaf)
    if found is None:
        return None
    gates = {"LSTM": 4, "GRU": 3}.get(type(owner).__name__.removesuffix("Cell"), _gates(owner))
    hidden = cast(nn.RNNBase, owner).hidden_size
    blocks = (hidden,) * gates if gates > 1 and found[2] != "hr" else ()
    tail = leaf[len(found[1]) + 3 :]
    if found[1] == "bias":
        return Facts("bias", blocks=blocks, layer=f"weight_hh{tail}")
    f = _plain_activation(owner)
    first = found[2] == "ih" and found[3] in (None, "0")
    role: Role = "recurrent" if found[2] == "hh" else "dense"
    layer = f"weight_hh{tail}" if found[2] == "ih" else ""  # torch counts the hidden size as the fan of both
    f_out = None if found[2] == "hr" else f
    return Facts(role, blocks=blocks, layer=layer, inner=not first, f_in=None if first else f, f_out=f_out)


def _gates(owner: nn.Module) -> int:
    return 4 if isinstance(owner, nn.LSTM | nn.LSTMCell) else 3 if isinstance(owner, nn.GRU | nn.GRUCell) else 1


def _plain_activation(owner: nn.Module) -> str | None:
    """The activation of a recurrent layer without gates."""
    if isinstance(owner, nn.RNN | nn.RNNCell):
        return str(owner.nonlinearity)
    return None


def _by_name(owner: nn.Module, leaf: str, rank: int) -> Facts | None:
    """Norm layers, learned tokens and gates that people write themselves are told by the names everybody gives them."""
    if rank == 1 and _NORM_CLASS.search(type(owner).__name__):
        if leaf in ("weight", "scale", "gamma", "g"):
            return Facts("norm_scale")
        if leaf in ("bias", "beta", "b"):
            return Facts("norm_bias")
    if rank >= 1 and _LEARNED_TOKEN.search(leaf):
        return Facts("embedding")
    return Facts("scale") if rank <= 1 and is_scale_name(leaf) else None


_RULES: tuple[tuple[type[nn.Module] | tuple[type[nn.Module], ...], Rule], ...] = (
    (nn.Linear, _linear),
    (nn.Bilinear, _bilinear),
    (_ConvNd, _conv),
    ((nn.Embedding, nn.EmbeddingBag), _embedding),
    ((nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _NormBase), _norm),
    (nn.PReLU, _prelu),
    (nn.MultiheadAttention, _attention),
    ((nn.RNNBase, nn.RNNCellBase), _recurrent),
)
