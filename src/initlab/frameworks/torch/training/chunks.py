"""How many models train together: a function of the setup, so that a model's bits do not depend on its company."""

from __future__ import annotations

from initlab.core.training.chunks import models_in_cache
from initlab.core.training.protocol import TrainingSetup

VECTOR = 8


def chunk_size(setup: TrainingSetup) -> int:
    """Models in one chunk: 1, or a multiple of 8 from 16 to 40 that keeps its working set within 4 MB.

    ``torch.func`` costs a few microseconds an operation, which a chunk shares: at 4-64-32-3, beside a step of one model
    alone, a chunk of 40 takes 0.5 of the time a model, of 16 takes 0.7 and of 8 takes 1.3. Of a multiple of 8, no array
    of a chunk ends within a vector register, where the last numbers would be rounded by other instructions than the
    rest.
    """
    fitting = models_in_cache(setup) // VECTOR * VECTOR
    return fitting if fitting >= 2 * VECTOR else 1
