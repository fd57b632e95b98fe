"""The trainer of the user's own modules: plain tensors and indices, no loader, one thread.

Small modules that ``torch.func`` takes train 32 at a time, all others one after another.
"""

from __future__ import annotations

from collections.abc import Sequence

from initlab.core.training.protocol import Start, Trained, UserTrainingSetup
from initlab.frameworks.torch.training.threads import one_thread
from initlab.frameworks.torch.user_training.eligibility import company
from initlab.frameworks.torch.user_training.single import started, train_alone
from initlab.frameworks.torch.user_training.stacking import MODELS, facts_of
from initlab.frameworks.torch.user_training.vmapped import Programs, train_together

__all__ = ["together", "train"]


def together(setup: UserTrainingSetup) -> tuple[int, str]:
    """How many models of a setup train at a time, 32 or 1, and why it is one; empty where it is not."""
    with one_thread():
        found = company(setup)
    return found.size, found.reason


def train(setup: UserTrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, in the same order; a model's bits do not depend on which others are given with it.

    A module is built under its start's seed, which decides what the plan keeps; then the start's weights are written
    into it. Dropout draws as torch's generator does, seeded by the start alone. All generators are left as they were.

    Args:
        setup: What builds the module, data, optimiser, budget and what to record.
        starts: Seeds and weights.

    Returns:
        A record for each start. A model whose loss becomes NaN or infinite is ``diverged``: its curves and layers are
        NaN from that epoch on, its predicted classes -1 (outputs NaN).

    Raises:
        InitlabError: The function builds something else than it did when the study was planned.
    """
    with one_thread():
        programs = company(setup).programs
        if programs is None:
            return [train_alone(setup, start) for start in starts]
        return _in_chunks(setup, programs, starts)


def _in_chunks(setup: UserTrainingSetup, programs: Programs, starts: Sequence[Start]) -> list[Trained]:
    """Chunks of 32; a start whose module is not like the others, which its seed alone decides, trains alone."""
    modules = [started(setup, start) for start in starts]
    alike = [i for i, module in enumerate(modules) if facts_of(module) == programs.facts]
    results: dict[int, Trained] = {}
    for first in range(0, len(alike), MODELS):
        chunk = alike[first : first + MODELS]
        done = train_together(setup, programs, [starts[i] for i in chunk], [modules[i] for i in chunk])
        results |= dict(zip(chunk, done, strict=True))
    return [results[i] if i in results else train_alone(setup, start) for i, start in enumerate(starts)]
