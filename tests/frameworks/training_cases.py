"""What every trainer is asked for in its tests: small networks that together use every option of a setup."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer, Start, Trained, TrainingSetup

ROWS, TEST_ROWS, EPOCHS, SEED = 70, 33, 3, 5


@dataclass(frozen=True)
class Case:
    arch: Mlp
    optimizer: Optimizer
    loss: str = "cross_entropy"
    kind: str = "classification"
    batch_size: int = 14


# Adam's bias correction 1 - 0.999^t is 1e-3 at first: where it is made in float32 it is off by 3e-5 of itself, and each
# of the 15 steps by as much. The others differ by the rounding of sums alone.
CASES = {
    "sgd": (Case(Mlp((6, 12, 3)), Optimizer("sgd", 0.1)), 2e-6),
    "adam, dropout, partial last batch": (
        Case(Mlp((6, 16, 8, 3), dropout=0.3), Optimizer("adam", 0.01), batch_size=16),
        2e-4,
    ),
    "momentum, clip norm, layer norm, residual": (
        Case(
            Mlp((6, 8, 8, 3), activation="tanh", norm="layer", residual=True),
            Optimizer("momentum", 0.05, clip_norm=0.3),
        ),
        5e-6,
    ),
    # Without biases: a batch norm takes them out, so their gradient is rounding error, and Adam makes full steps of it.
    "adamw, L1, L2, batch norm": (
        Case(
            Mlp((6, 8, 8, 3), activation="gelu", norm="batch", bias=False),
            Optimizer("adamw", 0.01, l1=0.002, l2=0.003),
            batch_size=16,
        ),
        2e-4,
    ),
    "regression": (
        Case(Mlp((6, 8, 3), activation="elu"), Optimizer("adam", 0.01), loss="mse", kind="regression"),
        2e-4,
    ),
    "squared errors of classes": (Case(Mlp((6, 8, 3), activation="sigmoid"), Optimizer("sgd", 0.5), loss="mse"), 2e-6),
}

FEW = ("sgd", "adam, dropout, partial last batch", "adamw, L1, L2, batch norm")
"""The cases that together use most options, for a back end that is slow to start."""


def dataset(case: Case) -> Dataset:
    rng = np.random.default_rng(3)
    x, x_test = (rng.standard_normal((n, 6), dtype=np.float32) for n in (ROWS, TEST_ROWS))
    direction = rng.standard_normal((6, case.arch.widths[-1]), dtype=np.float32)
    y, y_test = x @ direction, x_test @ direction
    if case.kind == "regression":
        return Dataset("line", x, y, x_test, y_test, kind="regression")
    classes = [array.argmax(1).astype(np.int32) for array in (y, y_test)]
    return Dataset("planes", x, classes[0], x_test, classes[1], class_names=("a", "b", "c"))


def weights(case: Case) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    drawn = {}
    for p in case.arch.spec().params:
        scale = np.ones(p.shape, np.float32) if p.role == "norm_scale" else np.zeros(p.shape, np.float32)
        drawn[p.path] = 0.5 * rng.standard_normal(p.shape, dtype=np.float32) if p.role == "dense" else scale
    return drawn


def setup(case: Case) -> TrainingSetup:
    budget = Budget(EPOCHS, case.batch_size)
    return TrainingSetup(case.arch, dataset(case), case.optimizer, budget, loss=case.loss, histogram_epochs=(0, EPOCHS))


def start(case: Case) -> Start:
    return Start(SEED, weights(case))


def arrays_of(done: Trained) -> dict[str, np.ndarray]:
    """All numbers of one run, by name."""
    found = {f"curves/{name}": values for name, values in done.curves.items()}
    found |= {f"layers/{name}": values for name, values in done.layers.items()}
    for h in done.histograms:
        found[f"histograms/{h.epoch}/{h.layer}/{h.quantity}"] = np.array([h.low, h.high, h.counts.sum()])
    return {**found, "predictions": done.predictions}


def assert_alike(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], tolerance: float) -> None:
    """The same names, and numbers that differ by rounding alone, relative to the largest of each array."""
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        # The mean of a gradient or an activation may be zero but for rounding: its size is that of its norm.
        of = wanted.get(name.replace("_mean", "_norm"), values)
        finite = np.abs(of[np.isfinite(of)])
        size = float(finite.max(initial=0.0)) if name != "predictions" or values.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(found[name], values, rtol=0, atol=tolerance * size, err_msg=name)
