"""From a chunk's numbers, epoch by epoch, to one record a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initlab.core.training.protocol import Histogram, Start, Trained, TrainingSetup, UserTrainingSetup

PROBE_ROWS = 256
"""Training rows, from the first on, on which the layers are measured."""

FIRST_UNITS = 25
"""Units of the first layer whose weights a record of images keeps: a picture of five by five."""

CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

LAYER_METRICS = (
    "weight_mean",
    "weight_var",
    "weight_norm",
    "activation_mean",
    "activation_var",
    "activation_norm",
    "gradient_mean",
    "gradient_var",
    "gradient_norm",
    "dead",
)


def layer_statistics(
    weight: NDArray[np.float32], activation: NDArray[np.float32], gradient: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The numbers of ``LAYER_METRICS``, in that order, of one dense layer.

    Args:
        weight: The layer's weight.
        activation: (rows, units), its output on the probe batch.
        gradient: Of the probe batch's loss by the weight.

    Example:
        >>> two = np.array([[0.0, 3.0], [0.0, -4.0]], np.float32)
        >>> layer_statistics(two, two, two)[[2, 9]].tolist()      # a norm of 5; one unit of two is 0 for every row
        [5.0, 0.5]
    """
    with np.errstate(all="ignore"):  # of a model that diverged
        moments = [m for x in (weight, activation, gradient) for m in (x.mean(), x.var(), np.sqrt(np.sum(x * x)))]
    return np.array([*moments, np.mean(np.all(activation == 0.0, axis=0))], np.float32)


@dataclass(frozen=True, eq=False)
class EpochRecord:
    """What a chunk of models gave in one epoch; every array's first axis is the model.

    Attributes:
        losses: Of each step, (models, steps); no steps at epoch 0.
        curves: (models, 4), in the order of ``CURVES``; NaN for the first two at epoch 0.
        probe_loss: (models,).
        layers: (models, metrics, dense layers).
        histograms: Of each model; empty where none were asked for.
    """

    losses: NDArray[np.float32]
    curves: NDArray[np.float64]
    probe_loss: NDArray[np.float32]
    layers: NDArray[np.float32]
    histograms: list[list[Histogram]]


def epoch_curves(
    losses: NDArray[np.float32],
    hits: NDArray[np.float32],
    test: NDArray[np.float32],
    *,
    counts: Sequence[int],
    test_rows: int,
) -> NDArray[np.float64]:
    """Of each model the numbers of ``CURVES``, (models, 4): means over the epoch's rows, and over the test rows.

    Args:
        losses: Of each step, (models, steps); no steps at epoch 0.
        hits: Rows classified right in each step, (models, steps).
        test: Loss, and rows classified right, (models, 2).
        counts: Rows of each step of an epoch.
        test_rows: Number of test rows.

    Example:
        >>> losses, hits = np.array([[1.0, 4.0]], np.float32), np.array([[2.0, 1.0]], np.float32)
        >>> epoch_curves(losses, hits, np.array([[0.5, 3.0]], np.float32), counts=[3, 1], test_rows=4).tolist()
        [[1.75, 0.75, 0.5, 0.75]]
    """
    rows = np.asarray(counts, np.float64)
    curves = np.full((len(test), 4), np.nan)
    curves[:, 2:] = test
    curves[:, 3] /= test_rows  # counts are exact in float32, shares are not
    if losses.shape[1]:
        for model, values in enumerate(losses):
            curves[model, 0] = values @ rows / rows.sum()
        curves[:, 1] = hits.sum(axis=1, dtype=np.float64) / rows.sum()
    return curves


def trained(
    setup: TrainingSetup | UserTrainingSetup,
    records: list[EpochRecord],
    outputs: NDArray[np.float32],
    first_weight: NDArray[np.float32] | None,
    *,
    start: Start,
    model: int,
    counts: list[int],
    wall: float,
) -> Trained:
    """The record of one model of the chunk.

    Args:
        setup: What was trained.
        records: From epoch 0 on; fewer than epochs + 1 where every model of the chunk diverged.
        outputs: (models, test rows, outputs) after training.
        first_weight: The first layer's, (models, units, inputs), after training; None where there is no picture of it.
        start: What the model was given.
        model: Its place in the chunk.
        counts: Rows of each step of an epoch.
        wall: Seconds.
    """
    reason, step = _divergence(records, model, len(counts))
    ok = step is None
    epochs = setup.budget.epochs + 1
    kept = len(records) if step is None else (step - 1) // len(counts) + 1
    curves = np.full((4, epochs), np.nan)
    layers = np.full((len(LAYER_METRICS), epochs, setup.arch.depth), np.nan)
    for epoch, record in enumerate(records[:kept]):
        curves[:, epoch] = record.curves[model]
        layers[:, epoch] = record.layers[model]
    return Trained(
        status="ok" if ok else "diverged",
        reason=reason,
        diverged_step=step,
        curves=dict(zip(CURVES, curves, strict=True)),
        layers=dict(zip(LAYER_METRICS, layers, strict=True)),
        histograms=[h for record in records[:kept] for h in (record.histograms[model] if record.histograms else ())],
        predictions=_predictions(setup, outputs[model], ok=ok),
        wall=wall,
        first_weights=None if first_weight is None else _first_weights(setup, start, first_weight[model], ok=ok),
    )


def _divergence(records: list[EpochRecord], model: int, steps: int) -> tuple[str, int | None]:
    """Why and at which step the model diverged, or ``("", None)``.

    The loss at a step is that of the weights before it; those after the last step are judged by the probe batch.
    """
    losses = np.concatenate([record.losses[model] for record in records])
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        step = int(bad[0]) + 1
        return f"loss became {_name(losses[bad[0]])} at step {step} (epoch {(step - 1) // steps + 1})", step
    last = len(records) - 1
    value = records[last].probe_loss[model]
    if last and not np.isfinite(value):
        return f"loss became {_name(value)} after step {last * steps} (epoch {last})", last * steps
    return "", None


def _name(value: np.float32) -> str:
    return "nan" if np.isnan(value) else "inf"


def _predictions(
    setup: TrainingSetup | UserTrainingSetup, outputs: NDArray[np.float32], *, ok: bool
) -> NDArray[np.int32] | NDArray[np.float32]:
    if setup.dataset.kind == "classification":
        return np.argmax(outputs, axis=1).astype(np.int32) if ok else np.full(len(outputs), -1, np.int32)
    return outputs.copy() if ok else np.full_like(outputs, np.nan)


def _first_weights(
    setup: TrainingSetup | UserTrainingSetup, start: Start, after: NDArray[np.float32], *, ok: bool
) -> NDArray[np.float32] | None:
    if setup.dataset.image_shape is None:
        return None
    before = start.weights[setup.arch.weights[0].path if isinstance(setup, UserTrainingSetup) else "0/weight"]
    kept = np.stack([before[:FIRST_UNITS], after[:FIRST_UNITS]]).astype(np.float32, copy=False)
    if not ok:  # how far a diverged model went on depends on the other models of its chunk
        kept[1] = np.nan
    return kept
