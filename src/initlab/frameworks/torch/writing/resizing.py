"""A module's tensors in other shapes: in place, with the sizes that its layers state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from initlab.core.draws.dtypes import wide
from initlab.core.errors import OptionError
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.torch.reading.layers import is_hf_conv1d
from initlab.frameworks.torch.reading.parameters import entries, find
from initlab.frameworks.torch.writing.parameters import layout_of

_SIZES = {"out_features": 0, "in_features": 1, "num_embeddings": 0, "embedding_dim": 1, "num_features": 0}


def native_axes(model: object, param: ParamSpec) -> tuple[int, ...]:
    """The axis of the tensor behind each canonical axis.

    Raises:
        OptionError: The model has no such parameter, or its canonical axes are not the tensor's own.
    """
    entry = find(model, param.native)
    return layout_of(entry, param).axes(tuple(entry.tensor.shape), param.native)


def resize(model: object, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Put arrays of any size into the tensors of ``state_dict``, by name, and let layers state their sizes.

    A parameter stays the same object, under every one of its names, and loses its gradient.

    Raises:
        OptionError: The model holds no tensor of such a name.
    """
    assert isinstance(model, nn.Module)
    held = model.state_dict(keep_vars=True)
    missing = [name for name in arrays if name not in held]
    if missing:
        raise OptionError(f"the model holds no '{missing[0]}'", fix="give names of its state")
    first = {entry.native: entry.first for entry in entries(model)}
    given = {first.get(name, name): array for name, array in arrays.items()}
    made = {name: torch.from_numpy(np.array(wide(array))).to(held[name]) for name, array in given.items()}
    before = {module: tuple(w.shape) for module in model.modules() if (w := _weight(module)) is not None}
    for name in (*first, *(name for name in arrays if name not in first)):
        tensor = made.get(first.get(name, name))
        if tensor is not None:
            held[name].data = tensor
            held[name].grad = None
    for module in model.modules():
        _state_sizes(module, before.get(module, ()))


def _weight(module: nn.Module) -> torch.Tensor | None:
    for name in ("weight", "in_proj_weight"):
        if (parameter := module._parameters.get(name)) is not None:
            return parameter
    return module._buffers.get("running_mean")


def _state_sizes(module: nn.Module, before: tuple[int, ...]) -> None:
    weight = _weight(module)
    if weight is None or not (type(module).__module__.startswith("torch.nn") or is_hf_conv1d(module)):
        return
    shape = tuple(weight.shape)
    for name, axis in _SIZES.items():
        if isinstance(getattr(module, name, None), int) and axis < len(shape):
            setattr(module, name, shape[axis])
    if isinstance(module, nn.modules.conv._ConvNd):
        if module.groups > 1:  # more groups of the same size
            module.groups = module.groups * shape[0] // before[0]
        first, second = shape[:2]
        sizes = (first, second * module.groups)
        module.in_channels, module.out_channels = sizes if module.transposed else sizes[::-1]
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        module.normalized_shape = shape
    if isinstance(module, nn.MultiheadAttention):  # more heads of the same size
        module.num_heads = shape[0] // 3 // module.head_dim
        module.embed_dim = shape[0] // 3
        module.kdim = module.vdim = shape[1]
    if is_hf_conv1d(module):
        module.nx, module.nf = shape  # type: ignore[assignment]
