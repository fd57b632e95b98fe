"""Where residual branches begin and end: told by the sums of a record and what their terms have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from initlab.core.spec import Branch
from initlab.frameworks.keras.calls import Call, Record
from initlab.frameworks.keras.signals import Kind, Signal, kind_of_call

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
        behind = [i for i in graph.within(region) if graph.kinds[i] == "norm" and not _later_weights(graph, i, region)]
        last = Branch(layers, layers, len(regions), True, known[end].activation, bool(behind))
        for i in graph.within(region & graph.weights):
            is_last = not _later_weights(graph, i, region)
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
