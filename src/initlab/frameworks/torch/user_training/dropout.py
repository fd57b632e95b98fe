"""Dropout by masks that are drawn beforehand, each model's from its own generator, as that model alone draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_WHOLE_CHANNELS = {functional.dropout1d: 3, functional.dropout2d: 4, functional.dropout3d: 5}


class Mask(NamedTuple):
    """What one call of dropout multiplies by: 0 or ``1 / keep``.

    Attributes:
        shape: Its shape, of one model.
        stride: How it lies in memory, which is the order in which it is drawn.
        keep: Share that is kept.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    keep: float


class Dropping(TorchFunctionMode):  # torch's own way of seeing the calls of its functions
    """Within it, dropout in training multiplies by the masks that are given, or notes which it would need.

    Args:
        masks: One for each call, in the order of the calls; None drops nothing.
    """

    def __init__(self, masks: Sequence[Tensor] | None = None) -> None:
        super().__init__()
        self.needed: list[Mask] = []
        self._masks = None if masks is None else iter(masks)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        mask = _mask_of(func, args, kwargs)
        if mask is None:
            return func(*args, **kwargs)
        x, drawn = args[0], None
        self.needed.append(mask)
        if self._masks is not None:
            drawn = next(self._masks)
        if drawn is None:
            return x
        return x.mul_(drawn) if kwargs["inplace"] else x * drawn


def _mask_of(func: Any, args: Any, kwargs: Any) -> Mask | None:
    """What a call would draw; None for all others, and for dropout of none or of everything."""
    if func is not functional.dropout and func not in _WHOLE_CHANNELS:
        return None
    x, p = args[0], kwargs["p"]
    if not kwargs["training"] or not 0.0 < p < 1.0:
        return None
    if func is functional.dropout:
        like = torch.empty_like(x, device="meta")
        return Mask(tuple(x.shape), tuple(like.stride()), 1.0 - p)
    if x.dim() != _WHOLE_CHANNELS[func]:
        return None
    like = torch.empty((*x.shape[:2], *[1] * (x.dim() - 2)), device="meta")
    return Mask(tuple(like.shape), tuple(like.stride()), 1.0 - p)


def drawn(mask: Mask, generators: Sequence[torch.Generator]) -> Tensor:
    """A mask for each model, (models, *shape), in torch's own way of drawing it.

    Example:
        >>> twice = drawn(Mask((2, 3), (3, 1), 0.5), [torch.Generator().manual_seed(0) for _ in range(2)])
        >>> bool((twice[0] == twice[1]).all()), sorted(set(twice.flatten().tolist()))
        (True, [0.0, 2.0])
    """
    size = 1
    for n in mask.shape:
        size *= n
    result = torch.empty_strided((len(generators), *mask.shape), (size, *mask.stride))
    for one, generator in zip(result, generators, strict=True):
        one.bernoulli_(mask.keep, generator=generator)
    return result.div_(mask.keep)
