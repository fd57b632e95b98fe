"""The nodes of a recorded pass as the framework-neutral places that a probe reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from initlab.core.signals.readings import Place, PlaceKind
from initlab.frameworks.keras.probing.nodes import Node
from initlab.frameworks.keras.probing.recorder import Ear
from initlab.frameworks.keras.reading.recognition import GRID, is_affine


def places(ear: Ear, outputs: Sequence[int]) -> tuple[tuple[Place, ...], dict[int, int]]:
    """The places of a pass, and the place of each node; what leads to no output and no weight is left out."""
    nodes = ear.nodes
    wanted = _wanted(nodes, outputs)
    made: list[Place] = []
    of: dict[int, int] = {}
    times: dict[str, int] = {}
    for at, node in enumerate(nodes):
        if at not in wanted or (node.kind == "function" and at not in ear.whole):
            continue
        inputs = (node.root,) if node.kind == "function" else node.inputs
        place = _place(node, tuple(of[n] for n in inputs if n in of))
        measured = ear.forward.get(at)
        if measured is not None and place.kind != "softmax":
            place = replace(place, shape=measured.shape, units=measured.axis)
        times[place.path] = times.get(place.path, 0) + 1
        if times[place.path] > 1:
            place = replace(place, path=f"{place.path}#{times[place.path]}")
        of[at] = len(made)
        made.append(place)
    return tuple(made), of


def _wanted(nodes: Sequence[Node], outputs: Sequence[int]) -> set[int]:
    stack = [at for at, node in enumerate(nodes) if node.kind == "input" or node.params] + list(outputs)
    seen = set[int]()
    while stack:
        at = stack.pop()
        if at not in seen:
            seen.add(at)
            stack += [*nodes[at].inputs, nodes[at].root]
    return seen


def _place(node: Node, inputs: tuple[int, ...]) -> Place:
    place = Place("unknown", "", inputs, node.shape, node.units, node.params, None, node.facts)
    if node.kind != "function" or node.values is None:
        kind = cast(PlaceKind, node.kind)
        return replace(place, kind=kind, path=_path(node, node.name))
    if not is_affine(node.values):
        f = node.f
        name = f.partition("(")[0] if f else node.name
        return replace(place, kind="activation", f=f, path=_named(node, name), facts={})
    slope, offset = np.polyfit(GRID, node.values, 1)
    if abs(offset) > 1e-4 * abs(slope):
        return replace(place, path=_path(node, node.name), facts={"name": node.name})
    return replace(place, kind="scale", path=_path(node, "scale"), facts={"factor": float(slope)})


def _path(node: Node, name: str) -> str:
    return node.home if node.is_of_layer else _named(node, name)


def _named(node: Node, name: str) -> str:
    return f"{node.home}:{name}" if node.home else name
