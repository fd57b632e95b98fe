"""Runs trained in this process: for a model that no other process could build."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from initlab.core.errors import InitlabError
from initlab.core.training import OwnRecipe, Start, Trained
from initlab.study.supervise import Failure, Results
from initlab.study.worker import load_trainer, reason_of


def train_here(
    runs: Sequence[int], start: Callable[[int], Start], recipe: OwnRecipe, *, trainer: str
) -> Generator[Results, None, None]:
    """Every run's result, one after another; a run that raises is ``failed``, and the next one goes on.

    Args:
        runs: Numbers that ``start`` takes.
        start: The seed and weights of a run.
        recipe: What all runs share.
        trainer: The trainer, as ``module:function``.

    Yields:
        By number, what training gave, or why it gave nothing.

    Raises:
        InitlabError: The trainer refused its input: no other run would be accepted either.
    """
    train: Callable[..., list[Trained]] = load_trainer(trainer)
    for run in runs:
        try:
            (trained,) = train(recipe, [start(run)])
        except InitlabError:
            raise
        except Exception as error:  # the user's code may raise anything, and all of it is a reason
            yield {run: Failure("failed", reason_of(error))}
        else:
            yield {run: trained}
