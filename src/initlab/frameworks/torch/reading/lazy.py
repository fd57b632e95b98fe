"""Lazy modules, given the shapes that an example gives them."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.parameter import is_lazy

from initlab.frameworks.torch.reading.record import arguments, refused
from initlab.frameworks.torch.reading.untouched import preserved


def give_shapes(model: object, example: object) -> None:
    """One pass of an example in evaluation mode, after which lazy modules are what they become; else nothing changes.

    A model without lazy modules is left alone. The pass is tried on a copy that shares all memory, so that one stays
    as it was if it does not take the example. Modes, statistics and generators stay as they were.

    Args:
        model: The model.
        example: As for ``describe``.

    Raises:
        ShapeError: The model does not take the example.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
        >>> give_shapes(net, torch.ones(2, 5))
        >>> net[0].weight.shape, net.training
        (torch.Size([3, 5]), True)
    """
    if not isinstance(model, nn.Module) or not _lazy_parts(model):
        return
    args, kwargs = arguments(example, model)
    for tried in (*_copied(model), model):
        try:
            with preserved(tried, but=_lazy_parts(tried)):
                tried(*args, **kwargs)
        except Exception as error:
            raise refused(error, example, model, "example") from error


def _copied(model: nn.Module) -> tuple[nn.Module, ...]:
    """A copy in which all that has a shape is the model's own; none of a model that cannot be copied."""
    own: dict[int, object] = {}
    for one in (*model.parameters(), *model.buffers()):
        own[id(one)] = type(one)(device=one.device, dtype=one.dtype) if is_lazy(one) else one  # type: ignore[call-arg]
    try:
        return (copy.deepcopy(model, own),)
    except Exception:  # whatever a model's own parts do where they are copied
        return ()


def _lazy_parts(model: nn.Module) -> list[nn.Module]:
    found = []
    for module in model.modules():
        held = (*module._parameters.values(), *module._buffers.values())
        if any(is_lazy(one) for one in held if one is not None):
            found.append(module)
    return found
