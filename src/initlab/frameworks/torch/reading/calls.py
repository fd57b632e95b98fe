"""How calls to torch are read."""

from __future__ import annotations

import torch

from initlab.frameworks.reading.calls import Call, Language
from initlab.frameworks.torch.reading import function_names
from initlab.frameworks.torch.reading.forms import facts_of, form_of

_TURNED = frozenset({"t", "T", "mT", "adjoint", "H", "mH"})


def _moved_axes(axes: tuple[int, ...], call: Call) -> tuple[int, ...] | None:
    if call.name in _TURNED and len(axes) >= 2:
        return (*axes[:-2], axes[-1], axes[-2]) if call.name != "T" else axes[::-1]
    if call.name in ("transpose", "swapaxes", "swapdims"):
        a, b = call.get(1, "dim0", 0), call.get(2, "dim1", 1)
        if isinstance(a, int) and isinstance(b, int):
            order = list(axes)
            order[a], order[b] = order[b], order[a]
            return tuple(order)
    if call.name == "permute":
        given = call.args[1] if len(call.args) == 2 else call.args[1:] or call.kwargs.get("dims")
        if isinstance(given, list | tuple) and all(isinstance(n, int) for n in given):
            return tuple(axes[n] for n in given)
    return None


TORCH = Language(
    function_names.IDENTITY,
    function_names.ELEMENTWISE,
    form_of,
    facts_of,
    _moved_axes,
    sigmoid=torch.sigmoid,
    copied=lambda given: given.clone() if isinstance(given, torch.Tensor) else given,
)
