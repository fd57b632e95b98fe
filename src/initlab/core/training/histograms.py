"""Histograms of the weights, activations and gradients of every dense layer of a chunk of models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from initlab.core.training.protocol import Histogram, Quantity

BINS = 64


def layer_histograms(values: NDArray[np.float32], *, epoch: int, layer: int, quantity: Quantity) -> list[Histogram]:
    """One histogram for each model of a chunk.

    Args:
        values: (models, ...).
        epoch: Counted from 1; 0 is the state at initialization.
        layer: The dense layer, counted from 0.
        quantity: What the values are.
    """
    low, high, counts = bin_counts(values.reshape(len(values), -1))
    return [
        Histogram(epoch, str(layer), quantity, float(a), float(b), row)
        for a, b, row in zip(low, high, counts, strict=True)
    ]


def bin_counts(
    values: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    """Each row's lowest and highest value, and how many values lie in each of 64 equal bins between them.

    A row of one value alone gets the range value ± 0.5, as in ``numpy.histogram``. Values that are not finite are not
    counted.

    Args:
        values: (rows, values).

    Example:
        >>> low, high, counts = bin_counts(np.array([[0.0, 1.0, 64.0]], np.float32))
        >>> float(low[0]), float(high[0]), counts[0][:3].tolist(), int(counts[0][63])
        (0.0, 64.0, [1, 1, 0], 1)
    """
    finite = np.isfinite(values)
    low = np.min(values, axis=1, initial=np.inf, where=finite).astype(np.float64)
    high = np.max(values, axis=1, initial=-np.inf, where=finite).astype(np.float64)
    flat = ~(low < high)
    middle = np.where(np.isfinite(low), low, 0.0)
    low, high = np.where(flat, middle - 0.5, low), np.where(flat, middle + 0.5, high)
    scaled = (np.where(finite, values, low[:, None]) - low[:, None]) * (BINS / (high - low))[:, None]
    places = np.minimum(scaled.astype(np.int64), BINS - 1) + BINS * np.arange(len(values))[:, None]
    counts = np.bincount(places[finite], minlength=BINS * len(values))
    return low, high, counts.reshape(-1, BINS).astype(np.int32)


def chunk_histograms(
    arrays: Sequence[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]], *, epoch: int
) -> list[list[Histogram]]:
    """For each model of a chunk the histograms of every layer's weights, activations and gradients.

    Args:
        arrays: The three arrays of each dense layer, each (models, ...).
        epoch: Counted from 1; 0 is the state at initialization.
    """
    per_array = [
        layer_histograms(values, epoch=epoch, layer=layer, quantity=quantity)
        for layer, (weight, activation, gradient) in enumerate(arrays)
        for quantity, values in _named(weight, activation, gradient)
    ]
    return [list(one_model) for one_model in zip(*per_array, strict=True)]


def _named(
    weight: NDArray[np.float32], activation: NDArray[np.float32], gradient: NDArray[np.float32]
) -> tuple[tuple[Quantity, NDArray[np.float32]], ...]:
    return (("weight", weight), ("activation", activation), ("gradient", gradient))
