"""A residual stream in plain NumPy: blocks that add their output to what they were given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from initlab.core.facts.arch import NORM_EPSILON
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws.draw import draw
from initlab.lessons.nets import Array, noise
from initlab.schemes import scheme
from initlab.theory import activation


@dataclass(frozen=True)
class Stream:
    """What a stream does over its depth: geometric means over draws.

    Attributes:
        signal: ``E x^2`` behind 0, 1, ..., L blocks.
        gradient: The squared gradient at each of these places over that at the end.
    """

    signal: tuple[float, ...]
    gradient: tuple[float, ...]


def stream_of(
    call: str,
    *,
    act: str = "relu",
    depth: int = 20,
    width: int = 100,
    branch_scale: float = 1.0,
    skip_scale: float = 1.0,
    normed: bool = False,
    draws: int = 6,
    rows: int = 24,
) -> Stream:
    """Blocks ``x <- s x + alpha W f(x)``, the input of f brought to mean 0 and variance 1 first where it is normed.

    Args:
        call: The scheme of every W.
        act: The activation f.
        depth: Blocks.
        width: Units of the stream.
        branch_scale: ``alpha``.
        skip_scale: ``s``; 0 leaves the skip path out.
        normed: Whether a layer norm stands before f.
        draws: How many times the weights are drawn.
        rows: Inputs a draw.
    """
    runs = [
        _one_stream(_matrices(call, depth, width, seed), act, branch_scale, skip_scale, normed, seed, rows)
        for seed in range(draws)
    ]
    signal, gradient = np.exp(np.log(np.array(runs)).mean(axis=0))
    return Stream(tuple(signal.tolist()), tuple((gradient / gradient[-1]).tolist()))


def _matrices(call: str, depth: int, width: int, seed: int) -> list[Array]:
    specs = [ParamSpec(path=f"{i}/weight", shape=(width, width)) for i in range(depth)]
    law = scheme(call)
    return [draw(law(p), p.shape, seed=seed, path=p.path, dtype="float64").astype(np.float64) for p in specs]


def _one_stream(
    matrices: list[Array], act: str, branch_scale: float, skip_scale: float, normed: bool, seed: int, rows: int
) -> tuple[list[float], list[float]]:
    f, width = activation(act), matrices[0].shape[0]
    x, kept = noise((rows, width), "inputs", seed=seed), []
    signal = [float(np.mean(x**2))]
    for w in matrices:
        unit, inverse = _normalised(x) if normed else (x, np.ones((rows, 1)))
        kept.append((unit, inverse))
        x = skip_scale * x + branch_scale * f(unit) @ w.T
        signal.append(float(np.mean(x**2)))
    pushed = noise((rows, width), "pull", seed=seed)
    gradient = [float(np.mean(pushed**2))]
    for w, (unit, inverse) in zip(reversed(matrices), reversed(kept), strict=True):
        branch = branch_scale * (pushed @ w) * f.slope(unit)
        if normed:
            along = (branch * unit).mean(axis=1, keepdims=True)
            branch = inverse * (branch - branch.mean(axis=1, keepdims=True) - unit * along)
        pushed = skip_scale * pushed + branch
        gradient.append(float(np.mean(pushed**2)))
    return signal, gradient[::-1]


def _normalised(x: Array) -> tuple[Array, Array]:
    inverse = 1.0 / np.sqrt(x.var(axis=1, keepdims=True) + NORM_EPSILON)
    return (x - x.mean(axis=1, keepdims=True)) * inverse, inverse
