"""Pictures for trackers, as the bytes of PNG files: first-layer weights, and test images with their classes."""

from __future__ import annotations

import struct
import textwrap
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from initlab.core.training.dataset import Dataset
from initlab.study.trackers.lettering import ADVANCE, LINE, letter

Pixels = NDArray[np.uint8]

SIDE = 5  # images in a row and in a column of a grid
MOST_DOTS = 1_024  # rows and columns of a variable's image
_TILE = 84  # about the width of an image on the page, in pixels
_GAP, _MARGIN, _TEXT = 4, 12, 2
_PAPER, _INK, _LOST = (255, 255, 255), (34, 34, 34), (136, 136, 136)
# Brewer's RdBu and the blue and vermilion of Okabe and Ito: pairs that colour-blind readers tell apart.
_ABOVE, _BELOW = (178, 24, 43), (33, 102, 172)
_RIGHT, _WRONG = (0, 114, 178), (213, 94, 0)


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


def weight_grid(weight: NDArray[np.float32], image_shape: tuple[int, int], *, title: str) -> bytes:
    """The weights into the first 25 units as images: red above zero, blue below, white at it, grey where not finite.

    One scale for all, from minus to plus the largest weight shown; it stands below the title.

    Args:
        weight: (units, height * width).
        image_shape: (height, width).
        title: What is shown, e.g. ``"he_normal, seed 0"``; may have several lines.
    """
    shown = weight[: SIDE * SIDE].reshape(-1, *image_shape)
    finite = np.abs(shown[np.isfinite(shown)])
    largest = float(finite.max(initial=0.0))
    tiles = [_enlarge(diverging(unit / (largest or 1.0))) for unit in shown]
    if not len(finite):
        return png(_page(tiles, title, [_text("no weight is finite")]))
    return png(_page(tiles, title, [_scale_bar(largest) if largest else _text("every weight is zero")]))


def variable_image(values: NDArray[np.generic], *, channels_last: bool) -> bytes:
    """A variable as an image, a dot a number: red above zero, blue below, white at it, grey where not finite.

    A matrix lies on its longer side, a vector is a row. Of more axes there is a tile for each pair of the last two that
    are not space, as of the channels of a convolution, with the numbers over space in it. At most ``MOST_DOTS`` rows
    and columns are shown, the first.

    Args:
        values: Of any shape.
        channels_last: Whether the axes of space come first.
    """
    dots = np.squeeze(np.asarray(values, np.float64))
    if dots.ndim > 2:
        dots = _tiled(dots if channels_last else np.moveaxis(dots, (0, 1), (-1, -2)))
    elif dots.ndim == 2 and dots.shape[0] > dots.shape[1]:
        dots = dots.T
    dots = dots.reshape(-1, dots.shape[-1] if dots.ndim else 1)[:MOST_DOTS, :MOST_DOTS]
    largest = float(np.abs(dots[np.isfinite(dots)]).max(initial=0.0))
    return png(diverging(dots / (largest or 1.0)))


def _tiled(dots: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., rows, columns) as rows and columns of tiles, each of the numbers over the axes before."""
    tiles = dots.reshape(-1, 1, *dots.shape[1:]) if dots.ndim == 3 else dots.reshape(len(dots), -1, *dots.shape[-2:])
    height, width, rows, columns = tiles.shape
    return tiles.transpose(2, 0, 3, 1).reshape(rows * height, columns * width)


def diverging(share: NDArray[np.floating]) -> Pixels:
    """Colours of numbers from -1 (blue) over 0 (white) to 1 (red), with a last axis of three; grey where not finite.

    Example:
        >>> diverging(np.array([-1.0, 0.0, 0.5, np.nan])).tolist()
        [[33, 102, 172], [255, 255, 255], [216, 140, 149], [136, 136, 136]]
    """
    part = np.nan_to_num(share, posinf=0.0, neginf=0.0).astype(np.float64)[..., None]
    end = np.where(part > 0, np.array(_ABOVE, np.float64), np.array(_BELOW, np.float64))
    colour = np.rint(255.0 + np.abs(part) * (end - 255.0)).astype(np.uint8)
    return np.where(np.isfinite(share)[..., None], colour, np.array(_LOST, np.uint8))


def example_grid(dataset: Dataset, predictions: NDArray[np.int32], *, title: str) -> bytes:
    """The first 25 test images, below each its class and the predicted one: on blue where they agree, else on orange.

    Args:
        dataset: Images of classes.
        predictions: The predicted class of each test row, -1 where there is none.
        title: Whose predictions, e.g. ``"he_normal, seed 0"``.
    """
    assert dataset.image_shape is not None
    low, high = float(dataset.x_test.min()), float(dataset.x_test.max())
    tiles = []
    for row, true, predicted in zip(dataset.x_test[: SIDE * SIDE], dataset.y_test, predictions, strict=False):
        grey = np.rint(255 * (row - low) / ((high - low) or 1.0)).astype(np.uint8).reshape(dataset.image_shape)
        image = _enlarge(np.repeat(grey[:, :, None], 3, axis=2))
        names = dataset.class_names[int(true)], dataset.class_names[predicted] if predicted >= 0 else "none"
        tiles.append(np.concatenate([image, _label(*names, width=image.shape[1], right=bool(true == predicted))]))
    return png(_page(tiles, title, [_text("test images: true → predicted class")]))


def _enlarge(image: Pixels) -> Pixels:
    scale = max(1, round(_TILE / image.shape[1]))
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def _label(true: str, predicted: str, *, width: int, right: bool) -> Pixels:
    """A strip with both classes: in one line where that fits, else in two of half the size, cut at the edge."""
    strip = np.full((LINE * _TEXT + 2, width, 3), _RIGHT if right else _WRONG, np.uint8)
    line, large = f"{true}→{predicted}", ADVANCE * _TEXT
    lines, scale = ([line], _TEXT) if len(line) * large <= width else ([true, f"→{predicted}"], 1)
    for i, words in enumerate(lines):
        dots = letter(words, scale=scale)[:, :width]
        top, left = i * LINE * scale, (width - dots.shape[1]) // 2
        strip[top : top + len(dots), left : left + dots.shape[1]][dots] = _PAPER
    return strip


def _text(words: str) -> Pixels:
    """A line of text on paper."""
    return np.where(letter(words, scale=_TEXT)[:, :, None], np.array(_INK), np.array(_PAPER)).astype(np.uint8)


def _scale_bar(largest: float) -> Pixels:
    """What the colours mean: minus the largest, the colours, plus the largest."""
    colours = diverging(np.tile(np.linspace(-1, 1, 2 * _TILE), (LINE * _TEXT, 1)))
    colours[[0, 1, -2, -1]] = _PAPER
    return np.concatenate([_text(f"-{largest:.2g} "), colours, _text(f" +{largest:.2g}")], axis=1)


def _page(tiles: Sequence[Pixels], title: str, below: Sequence[Pixels]) -> Pixels:
    """The title's lines, folded to the grid's width, the lines below it, and the grid."""
    grid = _grid(tiles)
    letters = max(24, grid.shape[1] // (ADVANCE * _TEXT))
    folded = [part for line in title.splitlines() for part in textwrap.wrap(line, letters)]
    parts = [*map(_text, folded), *below, np.full((_MARGIN // 2, 1, 3), 255, np.uint8), grid]
    width = max(part.shape[1] for part in parts)
    sides = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in parts]
    return np.pad(np.concatenate(sides), ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), constant_values=255)


def _grid(tiles: Sequence[Pixels]) -> Pixels:
    """Images of one shape, each in a thin frame, in rows of five with gaps between them."""
    framed = [np.pad(tile, ((1, 1), (1, 1), (0, 0)), constant_values=225) for tile in tiles]
    height, width, _ = framed[0].shape
    rows, columns = -(-len(tiles) // SIDE), min(SIDE, len(tiles))
    page = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for i, tile in enumerate(framed):
        top, left = i // SIDE * (height + _GAP), i % SIDE * (width + _GAP)
        page[top : top + height, left : left + width] = tile
    return page
