"""What becomes of a gradient on its way back: it vanishes, it explodes, and saturation is the usual reason."""

from __future__ import annotations

from initlab.lessons.lesson import Bars, Formula, Lesson, Table, register_lesson, share
from initlab.lessons.nets import LayerMeans, deep, drawn, gaussian, profile
from initlab.lessons.training import Descent, digits, train
from initlab.report.drawing.text import number
from initlab.theory import chi_1, largest_slope, layer_curve, moments, q_star, saturation_probability

DEPTH, WIDTH = 20, 100

# Label, activation, scheme and the variance of a weight times its fan-in.
_NETS = (
    ("sigmoid, glorot", "sigmoid", "glorot_normal", 1.0),
    ("tanh, glorot", "tanh", "glorot_normal", 1.0),
    ("relu, glorot", "relu", "glorot_normal", 1.0),
    ("relu, he", "relu", "he_normal", 2.0),
)
_LOUD = (
    ("relu, n Var w = 2", "relu", 2.0),
    ("relu, n Var w = 4", "relu", 4.0),
    ("tanh, n Var w = 1", "tanh", 1.0),
    ("tanh, n Var w = 4", "tanh", 4.0),
)


@register_lesson(
    title="Vanishing gradients: the first layers learn nothing", aliases=("vanishing", "vanishing-gradient")
)
def vanishing_gradients() -> Lesson:
    """Squared gradient by layer in deep nets, and what it does to training."""
    found = {label: profile(deep(DEPTH, WIDTH, act), scheme) for label, act, scheme, _ in _NETS}
    theory = {label: layer_curve(act, DEPTH, sigma_w2=w)[0].gradient for label, act, _, w in _NETS}
    net = deep(8, 64, "sigmoid")
    stuck = train(net, digits(), drawn(net, "glorot_normal"), Descent(epochs=10))
    net = deep(8, 64, "relu")
    free = train(net, digits(), drawn(net, "he_normal"), Descent(epochs=10))
    n = {
        "depth": float(DEPTH),
        "sigmoid_steepest": largest_slope("sigmoid"),
        "sigmoid_slope_second": moments("sigmoid", 1e-6).slope_second,
        "sigmoid_measured": found["sigmoid, glorot"].gradient_ratio,
        "sigmoid_theory": theory["sigmoid, glorot"],
        "tanh_measured": found["tanh, glorot"].gradient_ratio,
        "tanh_theory": theory["tanh, glorot"],
        "relu_glorot_measured": found["relu, glorot"].gradient_ratio,
        "relu_glorot_theory": theory["relu, glorot"],
        "relu_he_measured": found["relu, he"].gradient_ratio,
        "relu_he_theory": theory["relu, he"],
        "sigmoid_loss_end": stuck.losses[-1],
        "relu_loss_end": free.losses[-1],
    }
    return Lesson(
        plain=(
            "To learn, every weight must be told how the error depends on it. That message, the gradient, starts at "
            "the output and goes back layer by layer. Each layer multiplies it by two things: its weights, and the "
            "slope of its activation. If the product is below 1 on average, the message fades, and after many layers "
            "the first ones hear nothing. They stay random, and the layers behind them learn from what a random net "
            "hands them.",
            f"The sigmoid is the classic case. Its slope is at most {number(n['sigmoid_steepest'])}, so each layer "
            f"keeps at most {number(n['sigmoid_slope_second'])} of the squared gradient when the weights have "
            f"n Var w = 1. In a net of {DEPTH} sigmoid layers the squared gradient at the first layer is "
            f"{number(n['sigmoid_measured'])} times that at the last. With ReLU and he_normal it is "
            f"{number(n['relu_he_measured'])} times.",
            f"It shows in training: after 10 epochs on the digits an 8-layer sigmoid net has a loss of "
            f"{number(n['sigmoid_loss_end'])}, which is that of a guess; the same net with ReLU and he_normal has "
            f"{number(n['relu_loss_end'])}. The cures act on the same product: weights scaled to the activation, "
            "activations that do not flatten out, normalisation, and connections that skip layers.",
        ),
        experiment=(
            f"{DEPTH} hidden layers of {WIDTH} units, random gradients at the output, geometric mean over 6 draws; the "
            "theory line is for infinite width. Training: 8 layers of 64, plain gradient descent with steps of 0.05."
        ),
        table=Table(
            "Squared gradient at the first layer over that at the last",
            ("net", "theory", "measured", "last z^2"),
            tuple(
                (label, number(theory[label]), number(found[label].gradient_ratio), number(found[label].signal[-1]))
                for label in found
            ),
        ),
        bars=_bars("Squared gradient by layer, first to last", found),
        mathematics=(
            Formula(
                "E (dL/dz_l)^2 = chi_1(q_l) E (dL/dz_(l+1))^2, chi_1(q) = sigma_w^2 E f'(sqrt(q) z)^2, "
                "sigma_w^2 = n Var w",
                "Schoenholz, Gilmer, Ganguli & Sohl-Dickstein 2017, arXiv 1611.01232",
            ),
            Formula("sigmoid' = s (1 - s) <= 1/4, so its square is at most 1/16", "calculus"),
            Formula(
                "vanishing was first told of recurrent nets",
                "Hochreiter 1991, diploma thesis; Bengio, Simard & Frasconi 1994, IEEE TNN 5(2), 157-166",
            ),
        ),
        numbers=n,
        tries=("initlab theory sigmoid", "initlab theory relu"),
        see_also=("exploding-gradients", "saturation", "recurrent-nets", "residual"),
    )


@register_lesson(title="Exploding gradients: steps too large to take", aliases=("exploding", "exploding-gradient"))
def exploding_gradients() -> Lesson:
    """Squared gradient by layer above the edge, and a run that ends in NaN."""
    found = {label: profile(deep(DEPTH, WIDTH, act), gaussian(w)) for label, act, w in _LOUD}
    theory = {label: layer_curve(act, DEPTH, sigma_w2=w)[0].gradient for label, act, w in _LOUD}
    net = deep(10, 64, "relu")
    runs = {w: train(net, digits(), drawn(net, gaussian(w)), Descent(epochs=3, rate=0.05)) for w in (2.0, 4.0, 8.0)}
    settled = q_star("tanh", sigma_w2=4.0)
    n = {
        "depth": float(DEPTH),
        "relu_2_measured": found["relu, n Var w = 2"].gradient_ratio,
        "relu_4_theory": theory["relu, n Var w = 4"],
        "relu_4_measured": found["relu, n Var w = 4"].gradient_ratio,
        "tanh_4_theory": theory["tanh, n Var w = 4"],
        "tanh_4_measured": found["tanh, n Var w = 4"].gradient_ratio,
        "tanh_4_chi": chi_1("tanh", 4.0, settled),
        "tanh_4_signal": found["tanh, n Var w = 4"].signal[-1],
        "loss_2": runs[2.0].losses[0],
        "loss_4": runs[4.0].losses[0],
        "loss_8": runs[8.0].losses[0],
        "step_8": float(runs[8.0].diverged_at),
    }
    return Lesson(
        plain=(
            "If each layer multiplies the gradient by more than 1 on average, it grows on its way back. A step of "
            "gradient descent is as long as the gradient, so the first layers are thrown far away. The loss jumps up "
            "and down, or a number overflows and all that follows is NaN.",
            f"With ReLU the signal explodes on the way forward as well: at n Var w = 4, twice what ReLU bears, the "
            f"squared gradient grows {number(n['relu_4_measured'])} times over {DEPTH} layers. With tanh the signal "
            f"cannot explode, as tanh never leaves -1 to 1: E z^2 of its sums settles at "
            f"{number(n['tanh_4_signal'])}. The gradient grows all the same, by {number(n['tanh_4_chi'])} a layer in "
            f"theory and by {number(n['tanh_4_measured'])} over the net. So look at the gradient, too: a healthy "
            "signal proves nothing.",
            f"On the digits, 10 ReLU layers at n Var w = 2, 4 and 8 start from a loss of {number(n['loss_2'])}, "
            f"{number(n['loss_4'])} and {number(n['loss_8'])}; the last one is NaN at step {n['step_8']:.0f}.",
        ),
        experiment=(
            f"{DEPTH} hidden layers of {WIDTH} units, normal weights, random gradients at the output, geometric mean "
            "over 6 draws. Training: 10 layers of 64, plain gradient descent with steps of 0.05."
        ),
        table=Table(
            "Squared gradient at the first layer over that at the last",
            ("net", "theory", "measured", "last z^2", "saturated"),
            tuple(
                (
                    label,
                    number(theory[label]),
                    number(found[label].gradient_ratio),
                    number(found[label].signal[-1]),
                    share(found[label].saturated[-1]) if label.startswith("tanh") else "–",
                )
                for label in found
            ),
        ),
        bars=_bars("Squared gradient by layer, first to last", found),
        mathematics=(
            Formula(
                "chi_1 = sigma_w^2 E f'(sqrt(q*) z)^2 > 1: the chaotic phase; gradients grow by chi_1 a layer",
                "Poole, Lahiri, Raghu, Sohl-Dickstein & Ganguli 2016, arXiv 1606.05340; Schoenholz et al. 2017",
            ),
            Formula(
                "ReLU: chi_1 = sigma_w^2 / 2 at every q, so 2^L at sigma_w^2 = 4", "He et al. 2015, arXiv 1502.01852"
            ),
        ),
        numbers=n,
        tries=("initlab theory tanh",),
        see_also=("vanishing-gradients", "clipping", "he"),
    )


def _bars(title: str, found: dict[str, LayerMeans]) -> Bars:
    return Bars(title, {label: means.gradient for label, means in found.items()})


_ACTIVATIONS = ("sigmoid", "tanh", "softsign", "hard_tanh", "relu", "gelu")


@register_lesson(title="Saturation: units on the flat ends of an activation", aliases=("saturated",))
def saturation() -> Lesson:
    """The share of flat units, by activation and by scale of the weights."""
    small, large = 1.0, 100.0
    rows = []
    n: dict[str, float] = {"large": large}
    for act in _ACTIVATIONS:
        values = {
            "steepest": largest_slope(act),
            "near": saturation_probability(act, small),
            "far": saturation_probability(act, large),
        }
        measured = profile(deep(1, 100, act), gaussian(large), rows=100).saturated[0]
        rows.append((act, number(values["steepest"]), share(values["near"]), share(values["far"]), share(measured)))
        n |= {f"{act}_{part}": value for part, value in values.items()}
        n[f"{act}_measured"] = measured
    return Lesson(
        plain=(
            "Sigmoid and tanh are steep in the middle and flat at both ends. A unit whose input is far from zero sits "
            "on a flat end: it gives nearly the same output whatever comes in, and its slope is nearly zero, so no "
            "gradient passes. It is saturated. Such a unit is not dead for good, but it learns very slowly.",
            f"How many units saturate depends on the scale of z. Here z has variance 1 and variance {large:.0f}; the "
            "latter is what standard normal weights and 100 inputs give. We call a unit saturated where its slope is "
            f"below 1/20 of the largest. For tanh that is {share(n['tanh_near'])} of the units at variance 1 and "
            f"{share(n['tanh_far'])} at variance {large:.0f}; the run gives {share(n['tanh_measured'])}.",
            "ReLU is flat on one side: half its units pass nothing, and the other half pass everything, at any scale. "
            "It cannot saturate where it is on, which is one reason why it took over; but a ReLU unit that is off for "
            "every input is dead, as no gradient reaches it.",
        ),
        experiment=(
            "One layer of 100 units with standard normal weights and 100 standard normal inputs, 100 rows, 6 draws; "
            "beside it the exact shares."
        ),
        table=Table(
            "Largest slope, and the share of units whose slope is below 1/20 of it",
            ("activation", "slope", "z^2 = 1", f"z^2 = {large:.0f}", "measured"),
            tuple(rows),
        ),
        mathematics=(
            Formula(
                "tanh' = 1 - tanh^2 < 1/20 where |tanh u| > sqrt(0.95): P = erfc(atanh(sqrt(0.95)) / sqrt(2 q))",
                "normal distribution function at the two ends",
            ),
            Formula(
                "saturation of sigmoid and tanh layers, watched in training",
                "Glorot & Bengio 2010, AISTATS, section 3",
            ),
        ),
        numbers=n,
        tries=("initlab theory softsign",),
        see_also=("vanishing-gradients", "random", "textbook-errors"),
    )
