"""Where residual branches begin and end: told by the sums of a record and what their terms have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from initlab.core.facts.spec import Branch
from initlab.frameworks.keras.reading.calls import Call, Record
from initlab.frameworks.keras.reading.signals import Kind, Signal, is_gate, kind_of_call

_SUMS = frozenset({"add", "subtract"})


@dataclass(frozen=True, eq=False)
class Graph:
    """A record with what comes before what; calls are bits of a number, sets of calls are numbers.

    Attributes:
        calls: The calls; the model's inputs stand before them, one bit each.
        kinds: How each call treats its signal.
        before: For each tensor, the call or input that made it and all before it.
        bit: For each call, its bit.
        weights: All calls that multiply by a weight.
    """

    calls: list[Call]
    kinds: list[Kind]
    before: Mapping[int, int]
    bit: list[int]
    weights: int

    def within(self, region: int) -> list[int]:
        """Indices of the calls of a set, in order."""
        return [i for i, bit in enumerate(self.bit) if bit & region]


@dataclass(frozen=True, eq=False)
class Residual:
    """What the residual sums say of the layers.

    Attributes:
        branches: For each weight layer in a branch, by id, its place.
        last_norms: For each norm layer after the last weight of a branch, by id, its place; the one before the sum
            is the last.
        heads: Ids of weight layers after which no other weight comes.
    """

    branches: Mapping[int, Branch]
    last_norms: Mapping[int, Branch]
    heads: frozenset[int]


def graph_of(record: Record) -> Graph:
    """The graph of a record."""
    inputs = sorted(record.inputs)
    before = {tensor: 1 << place for place, tensor in enumerate(inputs)}
    kinds: list[Kind] = [kind_of_call(call) for call in record.calls]
    bits, weights = [], 0
    for place, call in enumerate(record.calls, start=len(inputs)):
        bit = 1 << place
        bits.append(bit)
        weights |= bit if kinds[len(bits) - 1] == "weight" else 0
        past = bit
        for tensor in call.inputs:
            past |= before.get(tensor, 0)
        before.update({tensor: past for tensor in call.outputs if tensor not in before})
    return Graph(record.calls, kinds, before, bits, weights)


def residual(graph: Graph, known: Mapping[int, Signal]) -> Residual:
    """The branches of every residual sum; a layer in several nested ones belongs to the innermost."""
    regions = sorted(_regions(graph), key=lambda one: one[0].bit_count())
    found: dict[int, Branch] = {}
    norms: dict[int, Branch] = {}
    for region, end in regions:
        depths = _depths(graph, region)
        layers = max(depths.values())
        closing = _closing(graph, known, end, region)
        behind = [i for i in closing if graph.kinds[i] == "norm"]
        last = Branch(layers, layers, len(regions), True, known[end].activation, bool(behind))
        for i in graph.within(region & graph.weights):
            is_last = i in closing
            inner = Branch(depths[i], layers, len(regions), is_last=False)
            found.setdefault(id(graph.calls[i].layer), replace(last, layer=depths[i]) if is_last else inner)
        for i in behind:
            norms.setdefault(id(graph.calls[i].layer), replace(last, is_last=i == behind[-1]))
    everything = sum(graph.bit)
    heads = {id(graph.calls[i].layer) for i in graph.within(graph.weights) if not _later_weights(graph, i, everything)}
    return Residual(found, norms, frozenset(heads))


def _regions(graph: Graph) -> list[tuple[int, int]]:
    """The calls of each branch, but not those it shares with the rest of its sum, and the tensor that it ends in."""
    regions = []
    for call in graph.calls:
        if call.kind not in _SUMS or len(call.inputs) < 2:
            continue
        pasts = [graph.before.get(tensor, 0) for tensor in call.inputs]
        counts = [(past & graph.weights).bit_count() for past in pasts]
        skip = pasts[counts.index(min(counts))]
        for tensor, past in zip(call.inputs, pasts, strict=True):
            if past is not skip and _is_branch(graph, past, skip):
                regions.append((past & ~skip, tensor))
    return regions


def _is_branch(graph: Graph, past: int, skip: int) -> bool:
    """Whether a term of a sum is a branch around the other, which may hold one weight of its own (a projection)."""
    shared = past & skip
    inside = (past & ~skip & graph.weights).bit_count()
    beside = (skip & ~past & graph.weights).bit_count()
    if not shared or not inside:
        return False
    return beside == 0 or (beside == 1 and inside > 1 and bool(shared & graph.weights))


def _closing(graph: Graph, known: Mapping[int, Signal], end: int, region: int) -> list[int]:
    """The weights and norms of a branch that its end takes with no other weight in between, in order.

    Of a product with gates the other factors are followed: a gate's weights do not scale the product.
    """
    makers = {tensor: i for i in reversed(graph.within(region)) for tensor in graph.calls[i].outputs}
    found, seen, stack = set[int](), set[int](), [end]
    while stack:
        tensor = stack.pop()
        i = makers.get(tensor)
        if i is None or i in seen:
            continue
        seen.add(i)
        if graph.kinds[i] in ("weight", "norm"):
            found.add(i)
        if graph.kinds[i] != "weight":
            stack.extend(_carried(graph.calls[i], known))
    return sorted(found)


def _carried(call: Call, known: Mapping[int, Signal]) -> tuple[int, ...]:
    """The inputs whose size the call's output follows."""
    if call.kind != "multiply":
        return call.inputs
    return tuple(x for x in call.inputs if not is_gate(known[x])) or call.inputs


def _depths(graph: Graph, region: int) -> dict[int, int]:
    """For each weight of a branch, the weights on the longest way to it from the branch's start, itself among them."""
    depths: dict[int, int] = {}
    for i in graph.within(region & graph.weights):
        past = _past(graph, i) & region & ~graph.bit[i]
        depths[i] = 1 + max((depths[j] for j in graph.within(past & graph.weights)), default=0)
    return depths


def _later_weights(graph: Graph, i: int, region: int) -> bool:
    """Whether a weight of the region comes after a call."""
    later = region & graph.weights & ~graph.bit[i]
    return any(_past(graph, j) & graph.bit[i] for j in graph.within(later))


def _past(graph: Graph, i: int) -> int:
    return graph.before[graph.calls[i].outputs[0]]


def shared_layers(graph: Graph) -> list[Any]:
    """Weight layers that are called more than once."""
    seen: dict[int, int] = {}
    layers: dict[int, Any] = {}
    for i in graph.within(graph.weights):
        layer = graph.calls[i].layer
        seen[id(layer)] = seen.get(id(layer), 0) + 1
        layers[id(layer)] = layer
    return [layers[key] for key, count in seen.items() if count > 1]
