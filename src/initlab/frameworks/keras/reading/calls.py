"""How calls to Keras are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from initlab.frameworks.keras.reading import function_names
from initlab.frameworks.keras.reading.forms import facts_of, form_of
from initlab.frameworks.reading.axes import reshaped, spread
from initlab.frameworks.reading.calls import Call, Language
from initlab.frameworks.reading.graph import Node, ViewAxes


def option(call: Call, place: int, name: str, default: Any = None) -> Any:
    """An argument of a function, or what its operation was made with."""
    return call.get(place, name, getattr(getattr(call.function, "__self__", None), name, default))


def _moved_axes(node: Node, call: Call) -> ViewAxes | None:
    axes = node.axes
    if axes is None or call.name == "split":
        return axes
    if call.name in ("reshape", "squeeze", "expanddims", "ravel"):
        return reshaped(node, call.shape)
    if call.name == "broadcastto":
        return spread(node, call.shape)
    if call.name == "unstack":
        axis = option(call, 2, "axis", 0) % len(axes)
        return (*axes[:axis], *axes[axis + 1 :])
    order = _order(len(axes), call)
    return None if order is None else tuple(axes[n] for n in order)


def _order(rank: int, call: Call) -> Sequence[int] | None:
    """The axes in the order in which a transposition puts them."""
    if call.name == "transpose":
        return option(call, 1, "axes") or range(rank)[::-1]
    if call.name != "swapaxes":
        return None
    one, other = (option(call, place, name) % rank for place, name in ((1, "axis1"), (2, "axis2")))
    swapped = {one: other, other: one}
    return [swapped.get(n, n) for n in range(rank)]


KERAS = Language(
    function_names.IDENTITY, function_names.ELEMENTWISE, form_of, facts_of, _moved_axes, sigmoid=keras.ops.sigmoid
)
