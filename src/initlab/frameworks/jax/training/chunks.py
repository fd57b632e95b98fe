"""How many models train together: a function of the setup, so that a model's bits do not depend on its company."""

from __future__ import annotations

from initlab.core.training.chunks import models_in_cache
from initlab.core.training.protocol import TrainingSetup

SMALLEST = 4


def chunk_size(setup: TrainingSetup) -> int:
    """Models in one chunk: 1, or from 4 to 40, as many as keep their working set within 4 MB.

    An operation on a tiny network takes less time than starting it, and a chunk shares the start; past the cache a
    chunk waits for memory. Two or three models gain too little over one at a time (5 % for 784-128-10) to pay for each
    one's copy of the evaluated rows.
    """
    fitting = models_in_cache(setup)
    return fitting if fitting >= SMALLEST else 1
