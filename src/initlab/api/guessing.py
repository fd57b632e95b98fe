"""A model probed without a batch of the user's: inputs are made up, and the first that it takes is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from initlab.core.errors import InitlabError, OptionError, ShapeError
from initlab.core.factories import exits_refused
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks import adapter_for, framework_of
from initlab.frameworks.reading.made_up import Asked, MadeUp, first_weight, made_up, told

T = TypeVar("T")


def first_taken(model: object, use: Callable[[object], T], shapes: Sequence[tuple[int, ...]] = ()) -> tuple[T, MadeUp]:
    """What came of the first made-up input that the model takes, and that input.

    Args:
        model: A PyTorch, Keras or Flax model.
        use: Given an input; raises a ``ShapeError`` where the model does not take it.
        shapes: Of a sample of each input, where the user said so.

    Raises:
        OptionError: None was taken; the fix says which shape to give.
    """
    is_last = (framework := framework_of(model)) is None or framework.channels_last
    asked = [Asked(shape) for shape in shapes]
    if not asked and framework is not None and framework.asked is not None:
        asked = list(framework.asked(model))
    params = _parameters(model, asked)
    refused: list[InitlabError] = []
    for made in made_up(params, asked, channels_last=is_last):
        try:
            return use(made.batch), made
        except ShapeError as error:
            refused.append(error)
    if shapes and refused:
        raise refused[0]
    what, shape = told(first_weight(params), channels_last=is_last)
    tried = f", and none of {len(refused)} that were tried fits" if refused else ""
    raise OptionError(
        f"the model's input cannot be guessed: {what}{tried}",
        fix=f"give a batch, or the shape of a sample as --input {shape}, once for each input",
    )


def _parameters(model: object, asked: Sequence[Asked]) -> tuple[ParamSpec, ...]:
    """The model's parameters; one that has none before its first call is called, where the shapes are known."""
    adapter = adapter_for(model)
    with exits_refused():
        try:
            return adapter.describe(model).params
        except ShapeError:
            raise
        except InitlabError:
            if not asked:
                raise
            example = next(iter(made_up((), asked, channels_last=True))).batch
            return adapter.describe(model, example=example).params
