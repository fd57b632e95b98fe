"""The dropout masks of ``frameworks.jax.training.dropout``, bit for bit, in int32: torch's uint32 has no product."""

from __future__ import annotations

import torch
from torch import Tensor


def _signed(word: int) -> int:
    """The int32 with the bits of a 32-bit word."""
    word &= 0xFFFFFFFF
    return word - (word >> 31 << 32)


def _mix(x: Tensor) -> Tensor:
    """MurmurHash3's 32-bit finaliser (Appleby, public domain); ``>>`` repeats the sign, which the masks take off."""
    x = (x ^ (x >> 16 & 0xFFFF)) * _signed(0x85EBCA6B)
    x = (x ^ (x >> 13 & 0x7FFFF)) * _signed(0xC2B2AE35)
    return x ^ (x >> 16 & 0xFFFF)


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
    place = _signed(step * 0x9E3779B9 + layer * 0x7F4A7C15)
    first = _mix(_mix(key[0] ^ place) + key[1])
    second = _mix(_mix(key[1] + place) ^ key[0])
    element = torch.arange(shape[0] * shape[1], dtype=torch.int32).reshape(shape)
    return _mix(_mix(element ^ first) + second)


def mask(shape: tuple[int, ...], layer: int, *, rate: float, key: Tensor, step: int) -> Tensor:
    """What dropout multiplies by: 0 for a share ``rate`` of the elements, 1 / (1 - rate) for the others, as Keras does.

    Args:
        shape: (rows, units).
        layer: The dense layer, counted from 0.
        rate: In (0, 1), rounded to a multiple of 2^-32.
        key: int32 (2,), the model's.
        step: The optimiser steps done.
    """
    threshold = min(round(rate * 2**32), 2**32 - 1)
    # Words compare as unsigned numbers once 2^31 is taken from both sides.
    keep = (words(key, step, layer, shape) ^ _signed(1 << 31)) >= threshold - (1 << 31)
    return keep * (1.0 / (1.0 - rate))
