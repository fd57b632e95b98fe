"""Dropout masks from a counter hash: each element of each mask is a function of (seed, step, layer, element).

The arithmetic is that of 32-bit words on any array library, which wraps round alike in uint32 and in int32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

STEP, LAYER = 0x9E3779B9, 0x7F4A7C15
"""What the step and the layer are multiplied by: their sum is a mask's place."""


def words(key: Any, place: Any, element: Any, *, word: Callable[[int], Any], shift: Callable[[Any, int], Any]) -> Any:
    """One 32-bit word an element, the same for the same (key, place, element) wherever it is computed.

    Two rounds of a 32-bit hash, the first entered by the element and one word made of (key, place), the second by
    another, so that two masks whose first words collide still differ. Threefry, JAX's own generator, costs more than
    the whole of a small network's step.

    Args:
        key: The model's two words.
        place: ``step * STEP + layer * LAYER``, of the optimiser step and the dense layer, both counted from 0.
        element: The number of each element.
        word: From a number below 2^32 to the framework's word.
        shift: A word moved right by so many bits, filled up with zeros.
    """

    def mix(x: Any) -> Any:
        """MurmurHash3's 32-bit finaliser (Appleby, public domain): an input bit flips half of the output's."""
        x = (x ^ shift(x, 16)) * word(0x85EBCA6B)
        x = (x ^ shift(x, 13)) * word(0xC2B2AE35)
        return x ^ shift(x, 16)

    first = mix(mix(key[0] ^ place) + key[1])
    second = mix(mix(key[1] + place) ^ key[0])
    return mix(mix(element ^ first) + second)


def threshold_of(rate: float) -> int:
    """The word from which on an element is kept: ``rate`` rounded to a multiple of 2^-32."""
    return min(round(rate * 2**32), 2**32 - 1)


def signed(word: int) -> int:
    """The int32 with the bits of a 32-bit word, for a library whose uint32 has no product."""
    word &= 0xFFFFFFFF
    return word - (word >> 31 << 32)


def signed_shift(x: Any, places: int) -> Any:
    """An int32 moved right; the shift repeats its sign, which is taken off."""
    return x >> places & ((1 << (32 - places)) - 1)
