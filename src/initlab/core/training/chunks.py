"""How many models of a setup a core's cache holds: what a chunk of models that train together may count."""

from __future__ import annotations

from initlab.core.training.protocol import TrainingSetup

CACHE_BYTES = 4_000_000
LARGEST = 40


def models_in_cache(setup: TrainingSetup) -> int:
    """Models that train together within 4 MB, 0 to 40; a function of the setup alone.

    The working set is the weights, their gradient and the optimiser's moments, and the batch's activations and their
    gradients, each before and after the nonlinearity.
    """
    arch, batch = setup.arch, min(setup.budget.batch_size, len(setup.dataset.x_train))
    copies = {"sgd": 2, "momentum": 3}.get(setup.optimizer.name, 4)
    numbers = copies * arch.parameters + 4 * batch * sum(arch.widths)
    return min(CACHE_BYTES // (4 * numbers), LARGEST)
