"""What a module's type says about each of its parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from initlab.core.facts.spec import Axes, LayerKind, Role
from initlab.frameworks.reading.facts import Facts, role_by_name
from initlab.frameworks.reading.layout import Layout, dense, grouped_transpose, same
from initlab.frameworks.reading.registered import stated_facts
from initlab.frameworks.torch.reading.computed import computed_in

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _NormBase)
LayerRule = Callable[[nn.Module, str, tuple[int, ...]], Facts | None]


def layer_facts(owner: nn.Module, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    """Facts from the owner's type and the leaf's name; None where only its use can tell.

    Args:
        owner: The module that holds the parameter.
        leaf: The parameter's name in it.
        shape: The parameter's own shape.

    Example:
        >>> layer_facts(nn.Conv2d(8, 8, 3, groups=8), "weight", (8, 1, 3, 3)).groups
        8
    """
    stated = stated_facts(owner, leaf, shape, partial(weight_shape, owner), out_first=True)
    if stated is not None:
        return stated
    for kinds, rule in _RULES:
        if isinstance(owner, kinds):
            return rule(owner, leaf, shape)
    if is_hf_conv1d(owner):
        return Facts("dense", dense(shape)) if leaf == "weight" else _bias(owner, shape)
    role = role_by_name(leaf, len(shape))
    return None if role is None else Facts(role, same(shape))


def bare_layout(role: Role, shape: tuple[int, ...], groups: int) -> Layout:
    """The layout in which torch's functions take a weight of this role."""
    return grouped_transpose(shape, groups) if role == "conv_transpose" else same(shape)


def is_hf_conv1d(owner: nn.Module) -> bool:
    """Whether a module is the ``Conv1D`` of ``transformers``: a dense layer that stores ``(in, out)``."""
    return type(owner).__name__ == "Conv1D" and hasattr(owner, "nf") and hasattr(owner, "weight")


def weight_shape(owner: nn.Module, leaf: str) -> tuple[int, ...] | None:
    """The native shape of a module's weight, or of one that it computes."""
    own = owner._parameters.get(leaf)
    if own is not None:
        return tuple(own.shape)
    computed = next((one for one in computed_in(owner) if one.leaf == leaf), None)
    return None if computed is None else tuple(computed.value().shape)


def _bias(owner: nn.Module, shape: tuple[int, ...], leaf: str = "weight", **facts: Any) -> Facts:
    """A bias of the layer whose weight is ``leaf``."""
    native = weight_shape(owner, leaf)
    weight = None if native is None else layer_facts(owner, leaf, native)
    return Facts("bias", same(shape), layer_shape=native if weight is None else weight.layout.shape, **facts)


def _linear(owner: nn.Module, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    if leaf == "bias":
        # The output projection of nn.MultiheadAttention is a class of its own.
        is_projection = isinstance(owner, NonDynamicallyQuantizableLinear)
        return _bias(owner, shape, layer_kind="attention" if is_projection else None)
    return Facts("dense", same(shape)) if leaf == "weight" else None


def _bilinear(owner: nn.Module, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    # (out, in1, in2): every output sums over all products of an entry of each input.
    if leaf == "weight":
        return Facts("dense", same(shape), axes=Axes(inputs=(1, 2), outputs=(0,)), layer_kind="bilinear")
    return _bias(owner, shape, layer_kind="bilinear") if leaf == "bias" else None


def _conv(owner: nn.Module, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    layer = cast(_ConvNd, owner)
    transposed = isinstance(owner, _ConvTransposeNd)
    if leaf == "bias":
        kind: LayerKind | None = "conv_transpose" if transposed else None
        return _bias(owner, shape, layer_kind=kind, groups=layer.groups if transposed else 1)
    role: Role = "conv_transpose" if transposed else "conv"
    stride = layer.stride if any(n != 1 for n in layer.stride) else ()
    order = bare_layout(role, shape, layer.groups)
    return Facts(role, order, groups=layer.groups, stride=stride) if leaf == "weight" else None


def _embedding(owner: nn.Module, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    return Facts("embedding", same(shape)) if leaf == "weight" else None


def _norm(owner: nn.Module, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    roles: dict[str, Role] = {"weight": "norm_scale", "bias": "norm_bias"}
    return Facts(roles[leaf], same(shape)) if leaf in roles else None


def _prelu(owner: nn.Module, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    return Facts("scale", same(shape), kept="the slope of a PReLU") if leaf == "weight" else None


def _attention(owner: nn.Module, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    width = cast(nn.MultiheadAttention, owner).embed_dim
    if leaf in ("in_proj_weight", "in_proj_bias"):
        packed = (width, width, width)
        if leaf == "in_proj_weight":
            return Facts("dense", same(shape), blocks=packed, layer_kind="attention")
        weight = "in_proj_weight" if owner._parameters.get("in_proj_weight") is not None else "q_proj_weight"
        return _bias(owner, shape, weight, blocks=packed, layer_kind="attention")
    if leaf in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
        return Facts("dense", same(shape), layer_kind="attention")
    if leaf in ("bias_k", "bias_v"):  # a learned key and value in every sequence
        return Facts("embedding", same(shape), layer_kind="attention")
    return None


def _recurrent(owner: nn.Module, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    found = re.fullmatch(r"(weight|bias)_(ih|hh|hr)(?:_l(\d+))?(_reverse)?", leaf)
    if found is None:
        return None
    gates = {"LSTM": 4, "GRU": 3}.get(type(owner).__name__.removesuffix("Cell"), _gates(owner))
    hidden = cast(nn.RNNBase, owner).hidden_size
    blocks = (hidden,) * gates if gates > 1 and found[2] != "hr" else ()
    tail = leaf[len(found[1]) + 3 :]
    if found[1] == "bias":
        # Gates i, f, g, o; torch adds its two biases, so the first alone opens the gate.
        forget = 1 if gates == 4 and found[2] == "ih" else None
        return _bias(owner, shape, f"weight_hh{tail}", blocks=blocks, forget_block=forget)
    f = plain_activation(owner)
    first = found[2] == "ih" and found[3] in (None, "0")
    role: Role = "recurrent" if found[2] == "hh" else "dense"
    # torch counts the hidden size as the fan of both
    state = weight_shape(owner, f"weight_hh{tail}") if found[2] == "ih" else None
    return Facts(
        role,
        same(shape),
        blocks=blocks,
        layer_shape=state,
        takes_input=first,
        makes_output=first and gates == 1,
        is_gated=gates > 1,
        f_in=None if first else f,
        f_out=None if found[2] == "hr" else f,
    )


def _gates(owner: nn.Module) -> int:
    return 4 if isinstance(owner, nn.LSTM | nn.LSTMCell) else 3 if isinstance(owner, nn.GRU | nn.GRUCell) else 1


def plain_activation(owner: nn.Module) -> str | None:
    """The activation of a recurrent layer without gates."""
    if isinstance(owner, nn.RNN | nn.RNNCell):
        return str(owner.nonlinearity)
    return None


_RULES: tuple[tuple[type[nn.Module] | tuple[type[nn.Module], ...], LayerRule], ...] = (
    (nn.Linear, _linear),
    (nn.Bilinear, _bilinear),
    (_ConvNd, _conv),
    ((nn.Embedding, nn.EmbeddingBag), _embedding),
    (NORMS, _norm),
    (nn.PReLU, _prelu),
    (nn.MultiheadAttention, _attention),
    ((nn.RNNBase, nn.RNNCellBase), _recurrent),
)
