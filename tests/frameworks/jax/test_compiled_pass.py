"""The compiled pass that is kept: whom it serves, and whom it must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.frameworks.jax.flax_models import chain, linear

from initlab.frameworks.jax.adapter import ADAPTER
from initlab.frameworks.jax.probing import recorder as tap_pass
from initlab.frameworks.jax.reading.inputs import arguments
from initlab.frameworks.jax.reading.record import traced

ROWS = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
CLASSES = np.arange(8) % 2


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is compiled meanwhile, of none that was kept before."""
    calls: list[object] = []
    compiled = tap_pass._compiled

    def counted(*args: Any) -> Callable[..., Any]:
        calls.append(args)
        return compiled(*args)

    monkeypatch.setattr(tap_pass, "_PASSES", {})
    monkeypatch.setattr(tap_pass, "_compiled", counted)
    return calls


def test_one_pass_serves_models_of_one_structure(made: list[object]) -> None:
    first, second = linear(3, 2), linear(3, 2)
    second.kernel[...] = 2 * first.kernel[...]
    small, large = (ADAPTER.capture(model, ROWS).reading.forward[1].square for model in (first, second))
    assert len(made) == 1
    assert large == pytest.approx(4 * small, rel=1e-5)


def test_a_kept_pass_takes_the_targets_of_each_call(made: list[object]) -> None:
    model = linear(3, 2)
    losses = [ADAPTER.capture(model, ROWS, targets=goal).reading.loss for goal in (CLASSES, 1 - CLASSES)]
    z = np.asarray(model(ROWS), np.float64)
    logs = z - np.log(np.exp(z).sum(1, keepdims=True))
    rows = np.arange(8)
    assert len(made) == 1
    assert losses == pytest.approx([-logs[rows, CLASSES].mean(), -logs[rows, 1 - CLASSES].mean()], rel=1e-5)


def test_a_batch_of_another_shape_is_compiled_anew(made: list[object]) -> None:
    model = linear(3, 2)
    assert [ADAPTER.capture(model, ROWS[:n]).reading.forward[1].rows for n in (8, 4)] == [8, 4]
    assert len(made) == 2


def test_a_loss_of_ones_own_is_compiled_each_time(made: list[object]) -> None:
    weight = [1.0]
    losses = []
    for weight[0] in (1.0, 3.0):
        losses.append(ADAPTER.capture(linear(3, 2), ROWS, loss=lambda y: weight[0] * jnp.mean(y**2)).reading.loss)
    assert losses[1] == pytest.approx(3 * losses[0], rel=1e-6)


def stepped(slope: float) -> Callable[[jax.Array], jax.Array]:
    """A step that passes the gradient on, times a slope."""
    step = jax.custom_vjp(lambda x: jnp.heaviside(x, 0.0))
    step.defvjp(lambda x: (step(x), None), lambda _, g: (slope * g,))
    return step  # type: ignore[no-any-return]


def test_a_derivative_of_ones_own_is_that_of_the_model_that_has_it(made: list[object]) -> None:
    models = [chain(linear(3, 4), stepped(slope), linear(4, 2)) for slope in (1.0, 3.0)]
    first, second = (ADAPTER.capture(model, ROWS).reading.gradients["layers.0.kernel"].square for model in models)
    assert second == pytest.approx(9 * first, rel=1e-5)


class Shifted(nnx.Module):
    """A model that holds numbers outside of its variables."""

    def __init__(self, by: float) -> None:
        self.shift = Hidden(np.full(3, by, np.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.shift.numbers


class Hidden:
    """Numbers that nnx does not look into; alike in its eyes where they have one shape."""

    def __init__(self, numbers: np.ndarray[Any, Any]) -> None:
        self.numbers = numbers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden)

    def __hash__(self) -> int:
        return 0


def test_numbers_that_a_program_holds_tell_it_from_another(made: list[object]) -> None:

    programs = [traced(Shifted(by), [], arguments(ROWS), training=True).closed for by in (1.0, 1.0, 2.0)]
    same, other = (tap_pass._digest(programs[0]) == tap_pass._digest(program) for program in programs[1:])
    assert (same, other) == (True, False)


def test_the_oldest_pass_is_let_go(made: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap_pass, "_KEPT", 1)
    model = linear(3, 2)
    for n in (8, 4, 8):
        ADAPTER.capture(model, ROWS[:n])
    assert (len(made), len(tap_pass._PASSES)) == (3, 1)
