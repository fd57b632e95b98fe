"""Models without memory: built while somebody watches, and given memory and numbers at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import SupportsIndex, TypeVar

from initlab.api.planning import Globs, check_holds_weights, plan
from initlab.core.adapter import Overrides
from initlab.core.facts.fans import Dialect
from initlab.core.plans.bound import write_plan
from initlab.core.plans.plan import Plan
from initlab.frameworks.registry import recording

M = TypeVar("M")


@contextmanager
def record_construction() -> Iterator[None]:
    """Within it, who writes the numbers of models that are built is remembered, on torch's ``meta`` device too.

    ``plan`` and ``audit`` then know a value that its author chose from one that was drawn, as with ``plan(build=...)``,
    and ``materialize`` knows what a model without memory is to hold. What is written after it is not seen.

    Raises:
        OptionError: No framework is imported yet.

    Example:
        >>> import torch
        >>> with record_construction(), torch.device("meta"):
        ...     net = torch.nn.Linear(3, 2)
        ...     _ = torch.nn.init.constant_(net.bias, -2)
        >>> materialize(net, "he_normal", seed=1).bias.tolist()
        [-2.0, -2.0]
    """
    with recording():
        yield


def materialize(
    model: M,
    schemes: str | Mapping[str, str] = "auto",
    *,
    seed: SupportsIndex | None = None,
    device: object = "cpu",
    example: object = None,
    overrides: Overrides | None = None,
    include: Globs = None,
    exclude: Globs = None,
    reinit: bool = False,
    dialect: Dialect | None = None,
    strict: bool = False,
) -> M:
    """The model, in which all that was on torch's ``meta`` device has memory, with the bits that ``initialize`` gives.

    Parameters that no rule draws, and buffers, have the numbers that the model's construction would have written there
    without drawing, where it was recorded (``record_construction``, or ``plan(build=...).model``); other buffers are
    rebuilt by ``reset_parameters`` or ``init_weights`` of the modules that hold them. All else is refused by name, and
    the model stays as it is. Parameters are new objects: make an optimizer afterwards.

    Args:
        model: A PyTorch model.
        schemes: As for ``plan``.
        seed: As for ``initialize``.
        device: Where the memory is; what has memory stays where it is.
        example: As for ``plan``; moved to the ``meta`` device.
        overrides: As for ``plan``.
        include: As for ``plan``.
        exclude: As for ``plan``; the excluded hold what the construction wrote, or are refused.
        reinit: As for ``plan``.
        dialect: As for ``plan``.
        strict: As for ``plan``.

    Returns:
        The same model.

    Raises:
        OptionError: A device that is not there.
        InitlabError: What ``plan`` raises; or parameters and buffers of which nothing says what they hold.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net = torch.nn.Linear(3, 2)
        >>> materialize(net, "he_normal", seed=1).weight.shape
        torch.Size([2, 3])
    """
    check_holds_weights(model)
    bound = plan(
        model,
        schemes,
        example=example,
        overrides=overrides,
        include=include,
        exclude=exclude,
        reinit=reinit,
        dialect=dialect,
        strict=strict,
    )
    bound.plan.check()
    drawn = [entry.param.native for entry in bound if entry.action == "initialise"]
    with bound.adapter.allocated(model, device, drawn):
        write_plan(replace(bound, plan=_with_memory(bound.plan)), seed)
    bound.account.warn(stacklevel=2)
    return model


def _with_memory(made: Plan) -> Plan:
    """The plan of the same model once it has memory."""
    rows = (replace(entry, param=replace(entry.param, has_memory=True)) for entry in made)
    return replace(made, entries=tuple(rows))
