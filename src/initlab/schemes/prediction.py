"""The chains of a model, and the weights that might hold a chain's signal, gradient and correlation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from initlab.core.calls import parse_call
from initlab.core.errors import InitlabError
from initlab.core.facts.fans import fans
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.theory import ACTIVATIONS, ChainLayer, activation, backward_gain, edge_of_chaos, forward_gain
from initlab.theory.criticality import CriticalPoint
from initlab.theory.expectations import value_moments

CHAIN_ROLES = frozenset({"dense", "conv", "conv_transpose"})

# The signal variances at which an edge of chaos is looked for. A small one separates inputs better and strays more from
# draw to draw; GELU has none that is stable below 3.6, SiLU below 14, and the sigmoid below 46
# (``half_stable_point``, ``edge_of_chaos``).
_CRITICAL_Q = (1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)

# The part of the first layer's variance that biases make where nothing else lets its units bend away from 0. At a third
# b / (w x) is a Cauchy number of median sqrt(1/2), so half of the units bend within 0.71 deviations of the inputs.
# In a regression net 8-64-64-64-1 a ninth is too little, and a half does as well.
_OFFSET = 1 / 3


@dataclass(frozen=True)
class Link:
    """One weight of a chain, with what stands between it and the one before.

    Attributes:
        param: The weight.
        bias: Its bias; None where it has none, or one that is to stay as it is.
        share: For the first link E[x^2] of its input, else the part of ``E f(z)^2`` that arrives.
        normalised: Whether a norm layer stands between it and the next link.
        centered: Whether that is a batch normalisation.
        offset: The part of the first link's variance that its biases make.
    """

    param: ParamSpec
    bias: ParamSpec | None
    share: float
    normalised: bool = False
    centered: bool = False
    offset: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """Weights for a whole chain.

    Attributes:
        name: What they keep, in words.
        layers: A layer a link.
        is_edge: Whether they stand on an edge of chaos, of which there is one for each signal variance.
    """

    name: str
    layers: tuple[ChainLayer, ...]
    is_edge: bool = False


def outputs_of(model: ModelSpec) -> tuple[ParamSpec, ...]:
    """The weights that make the model's outputs, with no activation of a hidden layer behind them.

    Those that a trace saw returned, behind which a sigmoid is one of probabilities; where it saw none, the last weight.

    Example:
        >>> from initlab.core.facts.arch import Mlp
        >>> [p.path for p in outputs_of(Mlp((4, 8, 3)).spec())]
        ['1/weight']
    """
    weights = [p for p in model.params if p.role in CHAIN_ROLES and p.is_weight and p.size > 0]
    ends = [p for p in weights if p.branch is None and p.tied_to is None]
    told = [p for p in ends if p.is_output and (p.f_out == "sigmoid" or _is_bare(p))]
    if not told and heads_of(model):
        return ()
    return tuple(told or [p for p in ends if p is weights[-1] and _is_bare(p)])


def heads_of(model: ModelSpec) -> dict[str, ParamSpec]:
    """The tables that make the model's output as well, by path: under a second name, or in a second use of the one.

    Returns:
        For each table the parameter as the head has it.

    Example:
        >>> table = ParamSpec(path="table/weight", shape=(50, 8), role="embedding")
        >>> head = ParamSpec(path="head/weight", shape=(50, 8), tied_to="table/weight")
        >>> [p.path for p in heads_of(ModelSpec((table, head))).values()]
        ['head/weight']
        >>> [p.role for p in heads_of(ModelSpec((replace(table, is_output=True),))).values()]
        ['dense']
    """
    tables = {p.path: p for p in model.params if p.role == "embedding" and p.tied_to is None}
    shared = {p.tied_to: p for p in model.params if p.tied_to in tables and p.role == "dense"}
    return {
        path: shared.get(path) or replace(p, role="dense")
        for path, p in tables.items()
        if path in shared or p.is_output
    }


def _is_bare(p: ParamSpec) -> bool:
    return p.f_out is None or not is_registered(p.f_out)


def is_registered(f: str) -> bool:
    """Whether an activation's moments are known; those of softmax, for one, are not.

    Example:
        >>> is_registered("elu(alpha=0.5)"), is_registered("softmax")
        (True, False)
    """
    return parse_call(f)[0] in ACTIVATIONS


def is_claimed(p: ParamSpec) -> bool:
    """Whether a parameter keeps its value where nobody says otherwise."""
    return p.frozen or p.intent != ""


def chains(model: ModelSpec, *, kept: Callable[[ParamSpec], bool] = is_claimed) -> list[list[Link]]:
    """The runs of hidden layers outside residual branches, each fed by the one before.

    Two weights that follow each other are in one chain where the activation behind the first is the one before the
    second, and their widths fit. A norm layer between the activation and the weight before it does not end the chain.

    Args:
        model: Every parameter, in order of use.
        kept: Whether a parameter is to stay as it is; a weight that has a claim to ends the chain before it.

    Example:
        >>> from initlab.core.facts.arch import Mlp
        >>> [[link.param.path for link in chain] for chain in chains(Mlp((4, 8, 8, 3)).spec())]
        [['0/weight', '1/weight']]
    """
    biases = {layer_of(p): p for p in model.params if p.role == "bias" and not kept(p)}
    outputs = outputs_of(model)
    found: list[list[Link]] = []
    before: ParamSpec | None = None
    behind_norm = False
    for p in model.params:
        behind_norm |= p.role in ("norm_scale", "norm_bias")
        if p.role not in CHAIN_ROLES or not p.is_weight or p.size == 0:
            continue
        if is_claimed(p) and kept(p):
            before = None
            continue
        if p.branch is None and p.tied_to is None and p not in outputs:
            link = Link(p, biases.get(layer_of(p)), arriving_share(p), p.norm is not None, p.norm == "batch")
            if before is not None and found and found[-1][-1].param is before and feeds(before, p):
                # A norm that no trace saw is told by the place of its parameters.
                found[-1][-1] = replace(found[-1][-1], normalised=found[-1][-1].normalised or behind_norm)
                found[-1].append(link)
            else:
                offset = _OFFSET if link.bias is not None and is_ray_bound(p, outputs) else 0.0
                found.append([replace(link, share=input_moment(p), offset=offset)])
        before, behind_norm = p, False
    return found


def is_ray_bound(p: ParamSpec, outputs: Sequence[ParamSpec]) -> bool:
    """Whether a network of one output would start as a straight line along every ray from 0, for want of biases.

    That is where its own inputs go into units with ``f(a z) = a f(z)``: all of them bend at 0 alone. Among classes the
    largest logit is still the same along a ray; a number to be fitted is not.

    Example:
        >>> head = ParamSpec(shape=(1, 8), f_in="relu")
        >>> is_ray_bound(ParamSpec(shape=(8, 3), f_out="relu"), [head])
        True
        >>> is_ray_bound(ParamSpec(shape=(8, 3), f_out="tanh"), [head])
        False
    """
    is_first = p.role == "dense" and p.f_in is None and p.in_moment is None and p.f_out is not None
    is_number = [one.shape[0] == 1 and one.f_out != "sigmoid" for one in outputs]
    return is_first and bool(is_number) and all(is_number) and _is_homogeneous(str(p.f_out))


def _is_homogeneous(f: str) -> bool:
    if not is_registered(f):
        return False
    z = np.array([-1.0, 1.0])
    return bool(np.allclose(activation(f)(2.0 * z), 2.0 * activation(f)(z), rtol=1e-12, atol=0.0))


def candidates(chain: Sequence[Link]) -> Iterator[Candidate]:
    """Weights that might hold a chain, the simplest first: forward gain, backward gain, edges of chaos.

    The backward gain is counted by fan-in, so that it keeps the norm of the whole gradient whatever the widths. An
    edge of chaos is given only where it is stable and where every layer has the bias it needs. A norm layer undoes
    every gain, so around one there is nothing to choose.
    """
    yield Candidate("forward gain", _by_gain(chain, forward_gain))
    if len(chain) == 1 or any(link.normalised for link in chain):
        return
    yield Candidate("backward gain", _by_gain(chain, backward_gain))
    for q in _CRITICAL_Q:
        layers = _at_edge(chain, q)
        if layers is not None:
            yield Candidate(f"edge of chaos at q = {q:g}", layers, is_edge=True)


def input_moment(p: ParamSpec, *, q: float = 1.0) -> float:
    """E[x^2] of a weight's input where the signal before ``f_in`` has variance ``q``; 1 for the network's input.

    Example:
        >>> round(input_moment(ParamSpec(shape=(8, 8), f_in="relu"), q=3.0), 12)
        1.5
    """
    if p.f_in is None:
        return 1.0 if p.in_moment is None else p.in_moment
    return arriving_share(p) * value_moments(activation(p.f_in), q).second


def arriving_share(p: ParamSpec) -> float:
    """What of ``E f_in(z)^2`` arrives at a weight, below 1 behind a pooling.

    Example:
        >>> round(arriving_share(ParamSpec(shape=(8, 8), f_in="relu", in_moment=0.25)), 12)
        0.5
    """
    return 1.0 if p.in_moment is None or p.f_in is None else p.in_moment * forward_gain(p.f_in) ** 2


def feeds(before: ParamSpec, p: ParamSpec) -> bool:
    """Whether a weight's input is the activated output of the weight before it."""
    if before.branch is not None or p.f_in is None or before.f_out != p.f_in or before.axes or p.axes:
        return False
    units = p.shape[1] * p.groups
    # A flattened image has its channels times its places.
    return units == before.shape[0] or (p.role == "dense" and before.role != "dense" and units % before.shape[0] == 0)


def layer_of(p: ParamSpec) -> str:
    """The path of the layer that holds a parameter."""
    return p.path.rpartition("/")[0]


def _by_gain(chain: Sequence[Link], gain: Callable[[str], float]) -> tuple[ChainLayer, ...]:
    first = _layer(chain[0], 1.0 - chain[0].offset, chain[0].offset)
    return (first, *(_layer(link, gain(str(link.param.f_in)) ** 2) for link in chain[1:]))


def _at_edge(chain: Sequence[Link], q: float) -> tuple[ChainLayer, ...] | None:
    points = [_stable_point(str(link.param.f_in), q) for link in chain[1:]]
    found = [point for point in points if point is not None]
    if len(found) < len(points):
        return None
    if any(point.sigma_b2 > 0.0 and link.bias is None for point, link in zip(found, chain[1:], strict=True)):
        return None
    # The first layer brings the input to q at once, with the next layer's bias where it has its own.
    start_b2 = found[0].sigma_b2 if chain[0].bias is not None else 0.0
    first = _layer(chain[0], q - start_b2, start_b2)
    rest = [_layer(link, point.sigma_w2, point.sigma_b2) for link, point in zip(chain[1:], found, strict=True)]
    return (first, *rest)


def _stable_point(f: str, q: float) -> CriticalPoint | None:
    try:
        point = edge_of_chaos(f, q=q)
    except InitlabError:  # of an activation that grows too fast, as exp does, moments end before the numbers do
        return None
    return point if point is not None and point.is_stable else None


def _layer(link: Link, sigma_w2: float, sigma_b2: float = 0.0) -> ChainLayer:
    """A layer whose weights make up for what is lost before them."""
    p = link.param
    return ChainLayer(
        p.f_in, sigma_w2 / link.share, sigma_b2, fans(p).fan_in, link.share, link.normalised, link.centered
    )
