"""Norms: what batch norm and layer norm do to a gradient over depth, simulated."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import pi, sqrt

import numpy as np

from initlab.core.laws import Normal, Orthogonal
from initlab.lessons.nets import Array, backward, deep, drawn, forward, gaussian, mean_cosine, noise
from initlab.papers.figure import Figure
from initlab.papers.paper import Constants, Measured, about, at_least, at_most, near, register_paper
from initlab.papers.signals import matrices
from initlab.theory import batch_norm_factor

_FACTOR = pi / (pi - 1.0)
_LAYERS, _WIDTH = 16, 256
_KINDS = ("Gaussian", "orthogonal", "identity", "looks-linear")


@register_paper(
    "yang2019-batch-norm",
    title="Batch norm explodes by π/(π - 1)",
    claim="Batch norm itself makes gradients explode: behind ReLU a squared gradient grows by 1.467 a layer, however "
    "the weights are drawn.",
    citation="Yang, Pennington, Rao, Sohl-Dickstein & Schoenholz 2019, A mean field theory of batch normalization, "
    "arXiv 1902.08129, abstract and the factor of ReLU, π/(π - 1)",
    quoted="π/(π - 1) = 1.467, whatever the scale of the weights",
    checks=(
        about("Gaussian", "factor a layer, independent weights", _FACTOR, 0.02, "2 %: width 256, batch 256"),
        about("theory", "by theory", _FACTOR, 1e-6, "1e-6: quadrature"),
        about("identity", "factor a layer, weights the identity", _FACTOR, 0.02, "2 %: width 256, batch 256"),
        about(
            "Gaussian",
            "factor a layer, independent weights",
            _FACTOR,
            0.02,
            "2 %: width 256, batch 256",
            side="condition",
        ),
        near(
            "orthogonal",
            "factor a layer, orthogonal weights",
            1.455,
            0.025,
            "not independent, and close to it: 1.43 to 1.48",
            said="near 1.467",
            side="condition",
        ),
        at_most("identity", "factor a layer, weights the identity", 1.3, "well below the other two", side="correction"),
        near(
            "looks-linear",
            "factor a layer, looks-linear weights",
            1.0,
            0.02,
            "ReLU undone pair by pair, by [V, -V; -V, V] with V orthogonal: a linear net",
            said="1",
            side="correction",
        ),
    ),
    constants={"leak": 0.0},
    breaks={"leak": 0.3},
    recorded="holds with a condition",
    remark="The weights must be random and independent, or nearly, as orthogonal ones are. It is not the norm alone: "
    "weights of the identity, or that undo ReLU pair by pair, do not explode so.",
)
def yang_batch_norm(c: Constants, seed: int) -> Measured:
    """The factor a layer of 16 layers, by four kinds of weights, two nets each."""
    act = "relu" if not c["leak"] else f"leaky_relu(negative_slope={c['leak']})"
    rows = {
        kind: np.exp(np.mean([np.log(_squared_gradients(kind, act, 2 * seed + net)) for net in range(2)], axis=0))
        for kind in _KINDS
    }
    numbers = {kind: float((row[0] / row[-1]) ** (1.0 / (_LAYERS - 1))) for kind, row in rows.items()}
    figure = Figure(
        "Batch norm and ReLU: an explosion, by the weights",
        "Layer",
        "Squared gradient over the last layer's",
        {"1.467 a layer": [(float(n), _FACTOR ** (_LAYERS - n)) for n in (1, _LAYERS)]},
        {kind: [(at + 1.0, float(v / row[-1])) for at, v in enumerate(row)] for kind, row in rows.items()},
        log_y=True,
    )
    return Measured(numbers | {"theory": batch_norm_factor(act)}, figure)


def _squared_gradients(kind: str, act: str, seed: int) -> Array:
    """The mean squared gradient before each activation, the inputs and the pull on the outputs independent."""
    net = deep(_LAYERS, _WIDTH, act, norm="batch")
    weights = drawn(net, gaussian(2.0), seed=seed) | _hidden(kind, seed)
    done = forward(net, weights, noise((256, _WIDTH), "inputs", seed=seed))
    slopes = backward(net, weights, done, noise((256, 10), "pull", seed=seed)).before
    return np.array([float((g**2).mean()) for g in slopes])


def _hidden(kind: str, seed: int) -> dict[str, Array]:
    """The hidden weights of a kind; none where they are the Gaussian ones."""
    half = _WIDTH // 2
    if kind == "Gaussian":
        return {}
    if kind == "identity":
        every = [np.eye(_WIDTH)] * _LAYERS
    elif kind == "orthogonal":
        every = list(matrices(Orthogonal(1.0), (_WIDTH, _WIDTH), _LAYERS, seed))
    else:
        parts = matrices(Orthogonal(1.0), (half, half), _LAYERS, seed)
        every = [np.block([[v, -v], [-v, v]]) for v in parts]
    return {f"{layer}/weight": w for layer, w in enumerate(every)}


_DEPTHS = (2, 4, 8, 16, 32)
_LABELS, _TOKENS, _D = 50, 32, 64


@register_paper(
    "xiong2020-layer-norm",
    title="Pre-LN falls, post-LN is level",
    claim="In a transformer of L blocks the gradient of the last feed-forward weights falls like L^(-1/2) with the "
    "norm before each branch, and does not hang on L with the norm behind it.",
    citation="Xiong, Yang, He, Zheng, Zheng, Xing, Zhang, Lan, Wang & Liu 2020, On layer normalization in the "
    "transformer architecture, arXiv 2002.04745, theorem 1",
    quoted="O(d sqrt(ln d / L)) for pre-LN, O(d sqrt(ln d)) for post-LN",
    checks=(
        near("pre_one", "slope over log L, pre-LN, the loss of one token", -0.5, 0.1, "0.1: 20 nets, 2 to 32 blocks"),
        near("post_all", "slope, post-LN, one label for all tokens", 0.0, 0.06, "0.06: 4 standard errors of 20 nets"),
        near(
            "pre_one",
            "slope over log L, pre-LN, the loss of one token",
            -0.5,
            0.1,
            "0.1: 20 nets, 2 to 32 blocks",
            side="condition",
        ),
        near(
            "post_one",
            "slope, post-LN, the loss of one token",
            0.0,
            0.06,
            "0.06: 4 standard errors of 20 nets",
            side="condition",
        ),
        at_least("post_all", "slope, post-LN, one label for all tokens", 0.06, "it rises", side="correction"),
        at_least(
            "alike",
            "cosine of tokens behind 16 blocks of post-LN",
            0.8,
            "alike: their gradients add up, and do not cancel",
            side="correction",
        ),
    ),
    constants={"skip": 1.0},
    breaks={"skip": 0.5},
    recorded="holds with a condition",
    remark="The proof speaks of the loss of one token. Deeper in post-LN tokens grow alike, so that the gradients of "
    "many tokens add up: with one label for all of them the slope is not 0.",
)
def xiong_norms(c: Constants, seed: int) -> Measured:
    """The norm of the last feed-forward weights' gradient by depth, 20 nets each."""
    nets = 20
    found = np.empty((nets, len(_DEPTHS), len(_LINES)))
    alike = np.empty((nets, len(_DEPTHS)))
    for net in range(nets):
        for at, depth in enumerate(_DEPTHS):
            x, blocks, loss = _transformer(depth, 1000 * (nets * seed + net) + depth)
            pre, post = (_last_gradients(x, blocks, loss, norm, c["skip"]) for norm in ("pre", "post"))
            found[net, at] = np.log([pre.one, pre.all, post.one, post.all])
            alike[net, at] = post.cosine
    slopes = np.array([np.polyfit(np.log(_DEPTHS), each, 1)[0] for each in found])
    numbers = dict(zip(_LINES, slopes.mean(axis=0).tolist(), strict=True))
    errors = dict(zip(_LINES, (slopes.std(axis=0, ddof=1) / sqrt(nets)).tolist(), strict=True))
    numbers["alike"] = float(alike[:, _DEPTHS.index(16)].mean())
    return Measured(numbers, _norms_figure(found.mean(axis=0)), errors)


_LINES = {
    "pre_one": "pre-LN, one token",
    "pre_all": "pre-LN, one label",
    "post_one": "post-LN, one token",
    "post_all": "post-LN, one label",
}


def _norms_figure(logs: Array) -> Figure:
    """The gradients over those at the least depth, from their logarithms, (depths, lines)."""
    rises = np.exp(logs - logs[0]).T.tolist()
    depths = [float(depth) for depth in _DEPTHS]
    dots = {name: list(zip(depths, rise, strict=True)) for name, rise in zip(_LINES.values(), rises, strict=True)}
    lines = {"L^(-1/2)": [(d, sqrt(depths[0] / d)) for d in depths], "level": [(d, 1.0) for d in depths]}
    title = "The gradient of the last feed-forward weights"
    return Figure(title, "Blocks L", "Over that at L = 2", lines, dots, log_x=True, log_y=True)


def _unit(x: Array) -> Array:
    unit: Array = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    return unit


@dataclass(frozen=True, eq=False)
class _Loss:
    """A cross entropy over labels, one for the whole sequence: the readout, (d, labels), and the label."""

    readout: Array
    label: int

    def pull(self, out: Array) -> Array:
        """The derivative of each token's loss by its output, (tokens, d)."""
        raised = np.exp(out @ self.readout)
        share: Array = raised / raised.sum(axis=1, keepdims=True)
        share[:, self.label] -= 1.0
        return share @ self.readout.T


def _transformer(depth: int, seed: int) -> tuple[Array, list[list[Array]], _Loss]:
    """Tokens, six matrices a block (queries, keys, values, what joins them, feed-forward in and out), and a loss."""
    drawn_ones = matrices(Normal(1.0 / sqrt(_D)), (_D, _D), 6 * depth, seed)
    blocks = [list(islice(drawn_ones, 6)) for _ in range(depth)]
    loss = _Loss(noise((_D, _LABELS), "readout", seed=seed) / sqrt(_D), seed % _LABELS)
    return noise((_TOKENS, _D), "tokens", seed=seed), blocks, loss


@dataclass(frozen=True)
class _Gradients:
    """The last matrix's gradient, its Frobenius norm.

    Attributes:
        one: By the loss of one token; root mean square over which one.
        all: By the mean loss of all tokens.
        cosine: Between the outputs of two tokens, the mean.
    """

    one: float
    all: float
    cosine: float


def _last_gradients(x: Array, blocks: list[list[Array]], loss: _Loss, norm: str, skip: float) -> _Gradients:
    """One pass; a norm stands before the outputs in both, so the last matrix's gradient needs no other's."""

    def at_branch(h: Array) -> Array:
        return _unit(h) if norm == "pre" else h

    def behind(h: Array) -> Array:
        return _unit(h) if norm == "post" else h

    for q, k, v, join, into, out in blocks:
        h = at_branch(x)
        logits = (h @ q) @ (h @ k).T / sqrt(_D)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        x = behind(skip * x + (raised / raised.sum(axis=1, keepdims=True)) @ h @ v @ join)
        active = np.maximum(at_branch(x) @ into, 0.0)
        last = skip * x + active @ out
        x = behind(last)
    unit = _unit(last)
    pushed = _through_unit(last, unit, loss.pull(unit))
    each = (active**2).sum(axis=1) * (pushed**2).sum(axis=1)
    return _Gradients(
        float(np.sqrt(each.mean())), float(np.linalg.norm(active.T @ pushed)) / len(unit), mean_cosine(unit)
    )


def _through_unit(x: Array, unit: Array, pushed: Array) -> Array:
    """A gradient carried back through a norm without parameters."""
    along = (pushed * unit).mean(axis=1, keepdims=True)
    back: Array = (pushed - pushed.mean(axis=1, keepdims=True) - unit * along) / x.std(axis=1, keepdims=True)
    return back
