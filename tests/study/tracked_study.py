"""Two runs on small images, as if trained, and how their pictures are read."""

import io
from pathlib import Path

import numpy as np
import pytest

from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Histogram, Optimizer
from initlab.study.analysis import analyse
from initlab.study.records import RunRecord, RunSpec, StudyDesign
from initlab.study.trackers import FinishedStudy
from initlab.study.trackers.pictures import png

EPOCHS, SCHEME = 3, "normal(std=0.05)"
CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


# The fill of each unit's four by four weights, before and after training; 1, -1 and 0 have colours of their own.
FILLS = np.array([[1, 1, 1, 1], [1, -1, 0, 1]], np.float32)
RED, BLUE, WHITE, GREY = [178, 24, 43], [33, 102, 172], [255, 255, 255], [136, 136, 136]
HIT, MISS = [0, 114, 178], [213, 94, 0]


def squares() -> Dataset:
    """Thirty images of four by four, the first black and the last white, of the classes 0, 1, 2, 0, 1, ..."""
    x = np.linspace(0, 1, 30, dtype=np.float32)[:, None].repeat(16, axis=1)
    y = (np.arange(30) % 3).astype(np.int32)
    return Dataset("squares", x, y, x, y, class_names=("0", "1", "2"), image_shape=(4, 4))


def record(seed: int) -> RunRecord:
    spec = RunSpec(
        SCHEME, "squares", "", Mlp((16, 4, 3)), Optimizer(), Budget(EPOCHS, 8), seed, histogram_epochs=(0, EPOCHS)
    )
    curves = {name: np.arange(EPOCHS + 1) / 4 + i + seed for i, name in enumerate(CURVES)}
    curves["train_loss"] = np.where(np.arange(EPOCHS + 1), curves["train_loss"], np.nan)
    layers = {"weight_var": np.arange(2.0 * (EPOCHS + 1)).reshape(EPOCHS + 1, 2)}
    bars = [
        Histogram(epoch, "0", "weight", -1.0, 1.0, np.array([1, 2, 3, 4], np.int32) + epoch) for epoch in (0, EPOCHS)
    ]
    weights = np.repeat(FILLS[:, :, None], 16, axis=2)
    predictions = np.zeros(30, np.int32)
    return RunRecord(spec.run_id, spec, "ok", "", None, 0.5, {}, curves, layers, bars, predictions, weights)


def finished(folder: Path) -> FinishedStudy:
    """Two runs that were trained."""
    design = StudyDesign("squares", "squares", (4,), (SCHEME,), Optimizer(), Budget(EPOCHS, 8), seeds=2)
    records, picture = [record(0), record(1)], png(np.zeros((2, 3, 3), np.uint8))
    return FinishedStudy(records, analyse(design, records), squares(), folder, picture)


def decoded(data: bytes) -> np.ndarray:
    """The pixels of a PNG file as Pillow reads them."""
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(data))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


def tiles(page: np.ndarray, height: int) -> list[list[int]]:
    """The colour in the middle of each of the four images, 84 wide, in the last row of a page with a margin of 12."""
    return [page[-(12 + 1 + height // 2), 12 + 1 + 42 + i * (84 + 2 + 4)].tolist() for i in range(4)]
