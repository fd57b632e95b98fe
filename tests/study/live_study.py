"""A trainer by the loop of all trainers that stops in the middle, until a test lets it go on."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from initlab.core.training.loop import State, train_chunk
from initlab.core.training.protocol import Start, Trained, TrainingSetup

FOLDER, STOP = "INITLAB_TEST_LIVE", 3
"""A variable that names a folder, and the epoch that waits for ``go`` in it."""

DEPTH = 2


class Chunk:
    """One model whose loss falls by the epoch, and whose weights are the epoch's number."""

    def __init__(self, setup: TrainingSetup) -> None:
        self.setup, self.epoch = setup, 0

    def train_epoch(self, orders: Sequence[NDArray[np.int32]], counts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        self.epoch += 1
        while self.epoch == STOP and FOLDER in os.environ and not Path(os.environ[FOLDER], "go").exists():
            time.sleep(0.01)
        return np.full((1, len(counts)), 1 / self.epoch, np.float32), np.ones((1, len(counts)), np.float32)

    def measure(self) -> State:
        tested = np.array([[2 / (1 + self.epoch), 1.0]], np.float32)
        return State(tested, np.zeros(1, np.float32), np.full((1, 10, DEPTH), self.epoch, np.float32))

    def arrays(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return [(self.outputs(),) * 3 for _ in range(DEPTH)]

    def outputs(self) -> np.ndarray:
        return np.full((1, 2, 2), self.epoch, np.float32)

    def first_weights(self, start: Start) -> None:
        return None

    def variables(self) -> dict[str, np.ndarray]:
        return {"first/kernel": np.arange(6, dtype=np.float32).reshape(1, 2, 3) + self.epoch}


def train(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    return [one for start in starts for one in train_chunk(setup, [start], lambda given: Chunk(setup))]
