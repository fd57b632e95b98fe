"""What a classifier gets wrong: confusion matrices, and for images examples and the first layer as pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from initlab.core.training.dataset import Dataset
from initlab.report.drawing.text import visible
from initlab.report.study.summary import runs_of
from initlab.study.records import Analysis, RunRecord, StudyDesign
from initlab.study.trackers.pictures import SIDE, example_grid, weight_grid

# Beyond it a matrix has cells too small to hit, and its numbers take more room than all the rest.
MOST_CLASSES = 20
_MOST = 2**15 - 1


@dataclass(frozen=True)
class Confusion:
    """One scheme's test rows by true and by predicted class, summed over the seeds that finished.

    Attributes:
        scheme: The call.
        seeds: Runs that were counted.
        counts: By true class, then by predicted class.
    """

    scheme: str
    seeds: int
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ConfusionFigure:
    """A matrix a scheme, in the study's order."""

    classes: tuple[str, ...]
    matrices: tuple[Confusion, ...]

    def of(self, scheme: str) -> Confusion | None:
        """The matrix of one scheme; None where no run of it finished."""
        return next((matrix for matrix in self.matrices if matrix.scheme == scheme), None)


@dataclass(frozen=True)
class Picture:
    """A PNG file, what it shows in a line, how to read it, and its numbers as ``page.js`` takes them for a CSV."""

    name: str
    title: str
    about: str
    png: bytes
    numbers: Mapping[str, object]


def confusion_figure(design: StudyDesign, records: Sequence[RunRecord], dataset: Dataset) -> ConfusionFigure | None:
    """The confusion matrices of a study; None for regression, and for more than ``MOST_CLASSES`` classes."""
    if dataset.kind != "classification" or dataset.outputs > MOST_CLASSES:
        return None
    matrices = []
    for scheme in design.schemes:
        predicted = [run.predictions for run in _finished_runs(records, scheme, dataset) if run.predictions is not None]
        if predicted:
            true = dataset.y_test.astype(np.int64)
            counts = np.sum([confusion(true, found, dataset.outputs) for found in predicted], axis=0)
            matrices.append(Confusion(scheme, len(predicted), tuple(tuple(row) for row in counts.tolist())))
    return ConfusionFigure(dataset.class_names, tuple(matrices)) if matrices else None


def confusion(true: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Rows counted by true class, then by predicted class; a row without a prediction (-1) is left out.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, -1]), 2).tolist()
        [[1, 1], [0, 0]]
    """
    known = predicted >= 0
    places = true[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def example_pictures(records: Sequence[RunRecord], analysis: Analysis, dataset: Dataset) -> tuple[Picture, ...]:
    """The first 25 test images with their classes under the best scheme, and the first 25 that it gets wrong."""
    runs = () if analysis.best is None else _finished_runs(records, analysis.best, dataset)
    if dataset.image_shape is None or dataset.kind != "classification" or not runs:
        return ()
    run = runs[0]
    assert run.predictions is not None
    told = f"{run.spec.scheme}, seed {run.spec.seed}"
    wrong = np.flatnonzero(run.predictions != dataset.y_test)
    about = "Under each its true class and, after the arrow, the predicted one: blue where they agree, else orange."
    first = np.arange(min(SIDE * SIDE, len(dataset.y_test)))
    grid = example_grid(dataset, run.predictions, title=told)
    pictures = [Picture("examples", "The first test images", about, grid, _classes(dataset, run.predictions, first))]
    if len(wrong):
        shown = wrong[: SIDE * SIDE]
        rows = replace(dataset, x_test=dataset.x_test[shown], y_test=dataset.y_test[shown])
        told_wrong = f"This run gets {len(wrong):,} of {len(dataset.y_test):,} test images wrong"
        said = f"{told_wrong}; {f'the first {len(shown)}' if len(shown) < len(wrong) else 'all'} are here."
        grid = example_grid(rows, run.predictions[shown], title=told)
        numbers = _classes(dataset, run.predictions, shown)
        pictures.append(Picture("mistakes", "Test images that are told wrong", said, grid, numbers))
    return tuple(pictures)


def _classes(dataset: Dataset, predicted: NDArray[np.int32], shown: NDArray[np.intp]) -> Mapping[str, object]:
    """True and predicted class of test rows, counted from 0."""
    names = dict(enumerate(map(visible, dataset.class_names)))
    row = {
        "test_row": shown.tolist(),
        "true": [names[int(dataset.y_test[i])] for i in shown],
        "predicted": [names.get(int(predicted[i]), "none") for i in shown],
    }
    return {"data": {"values": [row]}}


def pack(weight: NDArray[np.float32], image_shape: tuple[int, int]) -> Mapping[str, object]:
    """The weights into the units shown as 16-bit integers: a fifth of the room that they take as text.

    Args:
        weight: (units, height * width).
        image_shape: (height, width).

    Returns:
        ``packed``, the integers in base64, little-endian, the least of them where a weight is not finite; ``scale``,
        what 1 stands for; ``height`` and ``width``.

    Example:
        >>> found = pack(np.array([[-2.0, 1.0, np.inf]], np.float32), (1, 3))
        >>> (np.frombuffer(base64.b64decode(found["packed"]), "<i2") * found["scale"])[:2].round(3).tolist()
        [-2.0, 1.0]
    """
    shown = weight[: SIDE * SIDE].astype(np.float64)
    finite = np.isfinite(shown)
    scale = float(np.abs(shown[finite]).max(initial=0.0)) / _MOST or 1.0
    steps = np.where(finite, np.rint(np.where(finite, shown, 0.0) / scale), -_MOST - 1).astype("<i2")
    height, width = image_shape
    return {"packed": base64.b64encode(steps.tobytes()).decode(), "scale": scale, "height": height, "width": width}


def weight_pictures(records: Sequence[RunRecord], analysis: Analysis, dataset: Dataset) -> tuple[Picture, ...]:
    """The first layer of the best and of the worst scheme, before and after training, as images of the input's shape.

    Of all schemes they would outweigh the rest of the report.
    """
    if dataset.image_shape is None:
        return ()
    ranked = sorted(analysis.rows, key=lambda row: np.inf if row.test_accuracy.mean is None else row.test_accuracy.mean)
    pictures: list[Picture] = []
    for scheme in dict.fromkeys((analysis.best or ranked[-1].scheme, ranked[0].scheme)):
        run = next((run for run in runs_of(records, scheme) if run.first_weights is not None), None)
        weights = () if run is None or run.first_weights is None else run.first_weights
        for when, weight in zip(("at the start", "after training"), weights, strict=False):
            seed = 0 if run is None else run.spec.seed
            grid = weight_grid(weight, dataset.image_shape, title=f"{scheme}, seed {seed}\n{when}")
            title = f"{scheme}, {when}"
            numbers = pack(weight, dataset.image_shape)
            pictures.append(Picture(f"weights-{len(pictures)}", title, "", grid, numbers))
    return tuple(pictures)


def _finished_runs(records: Sequence[RunRecord], scheme: str, dataset: Dataset) -> tuple[RunRecord, ...]:
    """The scheme's runs that finished and predicted every test row."""
    rows = len(dataset.y_test)
    runs = runs_of(records, scheme)
    return tuple(r for r in runs if r.status == "ok" and r.predictions is not None and len(r.predictions) == rows)
