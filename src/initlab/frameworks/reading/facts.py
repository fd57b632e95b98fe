"""What is known of a parameter before a model is traced, by its owner's type and by its names."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from initlab.core.facts.spec import WEIGHT_ROLES, Axes, LayerKind, Role
from initlab.frameworks.reading.intent import Present
from initlab.frameworks.reading.layout import Layout

_LEARNED_TOKEN = re.compile(r"(^|_)(tokens?|query|queries|embed(ding)?s?)$|pos_?emb|position(al)?_(emb|enc)|_table$")
_NORM = re.compile(r"norm(\d?d)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What is known of a parameter without looking at how it is used.

    Attributes:
        role: What it does.
        layout: How its axes become canonical ones.
        groups: Groups of a convolution.
        stride: Stride of a convolution; empty means 1 everywhere.
        blocks: Sizes along canonical axis 0 of what is packed.
        axes: For a kernel that stays in its own layout, its axes by role.
        layer_shape: See ``ParamSpec``.
        layer_kind: See ``ParamSpec``.
        takes_input: Whether the layer's input meets it, rather than a value inside the layer.
        makes_output: Whether the layer returns what it makes, up to the layer's activation.
        is_gated: Whether gates take what it makes, which is no activation's own input.
        f_in: The activation that made its input, where that is inside the layer.
        f_out: The activation that takes its output, where that is inside the layer.
        forget_block: See ``ParamSpec``.
        kept: Why its value stays, where it has to.
    """

    role: Role
    layout: Layout
    groups: int = 1
    stride: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    axes: Axes | None = None
    layer_shape: tuple[int, ...] | None = None
    layer_kind: LayerKind | None = None
    takes_input: bool = True
    makes_output: bool = True
    is_gated: bool = False
    f_in: str | None = None
    f_out: str | None = None
    forget_block: int | None = None
    kept: str = ""


@dataclass(frozen=True, eq=False)
class Parameter:
    """One name of one parameter of a model.

    Attributes:
        native: The framework's own name.
        path: The canonical path.
        first: The first native name of the same memory; its own where no other comes before it.
        module: The name of what holds it.
        shape: Its own shape.
        facts: What its owner's type and its name say; None where only its use can tell.
        unseen: What it is taken for where its use does not tell either; None leaves that open.
        present: Its value.
        frozen: Whether the model's owner excluded it from training.
        padding_row: See ``ParamSpec``.
        is_drawable: See ``ParamSpec``.
        parts: See ``ParamSpec``.
        has_memory: See ``ParamSpec``.
        is_divided: See ``ParamSpec``.
        is_complex: See ``ParamSpec``.
    """

    native: str
    path: str
    first: str
    module: str
    shape: tuple[int, ...]
    facts: Facts | None
    present: Present
    unseen: Facts | None = None
    frozen: bool = False
    padding_row: int | None = None
    is_drawable: bool = True
    parts: tuple[str, ...] = ()
    has_memory: bool = True
    is_divided: bool = False
    is_complex: bool = False


def is_drawn(facts: Facts | None, rank: int) -> bool:
    """Whether a name counts among its siblings: by type and rank alone, so a trace changes no path."""
    return rank >= 2 and (facts is None or facts.role in WEIGHT_ROLES)


def role_by_name(leaf: str, rank: int, siblings: Collection[str] = ()) -> Role | None:
    """Learned tokens are told by the names everybody gives them, and a bias by the kernel beside it in a container.

    Args:
        leaf: The name of a parameter in what holds it.
        rank: Its axes.
        siblings: The names beside it, where its owner is no more than a container of parameters.

    Example:
        >>> role_by_name("pos_embed", 3), role_by_name("bias", 1, ("kernel", "bias")), role_by_name("weight", 1)
        ('embedding', 'bias', None)
    """
    if rank == 1 and leaf == "bias" and siblings and "scale" not in siblings:
        return "bias"
    return "embedding" if rank >= 1 and _LEARNED_TOKEN.search(leaf) else None


def is_spelled_scale(owner: str, leaf: str, rank: int) -> bool:
    """Whether a path says ``scale`` of what a class names ``weight``: a matter of spelling, which decides nothing.

    Example:
        >>> is_spelled_scale("MyRMSNorm", "weight", 1), is_spelled_scale("Scale", "weight", 1)
        (True, False)
    """
    return rank == 1 and leaf == "weight" and _NORM.search(owner) is not None
