"""What a pool leaves of a signal: how alike the values at two places are, from the input to the pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import isfinite, prod
from typing import Literal

from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.reading.recognition import Recognised, second_moment
from initlab.theory import pair_moment
from initlab.theory.pools import pooled

_LARGEST = 10_000  # entries of a pool


@dataclass(frozen=True)
class Pool:
    """A pool of values of a signal that has variance 1 before its activation.

    Attributes:
        f: The activation before it; None where there is none.
        second: ``E y^2`` behind it.
        mean: ``E y`` behind it.
        common: How alike two places behind it are: ``E y y' / E y^2``.
    """

    f: str | None
    second: float
    mean: float
    common: float


def pools(graph: Graph, function_of: Callable[[Node], tuple[Node, Recognised] | None]) -> Mapping[Node, Pool]:
    """The pools of a graph, on white noise: the input's places have nothing in common.

    Args:
        graph: The graph.
        function_of: The value that a value is a function of, and the function; None where it is none.
    """
    common: dict[Node, float] = {}
    found: dict[Node, Pool] = {}
    for node in graph.nodes:
        pool = _pool(node, function_of, common) if node.form == "pool" and node.inputs else None
        if pool is not None:
            found[node] = pool
        common[node] = _common(node, function_of, common) if pool is None else pool.common
    return found


def _common(
    node: Node, function_of: Callable[[Node], tuple[Node, Recognised] | None], common: Mapping[Node, float]
) -> float:
    """How alike the values of a sample at two places are."""
    before = common.get(node.inputs[0], 0.0) if node.inputs else 0.0
    if node.kind == "norm":
        return 0.0 if node.facts.get("norm") in ("batch", "instance") else before
    if node.form == "table" or node.kind in ("input", "unknown"):
        return 0.0
    made = function_of(node)
    return before if made is None else _behind(made[1], common.get(made[0], 0.0))


def _behind(what: Recognised, c: float) -> float:
    """How alike two values of a function are."""
    if what.slope is not None:
        return c
    if what.f is not None:
        return pair_moment(what.f, max(min(c, 1.0), -1.0)) / second_moment(what.f)
    if what.moment is None:
        return c
    return (what.mean**2 + (what.moment - what.mean**2) * c) / what.moment


def _pool(
    node: Node, function_of: Callable[[Node], tuple[Node, Recognised] | None], common: Mapping[Node, float]
) -> Pool | None:
    size, how = node.facts.get("size"), node.facts.get("how")
    if not isinstance(size, int | float) or not isfinite(size) or not 1.0 < size <= _LARGEST:
        return None
    made = function_of(node.inputs[0])
    if made is not None and made[1].f is None and made[1].slope is None:
        return None
    atom, f = (node.inputs[0], None) if made is None else (made[0], made[1].f)
    if atom.kind not in ("weight", "norm", "add", "input"):
        return None
    c, kind = common.get(atom, 0.0), _how(how)
    shares = _shares(node, size)
    name = f or "identity"
    mixed = {n: pooled(name, round(size), correlation=c, how=kind, shared=n) for n in set(shares)}
    first = mixed[shares[0]]
    together = sum(mixed[n].near if n else mixed[n].common for n in shares) / len(shares)
    return Pool(f, first.second, first.mean, together)


def _how(how: object) -> Literal["mean", "max"]:
    return "max" if how == "max" else "mean"


def _shares(node: Node, size: float) -> list[int]:
    """How many entries two pools share, for each pair of places in a window of the same size behind them."""
    inner, outer = node.inputs[0].shape or (), node.shape or ()
    rank = max(len(outer) - 2, 0)
    side = round(size ** (1.0 / rank)) if rank else 0
    if not rank or len(inner) != len(outer) or side < 2 or side**rank != round(size) or not prod(outer):
        return [0]
    stride = round((prod(inner) / prod(outer)) ** (1.0 / rank))
    if stride >= side:
        return [0]
    places = list(product(range(side), repeat=rank))
    lags = [[abs(i - j) for i, j in zip(a, b, strict=True)] for n, a in enumerate(places) for b in places[:n]]
    return [prod(max(side - stride * step, 0) for step in lag) for lag in lags]
