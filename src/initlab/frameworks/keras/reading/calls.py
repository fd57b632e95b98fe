"""How calls to Keras are read."""

from __future__ import annotations

from typing import Any

import keras

from initlab.frameworks.keras.reading import function_names
from initlab.frameworks.keras.reading.forms import facts_of, form_of
from initlab.frameworks.reading.calls import Call, Language
from initlab.frameworks.reading.graph import Node, ViewAxes


def option(call: Call, place: int, name: str, default: Any = None) -> Any:
    """An argument of a function, or what its operation was made with."""
    return call.get(place, name, getattr(getattr(call.function, "__self__", None), name, default))


def _moved_axes(node: Node, call: Call) -> ViewAxes | None:
    if call.name != "transpose" or node.axes is None:
        return None
    order = option(call, 1, "axes")
    return node.axes[::-1] if order is None else tuple(node.axes[n] for n in order)


KERAS = Language(
    function_names.IDENTITY, function_names.ELEMENTWISE, form_of, facts_of, _moved_axes, sigmoid=keras.ops.sigmoid
)
