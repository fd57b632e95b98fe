"""The parameters that a finding's scheme is for, as ``initialize`` takes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from initlab.core.facts.spec import ModelSpec
from initlab.core.plans.plan import matches
from initlab.recipes.recipe import exact

_NUMBER = re.compile(r"(?<=[./])\d+(?=[./])")


def globs_of(spec: ModelSpec, names: Iterable[str]) -> tuple[str, ...]:
    """Globs that match these parameters and no other: one for all numbered layers, where all of them are wanted.

    Args:
        spec: Every parameter.
        names: The framework's own names of some.

    Example:
        >>> from initlab.core.facts.spec import ParamSpec
        >>> names = [f"blocks.{i}.{leaf}" for i in range(3) for leaf in ("w", "u")]
        >>> spec = ModelSpec(tuple(ParamSpec(path=name, native=name, shape=(2, 2)) for name in names))
        >>> globs_of(spec, ["blocks.0.w", "blocks.1.w", "blocks.2.w", "blocks.1.u"])
        ('blocks.*.w', 'blocks.1.u')
    """
    wanted = frozenset(names)
    found: dict[str, None] = {}
    for p in spec.params:
        if p.native in wanted:
            glob = _NUMBER.sub("*", exact(p))
            held = {other.native for other in spec.params if matches(other, glob)}
            found[glob if held <= wanted else exact(p)] = None
    return tuple(found)
