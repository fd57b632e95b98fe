"""Where a value keeps its samples and its units: followed from the input through every move of the entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor

from initlab.frameworks.reading.calls import Call
from initlab.frameworks.torch.reading.function_names import CONVOLUTIONS

Shape = tuple[int, ...]

_VIEWS = frozenset(
    {"view", "reshape", "view_as", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel"}
)
_SWAPS = frozenset({"transpose", "swapaxes", "swapdims"})
_CHANNELS_FIRST = frozenset({"batch_norm", "instance_norm", "group_norm", "local_response_norm", *CONVOLUTIONS})


@dataclass(frozen=True)
class Layout:
    """Two axes of a value.

    Attributes:
        batch: The axis that holds the samples.
        inner: Entries behind a sample within that axis, where it was merged with another.
        units: The axis of channels or features.
    """

    batch: int = 0
    inner: int = 1
    units: int = -1


def given(shape: Shape, *, is_picture: bool) -> Layout:
    """The layout of a model's input: channels come behind the samples in pictures, features last elsewhere."""
    return Layout(units=1 if is_picture else len(shape) - 1)


def after(call: Call, before: Layout, old: Shape, new: Shape, rows: int) -> Layout:
    """The layout of what a call made of a value.

    Args:
        call: The call.
        before: The value's layout.
        old: The value's shape.
        new: The shape of what was made.
        rows: Samples.
    """
    if not old or not new:
        return Layout(units=max(len(new) - 1, 0))
    if call.name in _CHANNELS_FIRST and len(new) > 2:
        return Layout(units=1)
    if call.name in _VIEWS:
        return _viewed(before, old, new, rows)
    order = _order(call, len(old))
    if order is not None and len(new) == len(old):
        return Layout(order.index(before.batch), before.inner, order.index(before.units % len(old)))
    last = len(new) - 1
    if len(new) == len(old):
        # Units that are joined or cut stay on their axis; a layer on another axis makes units of its own.
        changed = [axis for axis in range(len(new)) if new[axis] != old[axis]]
        at = before.units % len(new)
        is_kept = call.name != "linear" and (at not in changed or changed == [at])
        units = before.units if is_kept else last
        if new[before.batch] == old[before.batch]:
            return Layout(before.batch, before.inner, units)
    if before.batch < len(new) and before.inner == 1 and new[before.batch] == rows:
        return Layout(before.batch, units=last)
    return Layout(new.index(rows) if rows in new else 0, units=last)


def _viewed(before: Layout, old: Shape, new: Shape, rows: int) -> Layout:
    """A view keeps the order of all entries, so the samples keep their distance in it."""
    distance = before.inner * prod(old[before.batch + 1 :])
    same = before.units < len(new) and new[: before.units + 1] == old[: before.units + 1]
    units = before.units if same and len(new) > 2 else len(new) - 1
    for axis in range(len(new)):
        behind = prod(new[axis + 1 :])
        if behind and distance % behind == 0 and new[axis] % (rows * (distance // behind) or 1) == 0:
            return Layout(axis, distance // behind, units)
    return Layout(units=units)


def _order(call: Call, rank: int) -> list[int] | None:
    """The old axis behind each of the axes that a call has moved; None where it moves none."""
    axes = list(range(rank))
    if call.name in ("t", "mT", "adjoint", "H", "mH") and rank >= 2:
        return [*axes[:-2], axes[-1], axes[-2]]
    if call.name == "T":
        return axes[::-1]
    if call.name in _SWAPS:
        a, b = call.get(1, "dim0", call.kwargs.get("axis0")), call.get(2, "dim1", call.kwargs.get("axis1"))
        if isinstance(a, int) and isinstance(b, int):
            axes[a], axes[b] = axes[b], axes[a]
            return axes
    if call.name == "permute":
        dims = call.args[1] if len(call.args) == 2 else call.args[1:] or call.kwargs.get("dims", ())
        if isinstance(dims, Sequence) and len(dims) == rank:
            return [int(n) % rank for n in dims]
    return None


def arranged(value: Tensor, layout: Layout, rows: int) -> tuple[Tensor, int]:
    """The value with its samples along axis 0, and its axis of units then.

    Where the samples cannot be told apart, axis 0 stays as it is.
    """
    axis, inner = layout.batch, layout.inner
    units = layout.units % value.dim()
    if axis == 0 and inner == 1 and value.shape[0] == rows:
        return value, units
    if axis >= value.dim() or not rows or value.shape[axis] % (rows * inner) or axis == units:
        return value, units
    outer = value.shape[axis] // (rows * inner)
    split = (*value.shape[:axis], outer, rows, inner, *value.shape[axis + 1 :])
    whole = value.reshape(split).movedim(axis + 1, 0)
    kept = [n for n, size in ((axis + 1, outer), (axis + 2, inner)) if size > 1]
    whole = whole.squeeze(tuple(n for n in (axis + 1, axis + 2) if n not in kept))
    return whole, units + len(kept) if units > axis else units + 1
