"""Pictures for trackers, as the bytes of PNG files: first-layer weights, and test images with their classes."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from initlab.core.dataset import Dataset

Pixels = NDArray[np.uint8]

SIDE = 5  # images in a row and in a column of a grid
_SCALE = 3
_RIGHT, _WRONG, _INK = (40, 140, 60), (200, 40, 40), (255, 255, 255)
# Digits of 3 x 5 dots, a row an octal number.
_DIGITS = ("75557", "26227", "71747", "71717", "55711", "74717", "74757", "71111", "75757", "75717")


def png(pixels: Pixels) -> bytes:
    r"""An image (height, width, 3) as a PNG file (ISO/IEC 15948).

    Example:
        >>> png(np.zeros((1, 2, 3), np.uint8))[:8]
        b'\x89PNG\r\n\x1a\n'
    """
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # 0: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def weight_grid(weight: NDArray[np.float32], image_shape: tuple[int, int]) -> bytes:
    """The weights into the first 25 units as images: red above zero, blue below, white at zero; one scale for all.

    Args:
        weight: (units, height * width).
        image_shape: (height, width).
    """
    shown = weight[: SIDE * SIDE].reshape(-1, *image_shape)
    largest = float(np.abs(shown[np.isfinite(shown)]).max(initial=0.0)) or 1.0
    share = np.nan_to_num(np.clip(shown / largest, -1.0, 1.0))
    colour = np.stack([1.0 - np.maximum(-share, 0.0), 1.0 - np.abs(share), 1.0 - np.maximum(share, 0.0)], axis=-1)
    return png(_grid(list(np.rint(255 * colour).astype(np.uint8))))


def example_grid(dataset: Dataset, predictions: NDArray[np.int32]) -> bytes:
    """The first 25 test images, with their class and, after it, the predicted one; wrong ones lie on red.

    Args:
        dataset: Images of classes.
        predictions: The predicted class of each test row, -1 where there is none.
    """
    assert dataset.image_shape is not None
    low, high = float(dataset.x_test.min()), float(dataset.x_test.max())
    tiles = []
    for row, true, predicted in zip(dataset.x_test[: SIDE * SIDE], dataset.y_test, predictions, strict=False):
        grey = np.rint(255 * (row - low) / ((high - low) or 1.0)).astype(np.uint8).reshape(dataset.image_shape)
        tiles.append(_labelled(np.repeat(grey[:, :, None], 3, axis=2), int(true), int(predicted)))
    return png(_grid(tiles))


def _labelled(image: Pixels, true: int, predicted: int) -> Pixels:
    """An image above a strip with its class to the left and the predicted one to the right."""
    strip = np.full((7, image.shape[1], 3), _RIGHT if true == predicted else _WRONG, np.uint8)
    left, right = _number(true), _number(predicted)
    for dots, start in ((left, 1), (right, image.shape[1] - 1 - right.shape[1])):
        place = strip[1:6, max(start, 0) : max(start, 0) + dots.shape[1]]
        place[dots[:, : place.shape[1]]] = _INK
    return np.concatenate([image, strip])


def _number(value: int) -> NDArray[np.bool_]:
    """A whole number in dots, (5, width); a dash for a negative one."""
    if value < 0:
        return np.array([[row == 2] * 3 for row in range(5)])
    digits = [[[int(row) >> bit & 1 for bit in (2, 1, 0)] + [0] for row in _DIGITS[int(d)]] for d in str(value)]
    return np.concatenate([np.array(d, bool) for d in digits], axis=1)[:, :-1]


def _grid(tiles: list[Pixels]) -> Pixels:
    """Images of one shape in rows of five, a light line between them, each pixel enlarged."""
    height, width, _ = tiles[0].shape
    rows = -(-len(tiles) // SIDE)
    page = np.full((rows * (height + 1) + 1, SIDE * (width + 1) + 1, 3), 225, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // SIDE * (height + 1) + 1, i % SIDE * (width + 1) + 1
        page[top : top + height, left : left + width] = tile
    return page.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
