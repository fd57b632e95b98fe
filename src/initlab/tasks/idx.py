"""The IDX format of the MNIST family: a magic number, the sizes of the axes, then one byte an entry."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import DataError

_UNSIGNED_BYTE = 0x08


def decode_idx(raw: bytes, *, where: str) -> NDArray[np.uint8]:
    """The array inside an uncompressed IDX file; a byte too few or too many is an error.

    Layout: two zero bytes, 0x08 for unsigned bytes, the number of axes, each axis as a big-endian 32-bit number,
    then the entries in row-major order (LeCun, Cortes and Burges, "The MNIST database").

    Args:
        raw: The whole file.
        where: Its name, for the error.

    Returns:
        A read-only view of ``raw``.

    Raises:
        DataError: The magic number is wrong, or the length is not what the header says.

    Example:
        >>> decode_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 0]), where="two labels").tolist()
        [5, 0]
    """
    mend = "replace or remove that file"
    if len(raw) < 4 or raw[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise DataError(f"no IDX file of bytes, it begins with {raw[:4].hex() or 'nothing'}", where=where, fix=mend)
    axes, start = raw[3], 4 + 4 * raw[3]
    if axes == 0 or len(raw) < start:
        raise DataError(f"the IDX header is torn, {len(raw)} bytes for {axes} axes", where=where, fix=mend)
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", count=axes, offset=4))
    if len(raw) != start + math.prod(shape):
        found, due = len(raw), start + math.prod(shape)
        raise DataError(f"{found} bytes where the IDX header {shape} says {due}", where=where, fix=mend)
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def encode_idx(array: NDArray[np.uint8]) -> bytes:
    """The uncompressed IDX file of an array.

    Example:
        >>> import numpy as np
        >>> encode_idx(np.array([5, 0], dtype=np.uint8)).hex()
        '00000801000000020500'
    """
    header = bytes([0, 0, _UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    return header + np.ascontiguousarray(array).tobytes()
