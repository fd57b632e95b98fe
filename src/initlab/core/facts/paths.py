"""Canonical paths: the name under which a parameter's stream is drawn, the same in every framework."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LEAF_NAMES = {"kernel": "weight", "embedding": "weight", "embeddings": "weight"}
WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})


@dataclass(frozen=True)
class NativeName:
    """A parameter's name in its framework.

    Attributes:
        parts: From the root to the leaf, e.g. ``("encoder", "0", "weight")``.
        automatic: For each part but the leaf, whether the framework made the name up.
        drawn: Whether the parameter is a weight that is drawn, by its role.
    """

    parts: tuple[str, ...]
    automatic: tuple[bool, ...]
    drawn: bool


def is_automatic(name: str, class_name: str = "") -> bool:
    """Whether a framework made a name up: an integer, Keras' ``dense_7``, Flax' ``Dense_0``.

    Args:
        name: One part of a path.
        class_name: The class of the module or layer that bears it.

    Example:
        >>> is_automatic("dense_7", "Dense"), is_automatic("Dense_0", "Dense"), is_automatic("3")
        (True, True, True)
        >>> is_automatic("fc_1", "Dense")
        False
    """
    if name.isdecimal():
        return True
    if not class_name:
        return False
    stem = re.fullmatch(r"(.*?)(_\d+)?", name)
    assert stem is not None
    if stem[1] == class_name:
        return stem[2] is not None
    return stem[1] == _snake_case(class_name)


def _snake_case(class_name: str) -> str:
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def canonical_paths(names: Sequence[NativeName]) -> list[str]:
    """Canonical paths, one a name, in the same order.

    Names that a user chose are kept. A made-up name becomes its ordinal among the siblings that hold a drawn
    parameter, in order of first use, so a norm or an activation put in between changes no other name; a made-up name
    without a drawn parameter becomes ``undrawn_K``. Wrappers are dropped, and ``kernel`` and ``embedding`` are
    ``weight``.

    Args:
        names: All parameters of one model, in the model's order.

    Returns:
        Paths with ``/`` between parts.

    Example:
        >>> chain = [NativeName((str(i), "weight"), (True,), drawn=i != 1) for i in range(3)]
        >>> canonical_paths(chain)      # a norm at index 1
        ['0/weight', 'undrawn_0/weight', '1/weight']
    """
    stripped = [_strip_wrappers(name) for name in names]
    holders = {name.parts[:depth] for name in stripped if name.drawn for depth in range(1, len(name.parts))}
    renamed: dict[tuple[str, ...], str] = {}
    counters: dict[tuple[tuple[str, ...], bool], int] = {}
    return ["/".join(_rename(name, holders, renamed, counters)) for name in stripped]


def _strip_wrappers(name: NativeName) -> NativeName:
    kept = [(part, auto) for part, auto in zip(name.parts, name.automatic, strict=False) if part not in WRAPPERS]
    leaf = name.parts[-1]
    return NativeName(
        (*(part for part, _ in kept), LEAF_NAMES.get(leaf, leaf)), tuple(auto for _, auto in kept), name.drawn
    )


def _rename(
    name: NativeName,
    holders: set[tuple[str, ...]],
    renamed: dict[tuple[str, ...], str],
    counters: dict[tuple[tuple[str, ...], bool], int],
) -> list[str]:
    parts = []
    for depth, automatic in enumerate(name.automatic, start=1):
        prefix = name.parts[:depth]
        if prefix not in renamed:
            renamed[prefix] = prefix[-1]
            if automatic:
                holds = prefix in holders
                ordinal = counters.get((prefix[:-1], holds), 0)
                counters[prefix[:-1], holds] = ordinal + 1
                renamed[prefix] = str(ordinal) if holds else f"undrawn_{ordinal}"
        parts.append(renamed[prefix])
    return [*parts, name.parts[-1]]
