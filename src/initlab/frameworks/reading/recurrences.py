"""Which parameters make the decay of a linear recurrence over time, known by what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from initlab.core.facts.spec import Dynamics
from initlab.frameworks.reading.flow import Flow
from initlab.frameworks.reading.gaussian import Entries, Evaluate
from initlab.frameworks.reading.graph import Function, Graph, Node

_GRID = np.linspace(-3.0, 2.0, 11)
_SAME = 1e-5  # of float32 numbers
_LIMITS_AND_FACTORS = frozenset({"clamp", "clip", "minimum", "maximum", "max", "min", "mul", "div", "neg", "negative"})


@dataclass(frozen=True)
class Recurrences:
    """What parameters do in the recurrences of a model.

    Attributes:
        parts: By native name.
        unsettled: Biases of which a part alone sets a step.
    """

    parts: Mapping[str, Dynamics] = field(default_factory=dict)
    unsettled: frozenset[str] = frozenset()


def recurrences(graph: Graph, flow: Flow, evaluate: Evaluate) -> Recurrences:
    """What parameters do where a power of e is the share of a state that stays from one time to the next.

    Gu and Dao 2023, arXiv:2312.00752, section 3.2: ``h' = exp(d A) h + d B x`` with ``d = softplus(bias + W x)``; De et
    al. 2024, arXiv:2402.19427, section 2.4: ``a = exp(-c gate softplus(p))``; Peng et al. 2023, arXiv:2305.13048,
    section 3.2: ``a = exp(-exp(p))``, whose logarithm is added to that of the state.

    Args:
        graph: The graph of the pass.
        flow: The same, read.
        evaluate: What a function of the framework's arrays makes of numbers.
    """
    found: dict[str, Dynamics] = {}
    unsettled: set[str] = set()
    decays: set[Node] = set()
    for node in graph.nodes:
        start = flow.recognised(node) if node.kind == "elementwise" else None
        if start is None or not (start.f == "softplus" or start.is_share):
            continue
        between, powers = _powers(graph, flow.carriers, node)
        # Without a parameter for the rate it is an absorption, as of a density, and no memory.
        if not powers or not any(one.params and (one.form == "scaled" or one.kind == "weight") for one in between):
            continue
        rates = _rates(between, evaluate, "exp" if start.f == "softplus" else "softplus")
        if start.f == "softplus":
            whole, part = _biases(graph, node)
            found |= dict.fromkeys(whole, Dynamics("step")) | rates
            unsettled.update(part)
        elif rates:
            found |= rates
        else:
            continue
        decays.update(powers)
    found |= dict.fromkeys(_skips(graph, flow, decays), Dynamics("skip"))
    return Recurrences(found | _time_decays(graph, flow, evaluate), frozenset(unsettled - found.keys()))


def _powers(graph: Graph, carriers: Callable[[Node], list[Node]], step: Node) -> tuple[list[Node], list[Node]]:
    """The values between a step and the powers of e that are taken of it, and these."""
    between, powers, stack = {step: None}, dict[Node, None](), [step]
    while stack:
        for taker in carriers(stack.pop()):
            if taker.kind == "elementwise" and taker.name == "exp":
                powers[taker] = None
            elif taker not in between and _keeps(graph, taker):
                between[taker] = None
                stack.append(taker)
    return list(between), list(powers)


def _keeps(graph: Graph, node: Node) -> bool:
    """Whether a value is a step still: moved, clipped, summed up over time, or times something of its own entry."""
    if node.kind == "weight":  # an outer product sums nothing
        return bool(node.params) and not any(use.clear for name in node.params for use in graph.uses.get(name, ()))
    is_moved = node.kind in ("pass", "mul") or (node.kind == "unknown" and "cum" in node.name)
    return is_moved or (node.kind == "elementwise" and node.name in _LIMITS_AND_FACTORS)


def _biases(graph: Graph, step: Node) -> tuple[list[str], list[str]]:
    """The biases that are added right before a step is made; apart, those of a sum of which it is only a part."""
    whole, part, at, size = list[str](), list[str](), step, step.shape and prod(step.shape)
    while at.inputs and (at is step or at.kind == "pass"):
        at = at.inputs[0]
        names = at.params if at.form == "shifted" else graph.biases.get(at, ())
        is_whole = at.shape is None or prod(at.shape) == size
        (whole if is_whole else part).extend(names)
    return whole, part


def _rates(between: list[Node], evaluate: Evaluate, function: str) -> dict[str, Dynamics]:
    """The parameters whose exponential, or softplus, multiplies a step."""
    found = {}
    for node in between:
        factor = _factor(node)
        if factor is not None and _is(factor, evaluate, function):
            states = _states(node, factor) if function == "exp" else None
            found[node.params[0]] = Dynamics("rate", states) if function == "exp" else Dynamics("radius")
    return found


def _factor(node: Node) -> Node | None:
    """The value made of one parameter by which a value is multiplied, or that is added to it."""
    if node.form not in ("scaled", "shifted") or len(node.params) != 1:
        return None
    return next((one for one in node.given if one.kind == "parameter" and one.params == node.params), None)


def _is(node: Node, evaluate: Evaluate, function: str) -> bool:
    """Whether a value made of one parameter is its exponential, or its softplus, times any number."""
    made = evaluate(lambda z: _replayed(node, z), _GRID)
    wanted = np.exp(_GRID) if function == "exp" else np.logaddexp(0.0, _GRID)
    return made is not None and made.shape == wanted.shape and _is_multiple(made, wanted)


def _is_multiple(made: Entries, wanted: Entries) -> bool:
    ratio = made / wanted
    return bool(ratio[0] != 0.0 and np.ptp(ratio) <= _SAME * abs(float(ratio[0])))


def _replayed(node: Node, z: Function) -> object:
    """What becomes of the numbers of a parameter; that they are moved changes none of them."""
    if not node.inputs:
        return z
    inner = _replayed(node.inputs[0], z)
    return inner if node.again is None else node.again(lambda one: inner if one is node.inputs[0] else one.tensor)


def _states(product: Node, factor: Node) -> int | None:
    """The parameter's own axis along which a step is one number; None where there is none."""
    step = product.inputs[0]
    while step.kind == "pass" and step.form == "moved" and step.inputs and _grows(step):
        step = step.inputs[0]
    ours, theirs = factor.shape or (), step.shape or ()
    padded = (1,) * max(len(ours) - len(theirs), 0) + tuple(theirs)
    wide = [at for at, (p, s) in enumerate(zip(reversed(ours), reversed(padded), strict=False)) if p > 1 and s == 1]
    if len(wide) != 1:
        return None
    at = len(ours) - 1 - wide[0]
    root = factor
    while root.inputs:
        root = root.inputs[0]
    own = root.shape or ()
    behind = None if factor.axes is None else factor.axes[at]
    (only,) = behind if isinstance(behind, tuple) and len(behind) == 1 else (behind,)
    if isinstance(only, int) and 0 <= only < len(own) and own[only] == ours[at]:
        return only
    return own.index(ours[at]) if own.count(ours[at]) == 1 else None


def _grows(node: Node) -> bool:
    """Whether a value is another with entries repeated along axes of one entry."""
    shape, before = node.shape or (), node.inputs[0].shape or ()
    return len(shape) == len(before) and prod(shape) > prod(before)


def _skips(graph: Graph, flow: Flow, decays: set[Node]) -> Iterator[str]:
    """Factors of what is added to a recurrence's own sum."""
    behind, stack = set(decays), list(decays)
    while stack:
        for taker in flow.carriers(stack.pop()):
            if taker not in behind and taker.kind != "weight":
                behind.add(taker)
                stack.append(taker)
    for node in graph.nodes:
        if node.kind != "add" or not any(one in behind for one in node.inputs):
            continue
        for one in node.inputs:
            at = one
            while at.form == "moved" and at.inputs:
                at = at.inputs[0]
            if one not in behind and at.form == "scaled" and len(at.params) == 1 and _factor(at) is not None:
                yield at.params[0]


def _time_decays(graph: Graph, flow: Flow, evaluate: Evaluate) -> dict[str, Dynamics]:
    """Parameters whose negative exponential is added to the logarithm of a state."""
    names = dict.fromkeys(
        node.params[0]
        for node in graph.nodes
        if node.form == "shifted" and _is_logarithm(flow, node)
        if (factor := _factor(node)) is not None and _is(factor, evaluate, "exp")
    )
    return {name: Dynamics("decay", layer=at + 1, layers=len(names)) for at, name in enumerate(names)}


def _is_logarithm(flow: Flow, node: Node) -> bool:
    """Whether a power of e is taken of a value, of its difference from another one at most."""
    takers = flow.carriers(node)
    takers += [one for taker in takers if taker.kind == "add" for one in flow.carriers(taker)]
    return any(taker.kind == "elementwise" and taker.name == "exp" for taker in takers)
