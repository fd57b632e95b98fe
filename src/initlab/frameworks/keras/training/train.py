"""The trainer of our own networks on Keras, whichever its back end: one model at a time, by Keras' compiled step.

Every rule is that of ``initlab.frameworks.jax.training.train``: the same batches, dropout masks and records.
"""

from __future__ import annotations

from collections.abc import Sequence

from initlab.core.training.checks import check_setup, check_start
from initlab.core.training.loop import train_chunk
from initlab.core.training.protocol import Start, Trained, TrainingSetup
from initlab.frameworks.keras.activations import activation
from initlab.frameworks.keras.training.program import program

__all__ = ["train"]


def train(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, one after another in the same order, by one set of compiled models.

    Args:
        setup: Architecture, data, optimiser, budget and what to record.
        starts: Seeds and weights.

    Returns:
        A record for each start. A model whose loss becomes NaN or infinite is ``diverged``: its curves and layers are
        NaN from that epoch on, its predicted classes -1 (outputs NaN).

    Raises:
        ShapeError: Weights or data that do not fit the architecture.
        OptionError: A loss that does not fit the data, or an activation that Keras has not.
        UnknownNameError: An unknown activation.
    """
    check_setup(setup)
    activation(setup.arch.activation)
    for start in starts:
        check_start(setup.arch, start)
    return [one for start in starts for one in train_chunk(setup, [start], program(setup).begin)]
