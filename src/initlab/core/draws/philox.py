"""Philox4x32-10 (Random123): counter-based bits, so an entry's bits follow from its place alone.

The functions are integer operations on unsigned 64-bit lanes that hold 32-bit words, and serve both paths: NumPy runs
them on arrays, and numba compiles the same source for single lanes.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]
W = TypeVar("W", np.uint64, Words)
F = TypeVar("F", np.float64, Floats)

MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
MASK_32, SHIFT_32 = np.uint64(0xFFFFFFFF), np.uint64(32)

SHIFT_12 = np.uint64(12)
BITS_OF_ONE = np.uint64(0x3FF0000000000000)
HALF_STEP = 2.0**-53


def philox4x32_10(c0: W, c1: W, c2: W, c3: W, k0: np.uint64, k1: np.uint64) -> tuple[W, W, W, W]:
    """The four output words of each counter ``(c0, c1, c2, c3)`` under the key ``(k0, k1)``.

    Args:
        c0: First counter word, below 2^32, in a 64-bit lane; so are the other words.
        c1: Second counter word.
        c2: Third counter word.
        c3: Fourth counter word.
        k0: First key word.
        k1: Second key word.

    Returns:
        The output words, each below 2^32, in 64-bit lanes.

    Example:
        >>> zero = np.zeros(1, np.uint64)
        >>> [f"{int(w[0]):08x}" for w in philox4x32_10(zero, zero, zero, zero, np.uint64(0), np.uint64(0))]
        ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    for _ in range(10):
        p0, p1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        c0, c1 = (p1 >> SHIFT_32) ^ c1 ^ k0, p1 & MASK_32
        c2, c3 = (p0 >> SHIFT_32) ^ c3 ^ k1, p0 & MASK_32
        k0, k1 = (k0 + WEYL_0) & MASK_32, (k1 + WEYL_1) & MASK_32
    return c0, c1, c2, c3


def split_words(number: int) -> tuple[np.uint64, np.uint64]:
    """The lower and the upper 32 bits of a 64-bit number, each in a 64-bit lane."""
    return np.uint64(number & 0xFFFFFFFF), np.uint64(number >> 32)


def pairs_of_blocks(key: int, high: int, blocks: Words) -> tuple[Words, Words]:
    """The two 64-bit pairs of each block: words 0 and 1, then 2 and 3; the first word of a pair is its upper half.

    Args:
        key: 64-bit key; its lower half is the first key word.
        high: Upper 64 bits of the counter; their lower half is the third counter word.
        blocks: Lower 64 bits of the counter.
    """
    k0, k1 = split_words(key)
    c2, c3 = split_words(high)
    zero = np.zeros_like(blocks)
    w0, w1, w2, w3 = philox4x32_10(blocks & MASK_32, blocks >> SHIFT_32, zero + c2, zero + c3, k0, k1)
    return (w0 << SHIFT_32) | w1, (w2 << SHIFT_32) | w3


def pairs_at(key: int, high: int, index: NDArray[np.int64]) -> Words:
    """The 64-bit pair of each element: element *i* owns pair ``i & 1`` of block ``i >> 1``.

    Args:
        key: 64-bit key.
        high: Upper 64 bits of the counter.
        index: Places of the elements in the row-major order of the whole tensor, 0 or more.
    """
    place = index.astype(np.uint64)
    even, odd = pairs_of_blocks(key, high, place >> np.uint64(1))
    return np.where(place & np.uint64(1), odd, even)


def pairs_in_range(key: int, high: int, start: int, stop: int) -> Words:
    """The 64-bit pairs of the elements ``start, ..., stop - 1``."""
    first = start >> 1
    blocks = np.arange(first, (stop + 1) >> 1, dtype=np.uint64)
    pairs = np.empty((len(blocks), 2), np.uint64)
    pairs[:, 0], pairs[:, 1] = pairs_of_blocks(key, high, blocks)
    return pairs.reshape(-1)[start - 2 * first : stop - 2 * first]


def mantissa(pairs: W) -> W:
    """The bits of the float ``1 + k 2^-52``, with *k* the pair's upper 52 bits: *k* behind the exponent of 1."""
    return (pairs >> SHIFT_12) | BITS_OF_ONE


def centred(m: F) -> F:
    """``u - 1/2``, exactly, with ``u = (k + 0.5) 2^-52``, from ``m = 1 + k 2^-52``."""
    return (m - 1.5) + HALF_STEP


def central(pairs: Words) -> Floats:
    """``u - 1/2`` of each pair, exactly, with ``u = (k + 0.5) 2^-52`` and *k* the pair's upper 52 bits.

    Example:
        >>> central(np.array([0, 2**63], np.uint64)).tolist() == [2**-53 - 0.5, 2**-53]
        True
    """
    return centred(mantissa(pairs).view(np.float64))
