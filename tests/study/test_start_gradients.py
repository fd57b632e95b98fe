"""The gradient before training: against automatic differentiation, against theory, and at its ends."""

from __future__ import annotations

from dataclasses import replace
from math import log

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from initlab.core.facts.arch import NORM_EPSILON, Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.training.protocol import Budget, Optimizer
from initlab.study.records import RunSpec
from initlab.study.run import initial_weights
from initlab.study.start_gradients import gradient_ratio, predicted_ratio
from initlab.tasks import load_task

DIGITS = load_task("digits")


def spec(arch: Mlp | Recurrent, scheme: str = "glorot_normal", **changes: object) -> RunSpec:
    return replace(RunSpec(scheme, "digits", "", arch, Optimizer(), Budget(1, 32), seed=3), **changes)


def by_jax(run: RunSpec, data) -> float:
    """The same ratio from JAX's own derivative by a zero that is added to every ``z``."""
    weights = {path: jnp.asarray(w) for path, w in initial_weights(run).items()}
    x, y = jnp.asarray(data.x_train[:256]), jnp.asarray(data.y_train[:256])
    layers = run.arch.steps if isinstance(run.arch, Recurrent) else run.arch.depth - 1
    nudges = [jnp.zeros((len(x), run.arch.widths[1]))] * layers

    def loss(nudges):
        outputs = (
            recurrent(run.arch, weights, x, nudges)
            if isinstance(run.arch, Recurrent)
            else dense(run.arch, weights, x, nudges)
        )
        return -jax.nn.log_softmax(outputs)[jnp.arange(len(y)), y].mean()

    gradients = jax.grad(loss)(nudges)
    return float(np.mean(np.square(gradients[0])) / np.mean(np.square(gradients[-1])))


def dense(arch: Mlp, w, x, nudges):
    h = x
    for i, nudge in enumerate(nudges):
        z = h @ w[f"{i}/weight"].T + w[f"{i}/bias"]
        if arch.norm != "none":
            axis = 1 if arch.norm == "layer" else 0
            z = (z - z.mean(axis, keepdims=True)) / jnp.sqrt(z.var(axis, keepdims=True) + NORM_EPSILON)
            z = z * w[f"norm_{i}/scale"] + w[f"norm_{i}/bias"]
        h = jnp.tanh(z + nudge) + (h if arch.has_skip(i) else 0.0)
    last = len(nudges)
    return h @ w[f"{last}/weight"].T + w[f"{last}/bias"]


def recurrent(arch: Recurrent, w, x, nudges):
    steps = x.reshape(len(x), arch.steps, arch.inputs)
    state = jnp.zeros((len(x), arch.width))
    for t, nudge in enumerate(nudges):
        state = jnp.tanh(steps[:, t] @ w["0/weight"].T + state @ w["1/weight"].T + w["1/bias"] + nudge)
    return state @ w["2/weight"].T + w["2/bias"]


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("residual", [False, True])
def test_the_ratio_is_that_of_automatic_differentiation(norm, residual):
    run = spec(Mlp((64, 32, 32, 32, 32, 10), activation="tanh", norm=norm, residual=residual))
    assert gradient_ratio(run, DIGITS) == pytest.approx(by_jax(run, DIGITS), rel=1e-3)


def test_a_recurrent_ratio_is_that_of_automatic_differentiation_through_time():
    data = load_task("recall", steps=12)
    run = spec(Recurrent(4, 16, 4, 12), output_scheme="glorot_uniform")
    assert gradient_ratio(run, data) == pytest.approx(by_jax(run, data), rel=1e-3)


@pytest.mark.parametrize(
    ("activation", "scheme", "norm", "depth"),
    [
        ("tanh", "normal(std=0.05)", "none", 20),
        ("sigmoid", "glorot_normal", "none", 10),
        ("relu", "he_normal", "none", 20),
        ("relu", "lecun_normal", "none", 20),
        ("tanh", "normal(std=0.4)", "layer", 20),
        ("tanh", "normal(std=0.4)", "batch", 20),
    ],
)
def test_theory_foretells_the_ratio_of_wide_layers(activation, scheme, norm, depth):
    run = spec(Mlp((64, *(256,) * depth, 10), activation=activation, norm=norm), scheme)
    measured, predicted = gradient_ratio(run, DIGITS), predicted_ratio(run, DIGITS)
    # Each layer adds a relative scatter of some 5 / 256 to the square, 20 layers a std of 0.63 to its logarithm.
    assert abs(log(measured / predicted)) < 3 * 0.63


def test_a_signal_too_faint_for_the_maps_is_followed_to_the_end():
    # tanh is linear at such signals: sigma_w^2 = 64 * 0.01^2 = 0.0064 a layer, over 29 layers.
    run = spec(Mlp((64,) * 31 + (10,), activation="tanh"), "normal(std=0.01)")
    assert predicted_ratio(run, DIGITS) == pytest.approx(0.0064**29, rel=0.01)


def test_a_net_of_zeros_has_no_ratio():
    assert gradient_ratio(spec(Mlp((64, 8, 8, 10)), "zeros"), DIGITS) is None


@pytest.mark.parametrize(
    "run",
    [
        spec(Mlp((64, 8, 8, 10), residual=True)),
        spec(Mlp((64, 8, 8, 10)), "ones"),
        spec(Recurrent(4, 16, 4, 16), output_scheme="glorot_uniform"),
    ],
    ids=["residual", "ones", "recurrent"],
)
def test_theory_says_nothing_where_a_chain_of_centred_weights_is_not_what_there_is(run):
    assert predicted_ratio(run, DIGITS) is None
