"""The two rules of thumb, and where they fail."""

from __future__ import annotations

from initlab.lessons.lesson import Bars, Formula, Lesson, Table, register_lesson
from initlab.lessons.nets import deep, profile
from initlab.report.drawing.text import number
from initlab.theory import forward_gain, moments, variance_map, variance_slope

DEPTH, WIDTH = 40, 100
# The mean of a weight that breaks the first rule: a seventh of the std beside it.
_MEAN = 0.02
ACTS = ("relu", "tanh", "gelu", "silu")


def course(act: str, start: float, *, depth: int = DEPTH) -> tuple[float, ...]:
    """``q`` by layer at the exact gain of an activation, from a start beside its fixed point 1; infinite width."""
    signals, weight = [start], forward_gain(act) ** 2
    for _ in range(depth - 1):
        signals.append(variance_map(act, signals[-1], sigma_w2=weight))
    return tuple(signals)


@register_lesson(title="Two rules of thumb, and where they fail", aliases=("rules", "gelu", "silu"))
def rules_of_thumb() -> Lesson:
    """Checks the rules, and the slope of the variance map that decides whether they hold."""
    std = (2.0 / WIDTH) ** 0.5
    shifted, centred = (
        profile(deep(10, WIDTH, "relu"), f"normal(mean={mean!r}, std={std!r})") for mean in (_MEAN, 0.0)
    )
    n: dict[str, float] = {
        "mean": _MEAN,
        "std": std,
        "shifted_signal": shifted.signal[-1],
        "centred_signal": centred.signal[-1],
        "shifted_cosine": shifted.cosine[-1],
        "centred_cosine": centred.cosine[-1],
        "above": 1.01,
        "below": 0.99,
    }
    rows = []
    for act in ACTS:
        high, low = course(act, n["above"]), course(act, n["below"])
        measured = profile(deep(DEPTH, WIDTH, act), "exact_gain_normal")
        n |= {
            f"{act}_gain": forward_gain(act),
            f"{act}_slope": variance_slope(act),
            f"{act}_high": high[-1],
            f"{act}_low": low[-1],
            f"{act}_measured": measured.signal[-1],
        }
        rows.append((act, *(number(n[f"{act}_{part}"]) for part in ("gain", "slope", "high", "low", "measured"))))
    n["output_mean"] = moments("relu").mean
    return Lesson(
        plain=(
            "Textbooks give two rules. One: weights should have mean zero. Two: the variance of the signal "
            "should be the same in every layer. Both follow from one sum: z is a sum of weights times inputs, and "
            "weights of mean zero give a z of mean zero, whatever the inputs are; its variance is n Var w E x^2.",
            f"Break rule one by a little, a mean of {number(n['mean'])} under He's std of {number(n['std'])}. The "
            "outputs of a ReLU are never negative, so every unit adds up the same small push a hundred times: after 10 "
            f"layers z^2 is {number(n['shifted_signal'])} instead of {number(n['centred_signal'])}, and the cosine of "
            f"two unrelated inputs is {n['shifted_cosine']:.5g} instead of {number(n['centred_cosine'])}: the net "
            "hardly tells them apart. The rule is about the weights. That the outputs of a ReLU themselves have mean "
            f"{number(n['output_mean'])} at variance 1 is no fault, for weights of mean zero take it out again.",
            "Rule two can be met exactly for any activation: choose the gain so that variance 1 goes to variance 1. "
            "But a rule that holds at 1 is of use only if it pulls back what is off. Let the first layer's variance be "
            f"{n['above']} or {n['below']} instead of 1. With tanh it returns: {number(n['tanh_high'])} and "
            f"{number(n['tanh_low'])} after {DEPTH} layers. With GELU it runs away: {number(n['gelu_high'])} and "
            f"{number(n['gelu_low'])}; with SiLU {number(n['silu_high'])} and {number(n['silu_low'])}. A pencil on its "
            "tip is balanced, too.",
            "What decides is the slope V'(1) of the map from one layer's variance to the next: "
            f"{number(n['tanh_slope'])} for tanh, {number(n['relu_slope'])} for ReLU, {number(n['gelu_slope'])} for "
            f"GELU and {number(n['silu_slope'])} for SiLU. Above 1 every deviation grows by that factor a layer. Real "
            f"nets of {WIDTH} units show it: their z^2 ends at {number(n['gelu_measured'])} (GELU) and "
            f"{number(n['silu_measured'])} (SiLU). It is one reason why such nets come with norm layers.",
        ),
        experiment=(
            f"The variance map over {DEPTH} layers at the exact gain, and nets of {WIDTH} units at the same gain, "
            "inputs of variance 1, geometric mean over 6 draws."
        ),
        table=Table(
            f"Gain that holds 1, slope there, z^2 of layer {DEPTH} from 1.01 and 0.99, and z^2 of real nets",
            ("activation", "gain", "V'(1)", "from 1.01", "from 0.99", "nets"),
            tuple(rows),
        ),
        bars=Bars("z^2 by layer from 1.01, theory", {act: course(act, n["above"]) for act in ACTS}),
        mathematics=(
            Formula("E z = n E w E x = 0 and Var z = n Var w E x^2 where E w = 0", "independence of w and x"),
            Formula(
                "V(q) = g^2 E f(sqrt(q) z)^2, g = 1 / sqrt(E f(z)^2): V(1) = 1; q_l - 1 ~ V'(1)^l (q_0 - 1), "
                "V'(1) = g^2 E f(z) f'(z) z",
                "Poole et al. 2016, arXiv 1606.05340, equation 3, and its slope",
            ),
        ),
        numbers=n,
        tries=("initlab theory gelu", "initlab theory silu"),
        see_also=("variance", "normalisation", "he"),
    )
