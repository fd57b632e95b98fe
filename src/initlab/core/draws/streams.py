"""Named streams of random bits: a seed, a purpose and a path give 128 bits, and those give every entry."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.philox import SHIFT_12, central, pairs_in_range
from initlab.core.errors import OptionError

DRAW_VERSION = 1


@dataclass(frozen=True)
class StreamName:
    """What a stream was made from, kept so that a law can take further streams of the same parameter."""

    seed: int
    path: str
    purpose: str


@dataclass(frozen=True)
class Stream:
    """A stream of entries: element *i* is the same whatever else is drawn.

    Attributes:
        key: The 64-bit key of Philox4x32-10.
        high: The upper 64 bits of its counter; the lower 64 are an element's place, halved.
        name: What the stream was made from; None for a stream made of bare numbers, which has no further streams.
    """

    key: int
    high: int
    name: StreamName | None = field(default=None, compare=False)

    def further(self, label: str) -> Stream:
        """The stream of the same seed and path whose purpose is ``<this purpose>#<label>``.

        Raises:
            OptionError: This stream was made of bare numbers.

        Example:
            >>> stream(1, "0/weight").further("1") == stream(1, "0/weight", purpose="weights#1")
            True
        """
        if self.name is None:
            raise OptionError("a stream without a name has no further streams", fix="make it with stream(seed, path)")
        return stream(self.name.seed, self.name.path, purpose=f"{self.name.purpose}#{label}")

    def bits(self, n: int, *, start: int = 0) -> NDArray[np.int64]:
        """The integers *k*, in [0, 2^52), of the elements ``start, ..., start + n - 1``."""
        return (pairs_in_range(self.key, self.high, start, start + n) >> SHIFT_12).astype(np.int64)

    def uniforms(self, n: int, *, start: int = 0) -> NDArray[np.float64]:
        """``u = (k + 0.5) 2^-52``, in (0, 1), of the elements ``start, ..., start + n - 1``; exact.

        Example:
            >>> s = stream(0, "data", purpose="data")
            >>> bool((s.uniforms(5)[2:] == s.uniforms(3, start=2)).all())
            True
        """
        return central(pairs_in_range(self.key, self.high, start, start + n)) + 0.5


def check_seed(seed: SupportsIndex) -> int:
    """The seed as a plain integer.

    Raises:
        OptionError: A Boolean, a float, or a negative number.
    """
    try:
        number = -1 if isinstance(seed, bool | np.bool_) else operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise OptionError(f"the seed must be a whole number of 0 or more, got {seed!r}", fix="e.g. seed=0")
    return number


def stream(seed: SupportsIndex, path: str, *, purpose: str = "weights") -> Stream:
    """The stream named by seed, purpose and path: equal names give equal bits, in every framework.

    The 128 bits are BLAKE2b (16 bytes, no key, no salt) of four fields in this order: draw version, seed, purpose and
    path. A field is its length in bytes as 8 bytes, little-endian, then its bytes. A number is its bytes,
    little-endian, as few as hold it (0 has none); a text is its UTF-8. Bytes 0-7 of the digest, little-endian, are the
    key; bytes 8-15 the upper half of the counter.

    Args:
        seed: A whole number of any size, 0 or more.
        path: The canonical path of the parameter, e.g. ``"0/weight"``.
        purpose: What the stream is for: ``weights``, ``batches``, ``data``, ``dropout``.

    Returns:
        The stream.

    Raises:
        OptionError: A seed that is negative or no integer, or a text that UTF-8 cannot hold.

    Example:
        >>> f"{stream(0, 'weight').key:016x}"
        '293d6a673130262b'
    """
    number = check_seed(seed)
    digest = blake2b(digest_size=16)
    for value in (_bytes_of(DRAW_VERSION), _bytes_of(number), _utf8(purpose), _utf8(path)):
        digest.update(len(value).to_bytes(8, "little") + value)
    raw = digest.digest()
    key, high = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")
    return Stream(key, high, StreamName(number, path, purpose))


def _bytes_of(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise OptionError(f"{text!r} is not valid Unicode text", fix="give the path or purpose as UTF-8") from error


def permutation(source: Stream, n: int) -> NDArray[np.int64]:
    """A permutation of ``0, ..., n - 1``, every one equally likely: the order of the stream's first *n* integers.

    Equal integers keep their order, which touches fewer than ``n^2 / 2^53`` permutations.

    Args:
        source: The stream.
        n: Length, 0 or more.

    Example:
        >>> sorted(permutation(stream(0, "epoch 3", purpose="batches"), 4).tolist())
        [0, 1, 2, 3]
    """
    return np.argsort(source.bits(n), kind="stable").astype(np.int64)
