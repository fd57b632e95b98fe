"""Parameters whose module says nothing of them: told by their use, and by the names that everybody gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from initlab.core.facts.spec import Axes, Role
from initlab.frameworks.jax.reading.layers import Facts
from initlab.frameworks.jax.reading.parameters import Entry, value_of
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.graph import Use
from initlab.frameworks.reading.layout import Layout
from initlab.frameworks.reading.naming import is_scale_name

_LEARNED_TOKEN = re.compile(r"(^|_)(tokens?|query|queries|embed(ding)?s?)$|pos_?emb|position(al)?_(emb|enc)|_table$")


def from_uses(entry: Entry, uses: Sequence[Use]) -> Facts:
    """What a parameter is, where the type of its owner does not say it: a bare one, or one of a Linen module.

    Args:
        entry: The parameter.
        uses: How a trace saw it used; empty where it was not.
    """
    shape, rank = entry.shape, len(entry.shape)
    same = layout.same(shape)
    named = _by_name(entry)
    if named is not None:
        return Facts(named, same, layer_shape=_kernel_shape(entry) if named == "bias" else None)
    is_kernel = entry.leaf == "kernel"
    if not uses or any(use != uses[0] for use in uses[1:]) or not uses[0].clear:
        return Facts("dense", layout.dense(shape)) if is_kernel and rank == 2 else Facts("unknown", same)
    use = uses[0]
    if use.role in ("conv", "conv_transpose") and is_kernel and rank >= 3:
        stride = use.stride if any(n != 1 for n in use.stride) else ()
        return Facts(use.role, layout.conv(shape), groups=use.groups, stride=stride)
    if use.role == "dense" and rank >= 2:
        return _dense(use.axes, shape, is_kernel=is_kernel)
    if use.role in ("embedding", "bias", "scale"):
        return Facts(use.role, same)
    return Facts("scale" if use.role == "norm_bias" else "unknown", same)


def bare_layout(entry: Entry, role: Role, *, has_axes: bool) -> Layout:
    """The layout in which a parameter of no known module is stored; see ``from_uses``."""
    shape = entry.shape
    if entry.leaf == "kernel" and not has_axes:
        if role == "dense" and len(shape) == 2:
            return layout.dense(shape)
        if role in ("conv", "conv_transpose"):
            return layout.conv(shape)
    return layout.same(shape)


def _dense(axes: Axes | None, shape: tuple[int, ...], *, is_kernel: bool) -> Facts:
    """A factor of a matrix product: Flax' own ``(in, out)``, torch's ``(out, in)``, or a kernel with its axes."""
    if is_kernel and len(shape) == 2:
        return Facts("dense", layout.dense(shape))
    return Facts("dense", layout.same(shape), axes=axes)


def _by_name(entry: Entry) -> Role | None:
    rank = len(entry.shape)
    siblings = entry.owner if isinstance(entry.owner, Mapping) else {}
    if isinstance(entry.owner, Mapping) and rank == 1:
        if entry.leaf == "scale":
            return "norm_scale"
        if entry.leaf == "bias":
            return "norm_bias" if "scale" in siblings else "bias"
    if entry.leaf == "embedding" and rank == 2:
        return "embedding"
    if rank >= 1 and _LEARNED_TOKEN.search(entry.leaf):
        return "embedding"
    return "scale" if rank <= 1 and is_scale_name(entry.leaf) else None


def _kernel_shape(entry: Entry) -> tuple[int, ...] | None:
    """The canonical shape of the kernel beside a bias."""
    kernel = entry.owner.get("kernel") if isinstance(entry.owner, Mapping) else None
    if kernel is None:
        return None
    shape = tuple(int(n) for n in value_of(kernel).shape)
    return layout.dense(shape).shape if len(shape) == 2 else layout.conv(shape).shape
