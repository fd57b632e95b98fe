"""The dropout masks of ``core.training.dropout`` in int32: torch's uint32 has no product."""

from __future__ import annotations

import torch
from torch import Tensor

from initlab.core.training import dropout


def words(key: Tensor, step: int, layer: int, shape: tuple[int, ...]) -> Tensor:
    """One 32-bit word an element, the same for the same (key, step, layer, element) in every framework.

    Args:
        key: int32 (2,), the bits of the model's two words.
        step: The optimiser steps done.
        layer: The dense layer, counted from 0.
        shape: (rows, units); fewer than 2^31 elements.

    Returns:
        int32 of that shape.
    """
    place = dropout.signed(step * dropout.STEP + layer * dropout.LAYER)
    element = torch.arange(shape[0] * shape[1], dtype=torch.int32).reshape(shape)
    found: Tensor = dropout.words(key, place, element, word=dropout.signed, shift=dropout.signed_shift)
    return found


def mask(shape: tuple[int, ...], layer: int, *, rate: float, key: Tensor, step: int) -> Tensor:
    """What dropout multiplies by: 0 for a share ``rate`` of the elements, 1 / (1 - rate) for the others, as Keras does.

    Args:
        shape: (rows, units).
        layer: The dense layer, counted from 0.
        rate: In (0, 1), rounded to a multiple of 2^-32.
        key: int32 (2,), the model's.
        step: The optimiser steps done.
    """
    # Words compare as unsigned numbers once 2^31 is taken from both sides.
    keep = (words(key, step, layer, shape) ^ dropout.signed(1 << 31)) >= dropout.threshold_of(rate) - (1 << 31)
    return keep * (1.0 / (1.0 - rate))
