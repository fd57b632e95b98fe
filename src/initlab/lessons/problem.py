"""Why the first weights matter, and what variance has to do with it."""

from __future__ import annotations

import math
from functools import cache

from initlab.lessons.lesson import Bars, Formula, Lesson, Table, register_lesson, share
from initlab.lessons.nets import deep, drawn, gaussian, profile
from initlab.lessons.training import Descent, Trained, digits, train
from initlab.report.drawing.text import number

_STARTS = {
    "zeros": "zeros",
    "N(0, 0.01^2)": "normal(std=0.01)",
    "N(0, 1)": "normal(std=1.0)",
    "he_normal": "he_normal",
}


@register_lesson(
    title="Why the first weights matter, and what goes wrong",
    aliases=("why", "importance", "initialization", "initialisation"),
)
def why_initialization() -> Lesson:
    """Four starts of one network: three do not learn."""
    depth, epochs, rate = 8, 12, 0.05
    runs = start_runs(depth=depth, epochs=epochs, rate=rate)
    he, ones, tiny, zeros = (runs[label] for label in ("he_normal", "N(0, 1)", "N(0, 0.01^2)", "zeros"))
    n = {
        "chance_loss": math.log(digits().classes),
        "he_loss_end": he.losses[-1],
        "he_accuracy": he.test_accuracy,
        "tiny_loss_end": tiny.losses[-1],
        "tiny_accuracy": tiny.test_accuracy,
        "zeros_loss_end": zeros.losses[-1],
        "zeros_accuracy": zeros.test_accuracy,
        "big_loss_start": ones.losses[0],
        "big_diverged_step": float(ones.diverged_at),
        "he_loss_start": he.losses[0],
        "depth": float(depth),
        "epochs": float(epochs),
    }
    return Lesson(
        plain=(
            "A network learns by small steps downhill from where it starts. The weights it starts with decide two "
            "things: whether a signal gets from the input to the output at all, and whether the correction gets back "
            "from the output to the first layer. If either is lost, no learning rule can help, for there is nothing "
            "to learn from.",
            "Too small, and each layer whispers what it heard until the last one hears nothing. Too large, and each "
            "layer shouts until the numbers overflow. All equal, and all units of a layer stay copies of one unit. "
            "In training this shows as a loss that does not move, a loss that jumps about or becomes NaN, or a net "
            "that learns far more slowly than it could.",
            f"Here {depth} hidden layers learn ten digits. To guess gives a loss of ln 10 = "
            f"{number(n['chance_loss'])}. From zeros and from N(0, 0.01^2) the loss is still "
            f"{number(n['zeros_loss_end'])} and {number(n['tiny_loss_end'])} after {epochs} epochs, right on "
            f"{share(n['zeros_accuracy'])} and {share(n['tiny_accuracy'])} of the test digits. From N(0, 1) the first "
            f"loss is {number(n['big_loss_start'])}, and at step {n['big_diverged_step']:.0f} it is no number any "
            f"more. The same net, with the same data and the same steps, reaches {share(n['he_accuracy'])} from "
            "he_normal. Nothing but the scale of the first weights differs.",
        ),
        experiment=(
            f"Digits of 8 x 8 pixels, {depth} hidden layers of 64 ReLU units, plain gradient descent with steps of "
            f"{rate} and 32 rows a step, {epochs} epochs, one seed."
        ),
        table=Table(
            "Loss and accuracy on the digits",
            ("start", "loss before", "loss after", "right on test", "what happened"),
            tuple(
                (
                    label,
                    number(run.losses[0]),
                    number(run.losses[-1]),
                    share(run.test_accuracy) if not run.diverged_at else "–",
                    _verdict(run, n["chance_loss"]),
                )
                for label, run in runs.items()
            ),
        ),
        bars=Bars("Loss by epoch", {label: run.losses for label, run in runs.items() if not run.diverged_at}),
        mathematics=(
            Formula(
                "E z_l^2 = (n Var w E f(z)^2 / E z^2)^(l-1) E z_1^2 for layers of n ReLU units: a power of the depth",
                "He, Zhang, Ren & Sun 2015, arXiv 1502.01852, equation 9",
            ),
            Formula(
                "ln K: the cross entropy of a guess among K classes, and so the loss of a net that says nothing",
                "definition of the cross entropy",
            ),
        ),
        numbers=n,
        tries=(
            'initlab compare digits --schemes "zeros,he_normal" --seeds 5',
            "initlab show he_normal",
        ),
        see_also=("variance", "vanishing-gradients", "symmetry"),
    )


@cache
def start_runs(*, depth: int, epochs: int, rate: float) -> dict[str, Trained]:
    """The digits learnt by a ReLU net from four starts, by label."""
    net = deep(depth, 64, "relu")
    return {
        label: train(net, digits(), drawn(net, scheme, seed=1), Descent(rate=rate, epochs=epochs))
        for label, scheme in _STARTS.items()
    }


def _verdict(run: Trained, chance: float) -> str:
    if run.diverged_at:
        return f"diverged at step {run.diverged_at}"
    return "no better than a guess" if run.losses[-1] > 0.9 * chance else "learns"


@register_lesson(title="Variance decides whether a signal survives", aliases=("signal",))
def variance() -> Lesson:
    """A linear chain: the variance of a layer is that of the last one times n Var w."""
    width, depth = 100, 20
    stds = {"small": 0.08, "right": width**-0.5, "large": 0.13}
    found = {label: profile(deep(depth, width, "identity"), gaussian(width * std**2)) for label, std in stds.items()}
    n: dict[str, float] = {"width": float(width), "depth": float(depth)}
    for label, std in stds.items():
        n |= {
            f"{label}_std": std,
            f"{label}_factor": width * std**2,
            f"{label}_theory": (width * std**2) ** depth,
            f"{label}_measured": found[label].signal[-1] * width * std**2,
        }
    return Lesson(
        plain=(
            "A unit adds up its inputs, each times a weight. If weights and inputs are independent and have mean zero, "
            "the sum has mean zero too, and its spread adds up: the variance of a sum of n terms is n times that of "
            "one term. So a layer multiplies the variance of the signal by n Var w, where n counts the inputs of a "
            "unit.",
            "One layer does no harm. But the next layer does the same to what it gets, so after L layers the factor "
            "is (n Var w)^L, and powers are merciless. Only at n Var w = 1 the signal arrives as it left.",
            f"With {width} inputs a unit the right std is 1 / sqrt({width}) = {number(n['right_std'])}. A std of "
            f"{number(n['small_std'])} looks close to it, and yet it leaves {number(n['small_theory'])} of the "
            f"variance after {depth} layers; {number(n['large_std'])} multiplies it by {number(n['large_theory'])}.",
        ),
        experiment=(
            f"A chain of {depth} linear layers of {width} units, normal weights, inputs of variance 1; "
            "geometric mean over 6 draws of the net."
        ),
        table=Table(
            f"The variance of the signal, first layer to last, of {depth}",
            ("weights", "std", "n Var w", "theory", "measured"),
            tuple(
                (label, *(number(n[f"{label}_{part}"]) for part in ("std", "factor", "theory", "measured")))
                for label in stds
            ),
        ),
        bars=Bars("Variance by layer", {label: found[label].signal for label in stds}),
        mathematics=(
            Formula(
                "Var z = n Var(w x) = n Var w E x^2, for independent w and x and E w = 0",
                "variance of a sum of independent terms; He et al. 2015, arXiv 1502.01852, equation 7",
            ),
            Formula(
                "ReLU passes half: E f(z)^2 = E z^2 / 2, so the factor of a layer is n Var w / 2",
                "He et al. 2015, arXiv 1502.01852, equation 8",
            ),
        ),
        numbers=n,
        tries=("initlab theory relu", "initlab theory tanh"),
        see_also=("xavier", "he", "rules-of-thumb"),
    )
