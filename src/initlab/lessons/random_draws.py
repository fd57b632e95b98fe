"""Random weights of a fixed scale: too small, too large, and how to put it right."""

from __future__ import annotations

from initlab.core.facts.spec import ParamSpec
from initlab.lessons.lesson import Bars, Formula, Lesson, Table, register_lesson, share
from initlab.lessons.nets import deep, profile
from initlab.report.drawing.text import number
from initlab.schemes import scheme
from initlab.theory import layer_curve

DEPTH, WIDTH = 20, 100

_SCALES = {
    "N(0, 1)": "normal(std=1.0)",
    "U(-0.05, 0.05)": "uniform(low=-0.05, high=0.05)",
    "N(0, 0.01^2)": "normal(std=0.01)",
    "he_normal": "he_normal",
    "glorot_normal": "glorot_normal",
}
_KEYS = ("standard", "uniform", "hundredth", "he", "glorot")


def weight_power(call: str, *, width: int = WIDTH) -> float:
    """``n Var w``: the number of inputs times the variance of a weight under a scheme.

    Example:
        >>> round(weight_power("normal(std=1.0)"), 9), round(weight_power("he_normal"), 9)
        (100.0, 2.0)
    """
    shape = (width, width)
    return width * scheme(call)(ParamSpec(shape=shape)).std(shape) ** 2


@register_lesson(
    title="Random weights: which law, and above all which scale",
    aliases=("normal", "uniform", "random-initialization", "standard-normal"),
)
def random() -> Lesson:
    """Five random starts of deep tanh and ReLU nets."""
    tanh = {label: profile(deep(DEPTH, WIDTH, "tanh"), call) for label, call in _SCALES.items()}
    relu = {label: profile(deep(DEPTH, WIDTH, "relu"), call) for label, call in _SCALES.items()}
    powers = {label: weight_power(call) for label, call in _SCALES.items()}
    alike = profile(deep(DEPTH, WIDTH, "relu"), "he_uniform")
    n: dict[str, float] = {
        "depth": float(DEPTH),
        "he_uniform_signal": alike.signal[-1],
        "he_theory": layer_curve("relu", DEPTH, sigma_w2=powers["he_normal"])[-1].q,
    }
    for label, key in zip(_SCALES, _KEYS, strict=True):
        n |= {
            f"{key}_power": powers[label],
            f"{key}_saturated": tanh[label].saturated[-1],
            f"{key}_tanh_gradient": tanh[label].gradient_ratio,
            f"{key}_relu_signal": relu[label].signal[-1],
        }
    return Lesson(
        plain=(
            "Random weights make units different. That settles the symmetry, and leaves one question: how large? What "
            "counts is not the std alone but n Var w, the std squared times the number of inputs. The same std is far "
            "too small for a unit with 10 inputs and far too large for one with 1000.",
            f"Standard normal weights look natural, and with {WIDTH} inputs n Var w is {number(n['standard_power'])}. "
            f"In a tanh net {share(n['standard_saturated'])} of the units of layer {DEPTH} are saturated. In a ReLU "
            f"net z^2 reaches {number(n['standard_relu_signal'])}. Small weights such as N(0, 0.01^2) were the habit "
            f"for a shallow net; here n Var w is {number(n['hundredth_power'])}, and z^2 falls to "
            f"{number(n['hundredth_relu_signal'])}. Uniform weights within 0.05 have {number(n['uniform_power'])} and "
            f"end at {number(n['uniform_relu_signal'])}.",
            f"So take the std from the number of inputs: sqrt(2 / n) for ReLU, sqrt(1 / n) for tanh. He's z^2 ends at "
            f"{number(n['he_relu_signal'])} (theory {number(n['he_theory'])}). Normal or uniform hardly matters: "
            f"he_uniform, of the same std, ends at {number(n['he_uniform_signal'])}. If tanh units saturate, or a "
            "loss is huge at the start, halve the std; if the signal dies on the way, raise it.",
        ),
        experiment=(
            f"{DEPTH} hidden layers of {WIDTH} units, inputs of variance 1, biases zero, geometric mean over 6 draws. "
            "Saturated: slope below 1/20 of the largest."
        ),
        table=Table(
            f"tanh and ReLU nets at layer {DEPTH}; gradient: squared, first layer over last",
            ("weights", "n Var w", "tanh: saturated", "tanh: gradient", "ReLU: z^2"),
            tuple(
                (
                    label,
                    number(n[f"{key}_power"]),
                    share(n[f"{key}_saturated"]),
                    number(n[f"{key}_tanh_gradient"]),
                    number(n[f"{key}_relu_signal"]),
                )
                for label, key in zip(_SCALES, _KEYS, strict=True)
            ),
        ),
        bars=Bars("ReLU: z^2 by layer", {label: means.signal for label, means in relu.items()}),
        mathematics=(
            Formula("U(-l, l) has std l / sqrt(3); so l = sqrt(3) std gives a std asked for", "second moment of U"),
            Formula("E z^2 behind L ReLU layers: (n Var w / 2)^L times that before", "He et al. 2015, equation 9"),
        ),
        numbers=n,
        tries=("initlab show normal", "initlab show uniform"),
        see_also=("variance", "xavier", "he", "truncated-normal"),
    )
