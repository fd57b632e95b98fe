"""How calls to torch are read."""

from __future__ import annotations

from typing import Any

import torch

from initlab.frameworks.reading.axes import reshaped, spread
from initlab.frameworks.reading.calls import LISTS, Call, Language
from initlab.frameworks.reading.graph import Node, ViewAxes
from initlab.frameworks.torch.reading import function_names
from initlab.frameworks.torch.reading.forms import facts_of, form_of

_TURNED = frozenset({"t", "T", "mT", "adjoint", "H", "mH"})
_SEVERAL = frozenset({"split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk", "unbind"})
_RESHAPES = frozenset(
    {"view", "reshape", "view_as", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel", "atleast_2d"}
)


def is_one_of_several(node: Node) -> bool:
    """Whether a value stands for the tuple that a function returned, as it does where no tensor is at hand."""
    return node.name in _SEVERAL and node.shape is None


def _moved_axes(node: Node, call: Call) -> ViewAxes | None:
    axes = node.axes
    if axes is None:
        return None
    if call.name in _RESHAPES:
        return reshaped(node, call.shape)
    if call.name in ("expand", "expand_as", "broadcast_to"):
        return spread(node, call.shape)
    if call.name in _SEVERAL or call.name == "narrow":
        dim = call.get(1 if call.name in ("unbind", "narrow") else 2, "dim", 0)
        if not isinstance(dim, int) or call.name != "unbind":
            return axes
        return tuple(behind for place, behind in enumerate(axes) if place != dim % len(axes))
    if call.name in _TURNED and len(axes) >= 2:
        return (*axes[:-2], axes[-1], axes[-2]) if call.name != "T" else axes[::-1]
    order = _order(len(axes), call)
    return None if order is None else tuple(axes[n] for n in order)


def _order(rank: int, call: Call) -> list[int] | None:
    """The axes in the order in which a transposition puts them."""
    if call.name in ("transpose", "swapaxes", "swapdims"):
        a, b = call.get(1, "dim0", 0), call.get(2, "dim1", 1)
        if isinstance(a, int) and isinstance(b, int):
            order = list(range(rank))
            order[a], order[b] = order[b], order[a]
            return order
    if call.name == "permute":
        given = call.args[1] if len(call.args) == 2 else call.args[1:] or call.kwargs.get("dims")
        if isinstance(given, list | tuple) and all(isinstance(n, int) for n in given):
            return [n for n in given if isinstance(n, int)]
    return None


def _shape_of(call: Call) -> tuple[int, ...] | None:
    """The shape of what a call makes of parameters alone, where it was followed without numbers."""
    if call.name in _SEVERAL or any(node.shape is None for node in call.nodes):
        return None

    def empty(value: Any) -> Any:
        if isinstance(value, LISTS):
            return type(value)(map(empty, value))
        return torch.empty(value.shape or (), device="meta") if isinstance(value, Node) else value

    try:
        result = call.function(*map(empty, call.args), **{key: empty(value) for key, value in call.kwargs.items()})
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
        return None  # of a function that asks for the numbers
    return tuple(result.shape) if isinstance(result, torch.Tensor) else None


TORCH = Language(
    function_names.IDENTITY,
    function_names.ELEMENTWISE,
    form_of,
    facts_of,
    _moved_axes,
    sigmoid=torch.sigmoid,
    copied=lambda given: given.clone() if isinstance(given, torch.Tensor) else given,
    shape_of=_shape_of,
)
