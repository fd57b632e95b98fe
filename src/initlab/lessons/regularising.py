"""Dropout and penalties on the weights: what they ask of initialization, and what they leave of it."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np

from initlab.core.draws.streams import stream
from initlab.core.facts.arch import Mlp
from initlab.lessons.lesson import Formula, Lesson, Table, register_lesson, share
from initlab.lessons.nets import Weights, deep, drawn, forward, gaussian, geometric_mean, noise
from initlab.lessons.training import Descent, digits, train
from initlab.report.drawing.text import number
from initlab.theory import dropout_critical_weight, dropout_point, dropout_variance_map

DEPTH, WIDTH, KEEP = 15, 100, 0.8


@register_lesson(title="Dropout: noise that the weights must make room for")
def dropout() -> Lesson:
    """Signal under dropout at He's scale and at the corrected one."""
    right = dropout_critical_weight("relu", keep=KEEP)
    signals = {w: _noisy(w) for w in (2.0, right)}
    one_layer = dropout_variance_map("relu", 1.0, keep=KEEP, sigma_w2=2.0)
    settled = dropout_point("tanh", keep=0.9, sigma_w2=1.76, sigma_b2=0.05)
    n = {
        "keep": KEEP,
        "factor": one_layer,
        "he_theory": one_layer ** (DEPTH - 1),
        "he_measured": signals[2.0],
        "critical": right,
        "critical_theory": 1.0,
        "critical_measured": signals[right],
        "cosine": settled.c_star,
        "cosine_depth": settled.xi_c,
    }
    return Lesson(
        plain=(
            "Dropout switches off a random share of the units in every step and makes up for it by enlarging the rest, "
            f"so that the mean stays. The mean does, the variance does not: with {share(KEEP)} of the units kept, "
            f"a ReLU layer at He's scale multiplies z^2 by 1 / {KEEP} = {number(n['factor'])}. After {DEPTH} layers "
            f"that is {number(n['he_measured'])} instead of 1 (theory {number(n['he_theory'])}).",
            f"The remedy is a smaller start: n Var w = 2 times the share kept, {number(n['critical'])} here. Then z^2 "
            f"ends at {number(n['critical_measured'])}. With one or two hidden layers nobody notices; in deep nets it "
            "counts. At test time nothing is dropped and the signal is smaller than in training, which is one reason "
            "why dropout and batch norm do not go well together.",
            "There is a second price. Noise makes two passes of the same input differ, so no scale can hold the "
            f"likeness of inputs for long: at the edge of chaos, tanh with 10 % dropped, even equal inputs settle at a "
            f"correlation of {number(n['cosine'])}, and what distinguishes inputs fades within "
            f"{number(n['cosine_depth'])} layers. Very deep plain nets do not train with dropout.",
        ),
        experiment=(
            f"{DEPTH} hidden layers of {WIDTH} ReLU units, each output kept with probability {KEEP} and divided by it, "
            "inputs of variance 1, geometric mean over 12 draws."
        ),
        table=Table(
            f"z^2 at layer {DEPTH} under dropout",
            ("n Var w", "theory", "measured"),
            (
                ("2 (He)", number(n["he_theory"]), number(n["he_measured"])),
                (f"{right:.3g}", number(n["critical_theory"]), number(n["critical_measured"])),
            ),
        ),
        mathematics=(
            Formula(
                "V(q) = sigma_w^2 / p E f(sqrt(q) z)^2 + sigma_b^2 for a share p kept; ReLU: sigma_w^2 = 2 p",
                "Pretorius, van Biljon, Kroon & Kamper 2018, arXiv 1811.00293",
            ),
            Formula("C(1) < 1: there is no critical point", "Schoenholz et al. 2017, arXiv 1611.01232"),
            Formula(
                "the variance in training and in test differs by the share kept, and batch norm learns the former",
                "Li, Chen, Hu & Yang 2018, arXiv 1801.05134",
            ),
        ),
        numbers=n,
        tries=("initlab theory relu",),
        see_also=("he", "regularisation", "constants"),
    )


def _noisy(sigma_w2: float) -> float:
    """``E z^2`` of the last layer under dropout, over 12 draws of weights and masks."""
    net, ends = deep(DEPTH, WIDTH, "relu"), []
    for seed in range(12):
        bits = stream(seed, "lesson", purpose="dropout").uniforms(DEPTH * 24 * WIDTH).reshape(DEPTH, 24, WIDTH)
        masks = list((bits < KEEP) / KEEP)
        weights = drawn(net, gaussian(sigma_w2), seed=seed)
        ends.append(
            float(np.mean(forward(net, weights, noise((24, WIDTH), "inputs", seed=seed), masks=masks).before[-1] ** 2))
        )
    return geometric_mean(ends)


@register_lesson(
    title="L1 and L2: penalties that forget the start", aliases=("l1", "l2", "weight-decay", "regularization")
)
def regularisation() -> Lesson:
    """Training from a normal and a three times larger start, with and without penalties."""
    net = Mlp((64, 64, 10), activation="relu")
    rate, epochs, l2, l1 = 0.05, 40, 0.01, 0.002
    steps = epochs * -(-len(digits().x) // 32)
    plain = Descent(rate=rate, epochs=epochs)
    cases = {
        "he": ("he", 1.0, plain),
        "3 x he": ("big", 3.0, plain),
        "he, L2": ("he_l2", 1.0, replace(plain, l2=l2)),
        "3 x he, L2": ("big_l2", 3.0, replace(plain, l2=l2)),
        "he, L1": ("he_l1", 1.0, replace(plain, l1=l1)),
        "3 x he, L1": ("big_l1", 3.0, replace(plain, l1=l1)),
    }
    n: dict[str, float] = {"l2": l2, "l1": l1, "memory": 1.0 / (2.0 * rate * l2), "steps": float(steps)}
    rows = []
    for label, (key, scale, descent) in cases.items():
        start = {path: w * scale for path, w in drawn(net, "he_normal").items()}
        run = train(net, digits(), start, descent)
        n |= {
            f"{key}_start": _norm(start),
            f"{key}_norm": _norm(run.weights),
            f"{key}_small": _small(run.weights),
            f"{key}_accuracy": run.test_accuracy,
        }
        rows.append(
            (
                label,
                number(n[f"{key}_start"]),
                number(n[f"{key}_norm"]),
                share(n[f"{key}_small"]),
                share(run.accuracy),
                share(run.test_accuracy),
            )
        )
    return Lesson(
        plain=(
            "A penalty on the size of the weights pulls each of them towards zero at every step: L2 in proportion to "
            "its size, L1 by a constant amount. What the data do not hold up decays, and that includes the random "
            "numbers the net began with.",
            "Without a penalty the start stays: three times He's weights begin with norm "
            f"{number(n['big_start'])} and end with {number(n['big_norm'])}, where He's go from "
            f"{number(n['he_start'])} to {number(n['he_norm'])}. With L2 of {l2} the two end at "
            f"{number(n['big_l2_norm'])} and {number(n['he_l2_norm'])}. The pull forgets the start within "
            f"about {n['memory']:.0f} steps; this run has {n['steps']:.0f}.",
            f"The test accuracies come closer, too: {share(n['big_accuracy'])} and {share(n['he_accuracy'])} without, "
            f"{share(n['big_l2_accuracy'])} and {share(n['he_l2_accuracy'])} with L2. On one seed that is a hint. L1 "
            f"goes further and leaves many weights near zero: {share(n['he_l1_small'])} of them against "
            f"{share(n['he_small'])}. A penalty does not replace a right start: a net whose gradient has vanished only "
            "decays, until it is a net of zeros.",
        ),
        experiment=(
            f"Digits, one hidden layer of 64 ReLU units, steps of {rate}, {epochs} epochs; L2 {l2} on the squares, L1 "
            f"{l1} on the absolute values. Near zero: below 0.01."
        ),
        table=Table(
            "Norm of the weights before and after; share of weights near zero; accuracy",
            ("start", "norm", "after", "near zero", "training", "test"),
            tuple(rows),
        ),
        mathematics=(
            Formula(
                "step w <- w - r (dL/dw + 2 l w): without data w falls like (1 - 2 r l)^t, to 1/e in 1 / (2 r l) steps",
                "gradient of l w^2",
            ),
            Formula("L1: w <- w - r l sign(w): it reaches zero and stays about it", "gradient of l |w|"),
        ),
        numbers=n,
        see_also=("dropout", "trade-offs"),
    )


def _norm(weights: Weights) -> float:
    return sqrt(sum(float((w**2).sum()) for path, w in weights.items() if path.endswith("/weight")))


def _small(weights: Weights) -> float:
    values = np.concatenate([w.ravel() for path, w in weights.items() if path.endswith("/weight")])
    return float((np.abs(values) < 0.01).mean())
