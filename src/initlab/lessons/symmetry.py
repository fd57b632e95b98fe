"""Equal weights stay equal: zeros, ones, any constant; and where zeros are the right choice."""

from __future__ import annotations

import math

import numpy as np

from initlab.core.facts.arch import Mlp
from initlab.lessons.lesson import Bars, Formula, Lesson, Table, register_lesson, share
from initlab.lessons.nets import Array, Weights, backward, drawn, forward, noise
from initlab.lessons.streams import stream_of
from initlab.lessons.training import Descent, Trained, digits, softmax_pull, train
from initlab.report.drawing.text import number
from initlab.theory import initial_squared_error, residual_growth

EPOCHS, WIDTH = 10, 64
# Rows of a matrix count as one where they differ by less than this share of the longest; float64 rounding is 1e-16.
_SAME = 1e-8


def distinct_rows(matrix: Array) -> int:
    """The number of rows that differ from all rows before them.

    Example:
        >>> distinct_rows(np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 2.0]]))
        2
    """
    limit = _SAME * max(float(np.abs(matrix).max()), np.finfo(float).tiny)
    kept: list[Array] = []
    for row in matrix:
        if not any(np.abs(row - other).max() <= limit for other in kept):
            kept.append(row)
    return len(kept)


def rank(matrix: Array) -> int:
    """The number of singular values above ``1e-8`` of the largest; 0 for a matrix of zeros.

    Example:
        >>> rank(np.ones((3, 3))), rank(np.eye(3)), rank(np.zeros((2, 2)))
        (1, 3, 0)
    """
    values = np.linalg.svd(matrix, compute_uv=False)
    return int((values > _SAME * values[0]).sum()) if values[0] > 0 else 0


def constant_runs(schemes: dict[str, str], *, act: str, hidden: int = 1) -> dict[str, Trained]:
    """The digits learnt by a net of one width from several starts, by label."""
    net = Mlp((64, *(WIDTH,) * hidden, 10), activation=act)
    return {
        label: train(net, digits(), drawn(net, call), Descent(rate=0.05, epochs=EPOCHS))
        for label, call in schemes.items()
    }


@register_lesson(
    title="Zeros: why a net of zeros cannot learn",
    aliases=("zeros", "zero", "zero-initialization", "symmetry-breaking"),
)
def symmetry() -> Lesson:
    """Gradients at zero weights, and what training leaves of them."""
    data = digits()
    net = Mlp((64, WIDTH, WIDTH, 10), activation="relu")
    rows = []
    n: dict[str, float] = {"hidden_units": float(WIDTH), "epochs": float(EPOCHS)}
    curves = {}
    for label in ("zeros", "he_normal"):
        start = drawn(net, label)
        done = forward(net, start, data.x)
        slopes = backward(net, start, done, softmax_pull(done.outputs, data.y)).weights
        after = train(net, data, start, Descent(rate=0.05, epochs=EPOCHS))
        curves[label] = after.losses
        key = label.removesuffix("_normal")
        n |= {
            f"{key}_hidden_gradient": math.sqrt(sum(float((slopes[f"{i}/weight"] ** 2).sum()) for i in range(3))),
            f"{key}_bias_gradient": math.sqrt(float((slopes["2/bias"] ** 2).sum())),
            f"{key}_units": float(distinct_rows(after.weights["0/weight"])),
            f"{key}_loss": after.losses[-1],
            f"{key}_accuracy": after.test_accuracy,
        }
        rows.append(
            (
                label,
                number(n[f"{key}_hidden_gradient"]),
                number(n[f"{key}_bias_gradient"]),
                f"{n[f'{key}_units']:.0f}",
                number(n[f"{key}_loss"]),
                share(n[f"{key}_accuracy"]),
            )
        )
    shares = np.bincount(data.y) / len(data.y)
    n["class_entropy"] = float(-(shares * np.log(shares)).sum())
    return Lesson(
        plain=(
            "Zeros look like the neutral choice: no opinion before the first example. But a unit learns what its "
            "neighbours let through. With all weights zero, every hidden unit gives zero. The next layer's weights "
            "get a gradient of error times input, and the input is zero. The layer before gets the error times the "
            "weights behind it, and those are zero. Every weight is told to stay where it is.",
            f"The gradient of all weights together is {number(n['zeros_hidden_gradient'])}: not small, but exactly "
            f"zero. Only the output's bias hears something ({number(n['zeros_bias_gradient'])}). It learns how often "
            f"each class occurs, which gives the loss of a guess: {number(n['zeros_loss'])} after {EPOCHS} epochs, "
            f"where the entropy of the classes is {number(n['class_entropy'])}. It is right on "
            f"{share(n['zeros_accuracy'])} of the test digits, and all {WIDTH} hidden units are still the same.",
            "With sigmoid a hidden unit gives 1/2 instead of 0; then weights do move, but all alike (see constants). "
            "More epochs, more data or a better optimiser do not help: momentum and Adam multiply zero by something. "
            "The random start is there to make units different, so that each can find its own task. That is called "
            "breaking the symmetry.",
        ),
        experiment=(
            f"Digits, 2 hidden layers of {WIDTH} ReLU units, biases zero, plain gradient descent with steps of 0.05, "
            f"{EPOCHS} epochs. Gradients are norms over the whole training set at the start."
        ),
        table=Table(
            "Norm of the gradient at the start; different units and scores after training",
            ("start", "by weights", "by last bias", "units", "loss", "right"),
            tuple(rows),
        ),
        bars=Bars("Loss by epoch", curves),
        mathematics=(
            Formula("dL/dW_l = delta_l a_(l-1)^T, delta_l = f'(z_l) (W_(l+1)^T delta_(l+1))", "back-propagation"),
            Formula(
                "a_(l-1) = 0 for every hidden layer and W_(l+1) = 0: each product has a factor zero",
                "Rumelhart, Hinton & Williams 1986, Nature 323, 533-536, on breaking symmetry",
            ),
        ),
        numbers=n,
        tries=("initlab show zeros",),
        see_also=("constants", "when-zero-is-right", "random"),
    )


@register_lesson(
    title="Ones, or any constant: a wide net with one unit",
    aliases=("ones", "constant", "rank-1"),
)
def constants() -> Lesson:
    """Constant starts train, and end at rank 1."""
    starts = {
        "zeros": "zeros",
        "constant(0.05)": "constant(value=0.05)",
        "ones": "ones",
        "glorot_normal": "glorot_normal",
    }
    runs = constant_runs(starts, act="tanh")
    one = Mlp((64, 1, 10), activation="tanh")
    alone = train(one, digits(), drawn(one, "glorot_normal"), Descent(rate=0.05, epochs=EPOCHS))
    n: dict[str, float] = {"hidden_units": float(WIDTH), "one_unit_accuracy": alone.test_accuracy}
    rows = []
    for label, key in zip(starts, ("zeros", "constant", "ones", "glorot"), strict=True):
        run, matrix = runs[label], runs[label].weights["0/weight"]
        n |= {
            f"{key}_units": float(distinct_rows(matrix)),
            f"{key}_rank": float(rank(matrix)),
            f"{key}_loss": run.losses[-1],
            f"{key}_accuracy": run.test_accuracy,
        }
        counts = (f"{n[f'{key}_units']:.0f}", f"{n[f'{key}_rank']:.0f}")
        rows.append((label, *counts, number(run.losses[-1]), share(run.test_accuracy)))
    rows.append(("one unit, glorot", "1", "1", number(alone.losses[-1]), share(alone.test_accuracy)))
    return Lesson(
        plain=(
            "If zero is the trouble, why not ones? The products are not zero then, and a gradient does flow. But it "
            "is the same gradient for every unit of a layer: they get the same inputs, hold the same weights, and feed "
            "the next layer by the same weights. Twins that are treated alike stay alike. After any number of steps "
            "the layer is one unit, copied.",
            f"So the net does learn something, as much as one unit can. From the constant 0.05, {WIDTH} tanh units "
            f"reach {share(n['constant_accuracy'])} of the test digits; a net with a single hidden unit reaches "
            f"{share(n['one_unit_accuracy'])}. The same {WIDTH} units from glorot_normal reach "
            f"{share(n['glorot_accuracy'])}.",
            f"The trained weights show it. From the constant the {WIDTH} rows of the first matrix are "
            f"{n['constant_units']:.0f} row, and its rank is {n['constant_rank']:.0f}; from glorot_normal they are "
            f"{n['glorot_units']:.0f} rows of rank {n['glorot_rank']:.0f}. Ones add a second fault: a sum of 64 inputs "
            f"with weight 1 is so large that tanh is flat, and only {share(n['ones_accuracy'])} are right.",
        ),
        experiment=(
            f"Digits, one hidden layer of {WIDTH} tanh units, biases zero, plain gradient descent with steps of 0.05, "
            f"{EPOCHS} epochs. Rows that differ by less than 1e-8 of the largest entry count as one."
        ),
        table=Table(
            "The first weight matrix after training, and how good the net is",
            ("start", "different units", "rank", "loss", "right on test"),
            tuple(rows),
        ),
        bars=Bars("Loss by epoch", {label: run.losses for label, run in runs.items()}),
        mathematics=(
            Formula(
                "if the rows of W_l are equal and the columns of W_(l+1) are equal, so are the rows of dL/dW_l and the "
                "columns of dL/dW_(l+1): W_l = 1 u^T, of rank 1, at every step",
                "induction over the steps, from the formulas of back-propagation",
            ),
            Formula("noise that differs from unit to unit, such as dropout, ends the symmetry", "same induction"),
        ),
        numbers=n,
        tries=("initlab show constant", 'initlab compare iris --schemes "ones,glorot_normal" --seeds 5'),
        see_also=("symmetry", "random", "textbook-errors"),
    )


@register_lesson(title="Where zero is the right start", aliases=("zero-is-right", "zero-last"))
def when_zero_is_right() -> Lesson:
    """Zeros for biases, outputs and the ends of residual branches."""
    data = digits()
    net = Mlp((64, WIDTH, WIDTH, 10), activation="relu")
    runs, firsts = {}, {}
    for label, schemes in (("he", "he_normal"), ("zero", {"*": "he_normal", "2/weight": "zeros"})):
        start = drawn(net, schemes)
        runs[label] = train(net, data, start, Descent(rate=0.05, epochs=5))
        moved = train(net, data, start, Descent(rate=0.05, epochs=1, batch=len(data.x))).weights
        firsts[label] = [_hidden_gradient(net, weights) for weights in (start, moved)]
    plain, zero = stream_of("he_normal"), stream_of("zeros")
    n = {
        "ln_10": math.log(10),
        "he_loss_start": runs["he"].losses[0],
        "zero_loss_start": runs["zero"].losses[0],
        "he_accuracy": runs["he"].test_accuracy,
        "zero_accuracy": runs["zero"].test_accuracy,
        "zero_gradient_before": firsts["zero"][0],
        "zero_gradient_after": firsts["zero"][1],
        "error_drawn": _squared_error("lecun_normal"),
        "error_zero": _squared_error("zeros"),
        "error_drawn_theory": initial_squared_error(1.0).mean,
        "error_zero_theory": initial_squared_error(0.0).mean,
        "stream_drawn": plain.signal[-1],
        "stream_drawn_theory": residual_growth(20),
        "stream_zero": zero.signal[-1],
    }
    return Lesson(
        plain=(
            "Zero is wrong where units must become different. Where something else makes the difference it is fine, "
            "and often best. Biases start at zero: the weights beside them are random, so the units differ anyhow, "
            "and a bias of zero favours no side.",
            "The last layer may start at zero. Then every output is zero, all classes are equally likely and the "
            f"first loss is exactly ln 10 = {number(n['ln_10'])} (run: {number(n['zero_loss_start'])}), where drawn "
            f"weights begin with an opinion that is wrong at a cost: {number(n['he_loss_start'])}. Its units differ "
            "because the targets do. The layers before it wait for one step: the gradient of the first matrix is "
            f"{number(n['zero_gradient_before'])} at the start and {number(n['zero_gradient_after'])} one step later. "
            f"After 5 epochs both are alike: {share(n['he_accuracy'])} from drawn weights, {share(n['zero_accuracy'])} "
            "from zeros. In a regression on centred targets of variance 1 a drawn output adds its own variance to the "
            f"error: {number(n['error_drawn'])} instead of {number(n['error_zero'])}.",
            "The last layer of a residual branch may start at zero, too. The block then passes its input on unchanged "
            f"and learns to add. Twenty ReLU blocks with drawn branches multiply the variance by "
            f"{number(n['stream_drawn'])}; with zeros at the end of each branch by {number(n['stream_zero'])}.",
        ),
        experiment=(
            f"Digits, 2 hidden layers of {WIDTH} ReLU units, steps of 0.05; the regression on 1000 random targets; "
            "a stream of 20 blocks of 100 units, geometric mean over 6 draws."
        ),
        table=Table(
            "What a zero changes at the start",
            ("where", "quantity", "theory", "drawn", "theory with 0", "zero"),
            (
                (
                    "output, 10 classes",
                    "loss",
                    "–",
                    number(n["he_loss_start"]),
                    number(n["ln_10"]),
                    number(n["zero_loss_start"]),
                ),
                (
                    "output, regression",
                    "error",
                    number(n["error_drawn_theory"]),
                    number(n["error_drawn"]),
                    number(n["error_zero_theory"]),
                    number(n["error_zero"]),
                ),
                (
                    "residual branches",
                    "E x^2",
                    number(n["stream_drawn_theory"]),
                    number(n["stream_drawn"]),
                    "1.00",
                    number(n["stream_zero"]),
                ),
            ),
        ),
        mathematics=(
            Formula("E (y - o)^2 = Var y + Var o for an output o that knows nothing of y", "sum of variances"),
            Formula(
                "x + F(x) with F = 0 at the start: signal and gradient pass L blocks unchanged",
                "Goyal et al. 2017, arXiv 1706.02677, section 5.1; Zhang, Dauphin & Ma 2019, arXiv 1901.09321",
            ),
        ),
        numbers=n,
        tries=("initlab show zeros",),
        see_also=("symmetry", "residual", "transformers"),
    )


def _hidden_gradient(net: Mlp, weights: Weights) -> float:
    """The norm of the gradient by the first matrix, over the training set."""
    done = forward(net, weights, digits().x)
    slopes = backward(net, weights, done, softmax_pull(done.outputs, digits().y)).weights
    return float(np.sqrt((slopes["0/weight"] ** 2).sum()))


def _squared_error(output: str) -> float:
    """The mean squared error of an untrained net on random targets of variance 1, over 40 draws."""
    net = Mlp((50, 1), bias=False)
    x, y = noise((1000, 50), "regression/x"), noise((1000, 1), "regression/y")
    errors = [np.mean((forward(net, drawn(net, output, seed=seed), x).outputs - y) ** 2) for seed in range(40)]
    return float(np.mean(errors))
