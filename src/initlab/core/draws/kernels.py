"""The element-wise draw compiled by numba: the oracle's own arithmetic, arranged for vector registers.

The scalar functions are compiled from the source of ``philox`` and ``quantiles``, so there is one formula. No fastmath,
and nothing lets the compiler contract ``a * b + c``: the bits are the oracle's. What makes it fast: counters in 64-bit
lanes, trip counts that are constants, the central branch of the quantile for all entries of a chunk, and the tails,
15 % of a normal, picked into a dense array, done in a loop of their own, and put back.

Importing this module imports numba.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numba
import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from initlab.core.draws import philox, quantiles
from initlab.core.draws.philox import MASK_32, SHIFT_32, centred, mantissa, philox4x32_10
from initlab.core.draws.quantiles import (
    CENTRAL,
    FAR,
    SMALLEST_TAIL,
    central_branch,
    estrin,
    far_branch,
    log_of_product,
    near_branch,
    split,
)

if TYPE_CHECKING:
    from numba.core.dispatcher import Dispatcher

if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    raise ImportError("numba is told not to compile")

Function = TypeVar("Function", bound=Callable[..., object])
Kernel: TypeAlias = Callable[..., int]

BLOCKS = np.uint64(512)
ENTRIES = np.uint64(1024)
ONE, TWO = np.uint64(1), np.uint64(2)
SHARED = (philox4x32_10, mantissa, centred, estrin, central_branch, near_branch, far_branch, split, log_of_product)


def _inlined(function: Function) -> Function:
    """The function, unchanged; compiled callers take its machine code into their own, before loops become vectors."""

    def itself(*_: object) -> Function:
        return function

    overload(function, strict=False, jit_options={"forceinline": True, "error_model": "numpy"})(itself)
    return function


def _compiled(function: Function) -> Dispatcher[Function]:
    """The function, compiled at its first call, and kept on disk where there is a folder that numba can write to."""
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # numba's way to say that neither the source's folder nor the user's cache is writable
        return numba.njit(nogil=True, error_model="numpy")(function)


for _function in SHARED:
    _inlined(_function)


@_inlined
def _write_pairs(
    chunk: np.uint64, k0: np.uint64, k1: np.uint64, c2: np.uint64, c3: np.uint64, pairs: NDArray[np.uint64]
) -> None:
    """The 1024 pairs of a chunk; the block numbers are written so that the compiler sees where 32 bits are enough."""
    for j in range(BLOCKS):
        block = chunk * BLOCKS + np.uint64(j)
        w0, w1, w2, w3 = philox4x32_10(block & MASK_32, block >> SHIFT_32, c2, c3, k0, k1)
        pairs[TWO * np.uint64(j)] = (w0 << SHIFT_32) | w1
        pairs[TWO * np.uint64(j) + ONE] = (w2 << SHIFT_32) | w3


@_inlined
def _central(pair: np.uint64, width: float, middle: float) -> np.float64:
    return centred(np.uint64(mantissa(pair)).view(np.float64)) * width + middle


@_inlined
def _depth(c: np.float64) -> np.float64:
    """The argument of the outer branches."""
    exponent, bits = split(np.float64(max(0.5 - abs(c), SMALLEST_TAIL)).view(np.int64))
    return np.float64(np.sqrt(-log_of_product(np.float64(exponent), np.int64(bits).view(np.float64))))


@_inlined
def _patch_tails(
    c: NDArray[np.float64],
    value: NDArray[np.float64],
    place: NDArray[np.uint16],
    tail: NDArray[np.float64],
    size: NDArray[np.float64],
) -> None:
    """Put the outer branches' quantiles in where ``|c| > 0.425``; the last three arguments are work space."""
    tails = np.uint64(0)
    for j in range(ENTRIES):
        place[tails] = j
        tail[tails] = c[j]
        tails += np.uint64(abs(c[j]) > CENTRAL)
    far = 0
    for j in range(tails):
        r = _depth(tail[j])
        size[j] = near_branch(r)
        far |= int(r > FAR)
    if far:
        for j in range(tails):
            r = _depth(tail[j])
            if r > FAR:
                size[j] = far_branch(r)
    for j in range(tails):
        value[place[j]] = -size[j] if tail[j] < 0.0 else size[j]


def uniform_kernel(sources: int) -> Kernel:
    """A kernel that fills whole chunks where the formula's quantile function is the identity; see ``kernel``."""

    @_compiled
    def uniform(
        out: NDArray[np.floating], first: np.uint64, k0: np.uint64, k1: np.uint64, c2: np.uint64, c3: np.uint64,
        width: float, middle: float, low: float, high: float, scale: float, shift: float,
    ) -> int:  # fmt: skip
        pairs = np.empty(ENTRIES, np.uint64)
        for chunk in range(np.uint64(out.size) // ENTRIES):
            _write_pairs(first + chunk, k0, k1, c2, c3, pairs)
            part = out[chunk * ENTRIES : (chunk + ONE) * ENTRIES]
            for j in range(ENTRIES):
                part[j] = min(max(_central(pairs[j], width, middle), low), high) * scale + shift
        return sources

    return uniform


def normal_kernel(sources: int) -> Kernel:
    """A kernel that fills whole chunks where the formula's quantile function is the normal's; see ``kernel``."""

    @_compiled
    def normal(
        out: NDArray[np.floating], first: np.uint64, k0: np.uint64, k1: np.uint64, c2: np.uint64, c3: np.uint64,
        width: float, middle: float, low: float, high: float, scale: float, shift: float,
    ) -> int:  # fmt: skip
        pairs, place = np.empty(ENTRIES, np.uint64), np.empty(ENTRIES, np.uint16)
        c, value, tail, size = np.empty(ENTRIES), np.empty(ENTRIES), np.empty(ENTRIES), np.empty(ENTRIES)
        for chunk in range(np.uint64(out.size) // ENTRIES):
            _write_pairs(first + chunk, k0, k1, c2, c3, pairs)
            for j in range(ENTRIES):
                c[j] = _central(pairs[j], width, middle)
                value[j] = central_branch(c[j])
            _patch_tails(c, value, place, tail, size)
            part = out[chunk * ENTRIES : (chunk + ONE) * ENTRIES]
            for j in range(ENTRIES):
                part[j] = min(max(value[j], low), high) * scale + shift
        return sources

    return normal


@cache
def kernel(*, normal: bool) -> Kernel:
    """The kernel of a formula's kind.

    Its arguments: ``out``, float32 or float64 and a multiple of 1024 long; the chunk of 1024 entries it starts with;
    the stream's key and upper counter, each as a lower and an upper word; then the formula's numbers in their order.
    It returns a digest of the sources it was compiled from: numba's cache looks at this file alone, and at the values
    that a kernel closes over, so the digest makes it forget kernels of other arithmetic.
    """
    text = b"".join(Path(str(module.__file__)).read_bytes() for module in (philox, quantiles))
    sources = int.from_bytes(sha256(text).digest()[:7], "little")
    return normal_kernel(sources) if normal else uniform_kernel(sources)
