"""The three classic rules: Xavier (Glorot), He, LeCun."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np

from initlab.core.facts.arch import Mlp
from initlab.core.facts.spec import ParamSpec
from initlab.lessons.lesson import Bars, Formula, Lesson, Table, register_lesson
from initlab.lessons.nets import deep, drawn, forward, noise, profile
from initlab.lessons.training import Descent, digits, train
from initlab.report.drawing.text import number
from initlab.schemes import scheme
from initlab.theory import activation, chi_1, layer_curve, moments

DEPTH, WIDTH = 20, 100
_FUNNEL = (128, 64, 32, 16)


def _funnel(call: str) -> tuple[float, float]:
    """The factors of z^2 forwards and of the squared gradient backwards over a linear net that narrows."""
    net = Mlp((_FUNNEL[0], *_FUNNEL, 10), activation="identity", bias=False)
    means = profile(net, call, draws=24, rows=16)
    return means.signal[-1] / means.signal[0], means.gradient_ratio


def _funnel_theory(call: str) -> tuple[float, float]:
    """The products of fan_in Var w and of fan_out Var w over the layers of that net."""
    laws = [(n_in, n_out, scheme(call)(ParamSpec(shape=(n_out, n_in)))) for n_in, n_out in pairwise(_FUNNEL)]
    spread = [(n_in, n_out, law.std((n_out, n_in)) ** 2) for n_in, n_out, law in laws]
    return prod(n_in * v for n_in, _, v in spread), prod(n_out * v for _, n_out, v in spread)


@register_lesson(
    title="Xavier (Glorot): one number for both directions",
    aliases=("glorot", "xavier-uniform", "glorot-uniform"),
)
def xavier() -> Lesson:
    """What Glorot's mean of both fans keeps, and where it ends."""
    calls = {"1 / fan_in": "lecun_normal", "1 / fan_out": "variance_scaling(scale=1.0, mode=fan_out)"}
    calls["glorot"] = "glorot_normal"
    found = {label: (*_funnel(call), *_funnel_theory(call)) for label, call in calls.items()}
    tanh, relu = (profile(deep(DEPTH, WIDTH, act), "glorot_normal") for act in ("tanh", "relu"))
    n: dict[str, float] = {}
    for label, key in zip(calls, ("in", "out", "glorot"), strict=True):
        parts = ("forward", "backward", "forward_theory", "backward_theory")
        n |= {f"{key}_{part}": value for part, value in zip(parts, found[label], strict=True)}
    n |= {
        "tanh_signal": tanh.signal[-1],
        "tanh_theory": layer_curve("tanh", DEPTH, sigma_w2=1.0)[-1].q,
        "relu_signal": relu.signal[-1],
        "relu_theory": layer_curve("relu", DEPTH, sigma_w2=1.0)[-1].q,
        "relu_factor": moments("relu").second,
    }
    return Lesson(
        plain=(
            "Before 2010 deep tanh nets were trained layer by layer, as they would not train whole. Glorot and Bengio "
            "looked at the variance by layer and saw it shrink, forwards and backwards. Their rule asks for two "
            "things at once: that a layer keep the variance of the signal, and that it keep the variance of the "
            "gradient.",
            "Forwards a unit adds up fan_in terms, so Var w should be 1 / fan_in. Backwards it adds up fan_out terms, "
            "so Var w should be 1 / fan_out. Both hold only in a square layer. Xavier's compromise puts the mean "
            "of the two fans in their place: Var w = 2 / (fan_in + fan_out).",
            f"A linear net that narrows from {_FUNNEL[0]} to {_FUNNEL[-1]} units shows it. By fan_in the signal keeps "
            f"its size ({number(n['in_forward'])}) and the gradient falls to {number(n['in_backward'])}. By fan_out "
            f"the gradient keeps its size ({number(n['out_backward'])}) and the signal grows "
            f"{number(n['out_forward'])} times. Xavier lies between: {number(n['glorot_forward'])} and "
            f"{number(n['glorot_backward'])}.",
            f"Its reach is the linear part of tanh. tanh has slope 1 only at zero, so z^2 still shrinks, like "
            f"1 / (2 l): {number(n['tanh_signal'])} at layer {DEPTH} (theory {number(n['tanh_theory'])}), which "
            f"trains. ReLU passes only {number(n['relu_factor'])} of z^2, and {DEPTH} layers leave "
            f"{number(n['relu_signal'])} (theory {number(n['relu_theory'])}). That is what He's rule mends.",
        ),
        experiment=(
            f"A linear net of {', '.join(map(str, _FUNNEL))} units, geometric mean over 24 draws; and {DEPTH} layers "
            f"of {WIDTH} tanh or ReLU units, geometric mean over 6."
        ),
        table=Table(
            "Factor of z^2 (forward) and of the squared gradient (backward) over the net",
            ("Var w", "forward", "theory", "backward", "theory"),
            tuple((label, *(number(values[i]) for i in (0, 2, 1, 3))) for label, values in found.items()),
        ),
        bars=Bars("z^2 by layer with glorot_normal", {"tanh": tanh.signal, "relu": relu.signal}),
        mathematics=(
            Formula(
                "Var w = 2 / (fan_in + fan_out); uniform: within sqrt(6 / (fan_in + fan_out))",
                "Glorot & Bengio 2010, AISTATS, equations 12 and 16",
            ),
            Formula(
                "tanh: q_(l+1) = E tanh^2(sqrt(q) z) = q - 2 q^2 + ..., so q_l ~ 1 / (2 l)",
                "tanh x = x - x^3 / 3 + ... and E z^4 = 3",
            ),
        ),
        numbers=n,
        tries=("initlab show glorot_normal", "initlab theory tanh"),
        see_also=("he", "lecun", "variance"),
    )


@register_lesson(
    title="He (Kaiming): a factor of 2 for ReLU",
    aliases=("kaiming", "msra", "kaiming-normal", "he-normal"),
)
def he() -> Lesson:
    """He beside Xavier in ReLU nets: signal, gradient and training."""
    found = {call: profile(deep(DEPTH, WIDTH, "relu"), call) for call in ("he_normal", "glorot_normal")}
    net = deep(DEPTH, 64, "relu")
    runs = {call: train(net, digits(), drawn(net, call), Descent(rate=0.005, epochs=10)) for call in found}
    shallow = Mlp((64, 64, 10), activation="relu")
    one = {call: train(shallow, digits(), drawn(shallow, call), Descent(rate=0.05, epochs=10)) for call in found}
    n: dict[str, float] = {"depth": float(DEPTH), "relu_second": moments("relu").second}
    for call, key in (("he_normal", "he"), ("glorot_normal", "glorot")):
        n |= {
            f"{key}_signal": found[call].signal[-1],
            f"{key}_gradient": found[call].gradient_ratio,
            f"{key}_theory": layer_curve("relu", DEPTH, sigma_w2=2.0 if key == "he" else 1.0)[-1].q,
            f"{key}_loss": runs[call].losses[-1],
            f"{key}_shallow_loss": one[call].losses[-1],
        }
    return Lesson(
        plain=(
            "ReLU sets the negative half of its inputs to zero. If z is symmetric around zero, half of E z^2 is lost: "
            f"E f(z)^2 = {number(n['relu_second'])} E z^2. He's rule makes up for it with a factor 2: Var w = "
            "2 / fan_in. The same factor keeps the gradient, as half of the slopes are 0 and half are 1.",
            f"Without it each layer halves the variance. After {DEPTH} layers Xavier leaves "
            f"{number(n['glorot_signal'])} of it, and the same share of the squared gradient. He ends at "
            f"{number(n['he_signal'])} and {number(n['he_gradient'])}, near 1 but not at it: in a net of finite "
            "width the product of many layers strays.",
            f"Does it matter? In a deep net, much: after 10 epochs the loss of {DEPTH} layers is "
            f"{number(n['he_loss'])} with He and {number(n['glorot_loss'])} with Xavier. With one hidden layer hardly: "
            f"{number(n['he_shallow_loss'])} and {number(n['glorot_shallow_loss'])}. Use He with ReLU and its "
            "relatives; for leaky ReLU of slope a the factor is 2 / (1 + a^2). For tanh it is too large: gradients "
            "grow with the depth.",
        ),
        experiment=(
            f"{DEPTH} hidden layers of {WIDTH} ReLU units, geometric mean over 6 draws. Training on the digits: "
            f"{DEPTH} layers of 64 with steps of 0.005, and one layer of 64 with steps of 0.05, 10 epochs each."
        ),
        table=Table(
            f"z^2 and squared gradient over {DEPTH} ReLU layers, and the loss after training",
            ("start", "z^2", "theory", "gradient", f"loss, {DEPTH} layers", "loss, 1 layer"),
            tuple(
                (
                    call,
                    *(number(n[f"{key}_{part}"]) for part in ("signal", "theory", "gradient", "loss", "shallow_loss")),
                )
                for call, key in (("he_normal", "he"), ("glorot_normal", "glorot"))
            ),
        ),
        bars=Bars(f"Loss by epoch, {DEPTH} layers", {call: run.losses for call, run in runs.items()}),
        mathematics=(
            Formula(
                "n Var w / 2 = 1, so Var w = 2 / n; with slope a on the negative side 2 / ((1 + a^2) n)",
                "He, Zhang, Ren & Sun 2015, arXiv 1502.01852, equations 10 and 15",
            ),
            Formula(
                "ln(q_L / q_0) has mean -5 b / 2 and variance 5 b, b = sum of 1 / width: the net strays",
                "Hanin & Rolnick 2018, arXiv 1803.01719; Hanin & Nica 2018, arXiv 1812.05994",
            ),
        ),
        numbers=n,
        tries=("initlab show he_normal", "initlab theory leaky_relu"),
        see_also=("xavier", "framework-differences", "textbook-errors"),
    )


@register_lesson(title="LeCun, and the nets that normalise themselves", aliases=("selu",))
def lecun() -> Lesson:
    """LeCun's rule with the linear net, SELU, tanh and ReLU."""
    acts = ("identity", "selu", "tanh", "relu")
    found = {act: profile(deep(DEPTH, WIDTH, act), "lecun_normal") for act in acts}
    curves = {act: layer_curve(act, DEPTH, sigma_w2=1.0) for act in acts}
    mean, spread = _settled("selu")
    n: dict[str, float] = {
        "depth": float(DEPTH),
        "selu_mean": mean,
        "selu_variance": spread,
        "selu_chi": chi_1("selu", 1.0),
    }
    for act in acts:
        n |= {
            f"{act}_signal": found[act].signal[-1],
            f"{act}_theory": curves[act][-1].q,
            f"{act}_gradient": found[act].gradient_ratio,
            f"{act}_gradient_theory": curves[act][0].gradient,
        }
    return Lesson(
        plain=(
            "LeCun's rule is the plain one: Var w = 1 / fan_in, so that a unit's sum has the variance of one input. It "
            "is exact where nothing bends the signal, and it is what Xavier becomes in a square layer. The dense "
            "layers of Flax, on JAX, start with it.",
            "One activation is made for it. SELU stretches what it lets through just enough that variance 1 comes out "
            f"as variance 1. After {DEPTH} layers its outputs have mean {number(n['selu_mean'])} and variance "
            f"{number(n['selu_variance'])} without any norm layer. The gradient is not kept as well: it grows by "
            f"{number(n['selu_chi'])} a layer, {number(n['selu_gradient'])} times over the net (theory "
            f"{number(n['selu_gradient_theory'])}).",
            f"With ReLU the rule halves z^2 at every layer: {number(n['relu_signal'])} is left. With tanh "
            f"{number(n['tanh_signal'])} is left.",
        ),
        experiment=(
            f"{DEPTH} hidden layers of {WIDTH} units with lecun_normal, inputs of variance 1; geometric mean over "
            "6 draws."
        ),
        table=Table(
            f"z^2 at layer {DEPTH}, and the squared gradient at the first layer over that at the last",
            ("activation", "z^2", "theory", "gradient", "gradient, theory"),
            tuple(
                (act, *(number(n[f"{act}_{part}"]) for part in ("signal", "theory", "gradient", "gradient_theory")))
                for act in acts
            ),
        ),
        bars=Bars("z^2 by layer with lecun_normal", {act: means.signal for act, means in found.items()}),
        mathematics=(
            Formula("n Var w = 1, so Var w = 1 / fan_in", "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, 4.6"),
            Formula(
                "SELU: mean 0 and variance 1 are a fixed point of a layer with E w = 0, n Var w = 1; it attracts",
                "Klambauer, Unterthiner, Mayr & Hochreiter 2017, arXiv 1706.02515",
            ),
        ),
        numbers=n,
        tries=("initlab show lecun_normal", "initlab theory selu"),
        see_also=("xavier", "normalisation", "framework-differences"),
    )


def _settled(act: str) -> tuple[float, float]:
    """Mean and variance of the outputs of the last of 20 layers, over 6 draws."""
    net, f = deep(DEPTH, WIDTH, act), activation(act)
    outputs = [
        f(forward(net, drawn(net, "lecun_normal", seed=seed), noise((24, WIDTH), "inputs", seed=seed)).before[-1])
        for seed in range(6)
    ]
    return float(np.mean(outputs)), float(np.var(outputs))
