"""Recurrent nets: one matrix applied at every step of time."""

from __future__ import annotations

import numpy as np

from initlab.core.facts.spec import ParamSpec
from initlab.core.laws.draw import draw
from initlab.lessons.lesson import Bars, Formula, Lesson, Table, register_lesson
from initlab.lessons.nets import Array, geometric_mean, noise
from initlab.report.drawing.text import number
from initlab.schemes import scheme
from initlab.theory import activation

STEPS, WIDTH = 100, 64
_NOISE, _START, _DRAWS = 0.01, 0.1, 8

STARTS = {
    "normal, gain 0.8": ("variance_scaling(scale=0.64, distribution=normal)", "tanh"),
    "normal, gain 1": ("lecun_normal", "tanh"),
    "normal, gain 1.5": ("variance_scaling(scale=2.25, distribution=normal)", "tanh"),
    "orthogonal": ("orthogonal", "tanh"),
    "identity, ReLU": ("identity", "relu"),
}


@register_lesson(
    title="Recurrent nets: depth in time, and one matrix for all",
    aliases=("rnn", "recurrent", "long-dependences"),
)
def recurrent_nets() -> Lesson:
    """Gradient by time, and the singular values of a matrix's powers."""
    found = {label: gradients_by_time(scheme_, act) for label, (scheme_, act) in STARTS.items()}
    spread = {label: _singular_values(STARTS[label][0], power=STEPS // 2) for label in STARTS}
    ends = {label: runs[:, 0] for label, runs in found.items()}
    n: dict[str, float] = {"steps": float(STEPS)}
    for label, key in zip(STARTS, ("normal_08", "normal_1", "normal_15", "orthogonal", "identity"), strict=True):
        n |= {
            f"{key}_ratio": geometric_mean(ends[label]),
            f"{key}_lowest": float(ends[label].min()),
            f"{key}_highest": float(ends[label].max()),
            f"{key}_least": spread[label][0],
            f"{key}_most": spread[label][1],
        }
    return Lesson(
        plain=(
            "A recurrent net reads a sequence step by step and keeps a state. At every step the state goes through the "
            f"same weights. Unrolled over {STEPS} steps it is a net of {STEPS} layers, and to learn that the first "
            "symbol decides the answer, a gradient must travel back through all of them. That is what long "
            "dependences ask for, and where vanishing and exploding gradients were found first.",
            "A deep net has another matrix in each layer, so stretched and shrunk directions mix. A recurrent net has "
            "one, so what it does to a direction it does again at every step. What counts are the singular "
            "values of the matrix's powers: by how much the best and the worst direction grow.",
            f"A normal matrix of gain 1 keeps a length on average over one step, and yet after {STEPS // 2} steps its "
            f"best direction has grown {number(n['normal_1_most'])} times and its worst is multiplied by "
            f"{number(n['normal_1_least'])}. An orthogonal matrix turns and never stretches: "
            f"{number(n['orthogonal_least'])} and {number(n['orthogonal_most'])}. So does the identity, which copies "
            "the state until training says otherwise.",
            f"With tanh, what is left of the squared gradient at the first of {STEPS} steps is "
            f"{number(n['normal_08_ratio'])} at gain 0.8 and {number(n['normal_15_ratio'])} at gain 1.5. At gain 1 it "
            f"depends on the draw: from {number(n['normal_1_lowest'])} to {number(n['normal_1_highest'])}. The "
            f"orthogonal start gives {number(n['orthogonal_lowest'])} to {number(n['orthogonal_highest'])} whatever "
            "the draw; that it is below 1 is the slope of tanh, which is below 1 wherever the state is not zero. ReLU "
            f"on the identity has slope 1 or 0: {number(n['identity_ratio'])} is left.",
        ),
        experiment=(
            f"A state of {WIDTH} units over {STEPS} steps that starts with std {_START}, noise of std {_NOISE} as "
            f"input at each step, a random gradient at the last state; geometric mean over {_DRAWS} draws. Singular "
            f"values: of one drawn matrix alone, to the power {STEPS // 2}."
        ),
        table=Table(
            f"Squared gradient at step 1 over that at step {STEPS}; singular values of W^{STEPS // 2}",
            ("recurrent weights", "mean", "lowest", "highest", "least s", "largest s"),
            tuple(
                (
                    label,
                    *map(number, (geometric_mean(ends[label]), ends[label].min(), ends[label].max())),
                    *map(number, spread[label]),
                )
                for label in STARTS
            ),
        ),
        bars=Bars(
            "Squared gradient by step, first to last",
            {label: tuple(np.exp(np.log(runs).mean(axis=0)).tolist()) for label, runs in found.items()},
        ),
        mathematics=(
            Formula(
                "dL/dh_0 = (prod_t W^T diag f'(z_t)) dL/dh_T: within the extreme singular values of the product",
                "Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, section 2",
            ),
            Formula(
                "W orthogonal: every singular value of every power of W is 1",
                "Saxe, McClelland & Ganguli 2014, arXiv 1312.6120; identity: Le et al. 2015, arXiv 1504.00941",
            ),
        ),
        numbers=n,
        tries=("initlab show orthogonal", "initlab show identity"),
        see_also=("orthogonal", "identity", "clipping"),
    )


def gradients_by_time(scheme_: str, act: str, *, draws: int = _DRAWS) -> Array:
    """The squared gradient by each state over that of the last, (draws, steps)."""
    return np.array([_one_run(_matrix(scheme_, seed), act, seed) for seed in range(draws)])


def _one_run(matrix: Array, act: str, seed: int) -> list[float]:
    f = activation(act)
    state, slopes = _START * noise((32, WIDTH), "state", seed=seed), []
    # A state that a ReLU may carry on is one that a ReLU made.
    state = np.abs(state) if act == "relu" else state
    drive = _NOISE * noise((STEPS, 32, WIDTH), "drive", seed=seed)
    for step in range(STEPS):
        z = state @ matrix.T + drive[step]
        slopes.append(f.slope(z))
        state = f(z)
    pushed, sizes = noise((32, WIDTH), "pull", seed=seed), list[float]()
    for slope in reversed(slopes):
        sizes.append(float(np.mean(pushed**2)))
        pushed = (pushed * slope) @ matrix
    return [size / sizes[0] for size in reversed(sizes)]


def _matrix(call: str, seed: int) -> Array:
    p = ParamSpec(path="1/weight", shape=(WIDTH, WIDTH), role="recurrent")
    return draw(scheme(call)(p), p.shape, seed=seed, path=p.path, dtype="float64").astype(np.float64)


def _singular_values(call: str, *, power: int) -> tuple[float, float]:
    """The smallest and the largest singular value of a power of one drawn matrix.

    The smallest is one over the largest of the inverse's power: in the power itself it drowns in rounding.
    """
    matrix = _matrix(call, 0)
    largest, most = (
        float(np.linalg.norm(np.linalg.matrix_power(m, power), ord=2)) for m in (matrix, np.linalg.inv(matrix))
    )
    return 1.0 / most, largest
