"""What textbooks and manuals say about first weights, measured."""

from __future__ import annotations

import numpy as np

from initlab.core.facts.arch import Mlp
from initlab.lessons.lesson import Formula, Lesson, Table, register_lesson, share
from initlab.lessons.nets import deep, drawn, forward, gaussian, noise, profile
from initlab.lessons.symmetry import constant_runs, rank
from initlab.lessons.training import Descent, digits, train
from initlab.report.drawing.text import number
from initlab.theory import activation, backward_gain, batch_norm_factor, chi_1, forward_gain, largest_slope, q_star

_TORCH_GAIN, _DEPTH = 5.0 / 3.0, 50


def _tanh_slopes() -> dict[str, float]:
    """The slope of tanh at zero, at most, and in units whose z is small or large."""
    slope = activation("tanh").slope(np.array([0.0, 3.0]))
    return {"slope_zero": float(slope[0]), "slope_most": largest_slope("tanh"), "slope_three": float(slope[1])}


def _off_units() -> dict[str, float]:
    """The share of ReLU units that are off, at a tenth of He's scale, at it and at ten times it."""
    net, x = Mlp((64, 256, 10), activation="relu"), noise((64, 64), "inputs")
    found = {}
    for key, factor in (("tenth", 0.1), ("he", 1.0), ("ten", 10.0)):
        z = forward(net, {path: factor * w for path, w in drawn(net, "he_normal").items()}, x).before[0]
        found[f"off_{key}"] = float((z <= 0).mean())
    return found


def _ones() -> dict[str, float]:
    """What a net learns from ones and from random weights."""
    runs = constant_runs({"ones": "ones", "random": "glorot_normal"}, act="tanh")
    found = {f"{key}_accuracy": run.test_accuracy for key, run in runs.items()}
    return {**found, "ones_rank": float(rank(runs["ones"].weights["0/weight"]))}


def _gain() -> dict[str, float]:
    """The gains of tanh, and what 5/3 does to a gradient over 50 layers."""
    q = q_star("tanh", sigma_w2=_TORCH_GAIN**2)
    factor = chi_1("tanh", _TORCH_GAIN**2, q)
    return {
        "torch_gain": _TORCH_GAIN,
        "forward_gain": forward_gain("tanh"),
        "backward_gain": backward_gain("tanh"),
        "gain_q": q,
        "gain_factor": factor,
        "gain_theory": factor ** (_DEPTH - 1),
        "gain_measured": profile(deep(_DEPTH, 100, "tanh"), gaussian(_TORCH_GAIN**2)).gradient_ratio,
    }


def _batch_norm() -> dict[str, float]:
    """Zeros, ordinary weights and great depth behind batch norm."""
    net = deep(2, 64, "relu", norm="batch")
    runs = {
        "zeros": train(net, digits(), drawn(net, "zeros"), Descent(epochs=4)),
        "he": train(net, digits(), drawn(net, "he_normal"), Descent(epochs=4)),
    }
    return {
        "norm_zeros": runs["zeros"].test_accuracy,
        "norm_he": runs["he"].test_accuracy,
        "norm_factor": batch_norm_factor("relu"),
        "norm_gradient": profile(deep(_DEPTH, 64, "relu", norm="batch"), "he_normal", rows=64, draws=3).gradient_ratio,
    }


@register_lesson(
    title="What textbooks get wrong, measured",
    aliases=("myths", "textbooks", "dying-relu", "dead-relu", "dead-units"),
)
def textbook_errors() -> Lesson:
    """Five claims and what a run says."""
    n = {**_tanh_slopes(), **_off_units(), **_ones(), **_gain(), **_batch_norm()}
    return Lesson(
        plain=(
            "Some sentences about first weights are passed on from text to text. Five of them, each with a run.",
            f'1. "The derivative of tanh is near zero around zero." It is the other way round: it is largest there, '
            f"{number(n['slope_zero'])} (the largest anywhere is {number(n['slope_most'])}), and near zero far away: "
            f"{number(n['slope_three'])} at 3. Small weights do not make tanh vanish by its slope; they vanish because "
            "a product of small weights is small.",
            '2. "He keeps ReLU units in their linear regime." A ReLU has no such regime to be kept in. Half of the '
            "units are off at every scale, for a positive factor changes no sign: "
            f"{share(n['off_tenth'])} at a tenth of He's scale, {share(n['off_he'])} at it, {share(n['off_ten'])} at "
            "ten times it. He's factor 2 makes up for that half; it does not avoid it.",
            '3. "Ones are better than zeros because the products are not zero." The gradient is not zero, but it is '
            f"the same for all units: the trained matrix has rank {n['ones_rank']:.0f}, and the net is right on "
            f"{share(n['ones_accuracy'])} of the digits where random weights get {share(n['random_accuracy'])}.",
            f'4. "The right gain for tanh is 5/3." It keeps neither: the signal of variance 1 is kept at '
            f"{number(n['forward_gain'])} and the gradient at {number(n['backward_gain'])}; {number(n['torch_gain'])} "
            f"is above both. Each layer multiplies the squared gradient by {number(n['gain_factor'])}, at z^2 = "
            f"{number(n['gain_q'])}: {number(n['gain_measured'])} times over {_DEPTH} layers (theory "
            f"{number(n['gain_theory'])}). A deep tanh net without biases is critical at gain 1.",
            '5. "Batch norm makes initialization irrelevant." From zeros a net with batch norm is right on '
            f"{share(n['norm_zeros'])}, from he_normal on {share(n['norm_he'])}: equal units stay equal. And whatever "
            f"the weights, batch norm with ReLU multiplies the squared gradient by {number(n['norm_factor'])} a layer "
            f"for large batches: {number(n['norm_gradient'])} times over {_DEPTH} layers. What it does remove is the "
            "effect of the scale on the signal.",
        ),
        experiment=(
            f"Digits for the trained nets (10 epochs, with batch norm 4, steps of 0.05); tanh with gain 5/3 and ReLU "
            f"with batch norm over {_DEPTH} layers of 100 and 64 units, inputs of variance 1."
        ),
        table=Table(
            "Five claims",
            ("claim", "what a run says"),
            (
                ("tanh' is near zero at zero", f"tanh'(0) = {number(n['slope_zero'])}, its maximum"),
                ("He keeps ReLU linear", f"{share(n['off_he'])} of the units are off, at any scale"),
                ("ones beat zeros", f"rank {n['ones_rank']:.0f}, {share(n['ones_accuracy'])} right"),
                ("tanh's gain is 5/3", f"gradient x {number(n['gain_measured'])} in {_DEPTH} layers"),
                ("batch norm: any start", f"zeros: {share(n['norm_zeros'])}; gradient x {number(n['norm_gradient'])}"),
            ),
        ),
        mathematics=(
            Formula("tanh' = 1 - tanh^2 <= 1, with equality at 0", "calculus"),
            Formula("P(w . x > 0) = 1/2 for weights that are symmetric about 0", "symmetry of the law"),
            Formula(
                "gains of tanh: 1 / sqrt(E tanh^2) = 1.5925 and 1 / sqrt(E tanh'^2) = 1.4674, z standard normal",
                "quadrature; chi_1 at gain 5/3: Schoenholz et al. 2017, arXiv 1611.01232",
            ),
            Formula("E f'^2 / Var f = pi / (pi - 1) for ReLU", "Yang et al. 2019, arXiv 1902.08129"),
        ),
        numbers=n,
        tries=("initlab theory tanh",),
        see_also=("saturation", "he", "constants", "normalisation", "reproducibility"),
    )
