"""Matrices with structure: orthogonal ones, and the identity."""

from __future__ import annotations

import numpy as np

from initlab.core.facts.arch import Mlp
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws.draw import draw
from initlab.lessons.lesson import Formula, Lesson, Table, register_lesson, share
from initlab.lessons.nets import Array, drawn, forward, noise
from initlab.lessons.symmetry import distinct_rows
from initlab.lessons.training import Descent, digits, train
from initlab.report.drawing.text import number
from initlab.schemes import scheme
from initlab.theory import activation, jacobian_spectrum
from initlab.theory.spectra import WeightLaw

DEPTH, WIDTH, DRAWS = 8, 64, 12
# A direction counts as kept where this share of a squared length is left.
_KEPT = 0.01
# What float64 leaves of a spread of zero.
_ROUNDING = 1e-20


def singular_values(call: str, act: str, *, scale: float = 1.0) -> Array:
    """The squared singular values of the derivative of a deep net by its input, (draws, width).

    Args:
        call: The scheme of every matrix.
        act: The activation between two layers.
        scale: Factor of every matrix.
    """
    f, found = activation(act), []
    for seed in range(DRAWS):
        h, jacobian = noise((1, WIDTH), "inputs", seed=seed), np.eye(WIDTH)
        for layer in range(DEPTH):
            p = ParamSpec(path=f"{layer}/weight", shape=(WIDTH, WIDTH))
            matrix = scale * np.float64(draw(scheme(call)(p), p.shape, seed=seed, path=p.path, dtype="float64"))
            z = h @ matrix.T
            jacobian = (f.slope(z)[0][:, None] * matrix) @ jacobian if layer < DEPTH - 1 else matrix @ jacobian
            h = f(z)
        found.append(np.linalg.svd(jacobian, compute_uv=False) ** 2)
    return np.array(found)


def _spread(values: Array) -> float:
    """Variance over squared mean of each draw's values, mean over draws; 0 where only rounding is left."""
    spread = float((values.var(axis=1) / values.mean(axis=1) ** 2).mean())
    return spread if spread > _ROUNDING else 0.0


# Label, name of its numbers, scheme, activation, factor of the matrices, sigma_w^2 and law of the theory.
_CASES: tuple[tuple[str, str, str, str, float, float, WeightLaw], ...] = (
    ("linear, normal", "linear_normal", "lecun_normal", "identity", 1.0, 1.0, "gaussian"),
    ("linear, orthogonal", "linear_orthogonal", "orthogonal", "identity", 1.0, 1.0, "orthogonal"),
    ("ReLU, normal", "relu_normal", "he_normal", "relu", 1.0, 2.0, "gaussian"),
    ("ReLU, orthogonal", "relu_orthogonal", "orthogonal", "relu", 2.0**0.5, 2.0, "orthogonal"),
)


@register_lesson(title="Orthogonal weights: turn, never stretch", aliases=("isometry",))
def orthogonal() -> Lesson:
    """Singular values of deep products of normal and orthogonal matrices."""
    n: dict[str, float] = {"depth": float(DEPTH), "kept": _KEPT}
    rows = []
    for label, key, call, act, scale, sigma_w2, law in _CASES:
        values = singular_values(call, act, scale=scale)
        n |= {
            f"{key}_kept": float((values > _KEPT).mean()),
            f"{key}_largest": float(values.max(axis=1).mean()),
            f"{key}_spread": _spread(values),
            f"{key}_theory": jacobian_spectrum(act, DEPTH, sigma_w2=sigma_w2, q=1.0, weights=law).relative_variance,
        }
        spread = [n[f"{key}_{part}"] for part in ("largest", "spread", "theory")]
        rows.append((label, share(n[f"{key}_kept"]), *map(number, spread)))
    return Lesson(
        plain=(
            "A scheme with the right variance keeps the length of a signal on average. On average hides a lot: some "
            "directions grow, others shrink to nothing, and a product of many layers pulls them ever further apart. "
            "How much a direction grows is a singular value of the product.",
            f"Take {DEPTH} linear layers. With normal weights only {share(n['linear_normal_kept'])} of all directions "
            f"keep even {share(_KEPT)} of their squared length, while the best one grows "
            f"{number(n['linear_normal_largest'])} times. An orthogonal matrix turns space and stretches nothing: "
            f"{share(n['linear_orthogonal_kept'])} are kept, and the best is {number(n['linear_orthogonal_largest'])}. "
            "Such a net, linear and of orthogonal weights, keeps every signal and every gradient, at any depth.",
            "ReLU spoils part of it, for it switches half of the units off in every layer: "
            f"{share(n['relu_orthogonal_kept'])} of the directions are left with orthogonal weights and "
            f"{share(n['relu_normal_kept'])} with normal ones. tanh near zero is almost linear and spoils "
            "little. A matrix that is not square cannot keep every length; then its rows or its columns are "
            "orthonormal, and a widening layer needs another scale to keep the variance.",
        ),
        experiment=(
            f"The derivative of the output by the input of {DEPTH} layers of {WIDTH} units at a random input, mean "
            f"over {DRAWS} draws. Spread: variance over squared mean of the squared singular values; its theory is for "
            "infinite width."
        ),
        table=Table(
            "Squared singular values s^2 of the whole net",
            ("net", f"s^2 above {_KEPT}", "largest", "spread", "theory"),
            tuple(rows),
        ),
        mathematics=(
            Formula(
                "spread over L layers: L (m_2 / m_1^2 - 1 - s_1), m_k = E f'^(2k), s_1 = -1 for normal weights and 0 "
                "for orthogonal: L and 0 in a linear net, 2 L and L with ReLU",
                "Pennington, Schoenholz & Ganguli 2017, arXiv 1711.04735",
            ),
            Formula("W W^T = 1: all singular values are 1", "Saxe, McClelland & Ganguli 2014, arXiv 1312.6120"),
        ),
        numbers=n,
        tries=("initlab show orthogonal",),
        see_also=("recurrent-nets", "identity", "variance"),
    )


@register_lesson(title="The identity: start by changing nothing", aliases=("eye", "dirac", "irnn"))
def identity() -> Lesson:
    """Identity starts in square and widening nets."""
    square, wide = Mlp((64, *(64,) * 10, 10), activation="relu"), Mlp((64, 96, 10), activation="relu")
    schemes = {"*": "identity"}
    last_square, last_wide = {**schemes, "10/weight": "lecun_normal"}, {**schemes, "1/weight": "lecun_normal"}
    start = drawn(square, last_square)
    x = np.abs(noise((100, 64), "inputs"))
    passed = forward(square, start, x).before[-1]
    runs = {
        "identity": train(square, digits(), start, Descent(rate=0.02, epochs=6)),
        "he_normal": train(square, digits(), drawn(square, "he_normal"), Descent(rate=0.02, epochs=6)),
    }
    before = drawn(wide, last_wide)["0/weight"]
    after = train(wide, digits(), drawn(wide, last_wide), Descent(rate=0.02, epochs=6)).weights["0/weight"]
    n = {
        "change": float(np.abs(passed - x).max()),
        "identity_accuracy": runs["identity"].test_accuracy,
        "he_accuracy": runs["he_normal"].test_accuracy,
        "identity_loss_start": runs["identity"].losses[0],
        "he_loss_start": runs["he_normal"].losses[0],
        "identity_loss": runs["identity"].losses[-1],
        "he_loss": runs["he_normal"].losses[-1],
        "wide_units": float(len(before)),
        "wide_distinct": float(distinct_rows(before)),
        "wide_zero": float((np.abs(before).max(axis=1) == 0).sum()),
        "wide_zero_after": float((np.abs(after).max(axis=1) == 0).sum()),
    }
    return Lesson(
        plain=(
            "An identity matrix passes each input on as it is. A stack of identity layers with ReLU does the same to "
            f"what is not negative: after 10 layers the largest change is {number(n['change'])}. So the depth costs "
            "nothing at the start, and the gradient comes back as it left. It is no constant start: every unit listens "
            "to another input, so the units differ as their inputs do.",
            f"On the digits 10 such layers under a drawn output reach {share(n['identity_accuracy'])}; he_normal "
            f"reaches {share(n['he_accuracy'])} in the same time. Part of it is a softer first opinion: the loss "
            f"begins at {number(n['identity_loss_start'])} against {number(n['he_loss_start'])}.",
            "It has a limit. Where a layer is wider than its input the diagonal ends. Of "
            f"{n['wide_units']:.0f} units on 64 inputs {n['wide_zero']:.0f} get a row of zeros, and all of these are "
            f"one and the same: {n['wide_distinct']:.0f} different rows. Behind a ReLU no gradient reaches them, and "
            f"{n['wide_zero_after']:.0f} rows are still zero after training. In recurrent nets, whose matrix is always "
            "square, it is a fine start; in a residual net the skip connection is the identity already.",
        ),
        experiment=(
            "Digits; 10 hidden layers of 64 ReLU units, and one of 96, with the identity in all but the output; "
            "steps of 0.02, 6 epochs."
        ),
        table=Table(
            "Ten hidden layers on the digits",
            ("start", "loss before", "loss after", "right on test"),
            tuple(
                (label, number(run.losses[0]), number(run.losses[-1]), share(run.test_accuracy))
                for label, run in runs.items()
            ),
        ),
        mathematics=(
            Formula("max(0, I x) = x for x >= 0, and its derivative is I", "definition of ReLU"),
            Formula(
                "recurrent nets of ReLU with W = I, b = 0",
                "Le et al. 2015, arXiv 1504.00941; convolutions: Zagoruyko & Komodakis 2017, arXiv 1706.00388",
            ),
        ),
        numbers=n,
        tries=("initlab show identity", "initlab show dirac"),
        see_also=("recurrent-nets", "residual", "constants"),
    )
