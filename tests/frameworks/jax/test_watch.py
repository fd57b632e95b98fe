"""The passes of a compiled training step of Flax."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import initlab
from initlab.core.errors import OptionError

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
optax = pytest.importorskip("optax")
jnp = jax.numpy

X = jnp.asarray(np.random.default_rng(3).standard_normal((24, 6)), jnp.float32)
Y = jnp.arange(24) % 3


class Net(nnx.Module):
    """With statistics and dropout masks of its own."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(5)
        self.first, self.norm = nnx.Linear(6, 16, rngs=rngs), nnx.BatchNorm(16, rngs=rngs)
        self.drop, self.head = nnx.Dropout(0.3, rngs=rngs), nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x: Any, *, times: float = 1.0) -> Any:
        return times * self.head(self.drop(nnx.relu(self.norm(self.first(x)))))


class Loop:
    """A training loop with a compiled step, which keeps losses and squared gradients."""

    def __init__(self, rate: float = 0.1) -> None:
        self.model, self.losses, self.squares = Net(), list[float](), list[float]()
        optimizer = nnx.Optimizer(self.model, optax.sgd(rate), wrt=nnx.Param)

        @nnx.jit
        def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
            def loss(model: Any) -> Any:
                return optax.softmax_cross_entropy_with_integer_labels(model(x, times=2.0), y).mean()

            value, gradient = nnx.value_and_grad(loss)(model)
            optimizer.update(model, gradient)
            return value, jnp.square(gradient["first"]["kernel"][...]).mean()

        self.step = lambda: step(self.model, optimizer, X, Y)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            loss, square = self.step()
            self.losses.append(float(loss))
            self.squares.append(float(square))

    def held(self) -> list[Any]:
        found = [one.get_value() for _, one in nnx.iter_graph(self.model) if isinstance(one, nnx.Variable)]
        keys = jax.dtypes.prng_key
        return [np.asarray(jax.random.key_data(v) if jnp.issubdtype(v.dtype, keys) else v) for v in found]


@pytest.fixture(scope="module")
def plain() -> Loop:
    loop = Loop()
    loop.run(8)
    return loop


def test_a_compiled_step_is_watched_and_trains_to_the_same_bits(plain: Loop) -> None:
    loop = Loop()
    loop.run(1)
    with initlab.watch(loop.model, every=2) as profiles:
        loop.run(5)
    assert type(loop.model) is Net
    loop.run(2)
    assert loop.losses == plain.losses
    assert all(np.array_equal(a, b) for a, b in zip(loop.held(), plain.held(), strict=True))
    assert list(profiles) == [0, 2, 4]
    for number, profile in profiles.items():  # of the very pass: its masks, its weights, its loss
        found = profile.evidence.reading.gradients["first.kernel"].square
        assert found == pytest.approx(plain.squares[1 + number], rel=1e-5)
        assert [row.path for row in profile.rows] == ["first", "head"]
    assert profiles[0].evidence.weights["first.kernel"].digest != profiles[4].evidence.weights["first.kernel"].digest


def test_a_scaled_loss_is_told_by_its_own_gradient() -> None:
    model, squares = nnx.Linear(6, 3, rngs=nnx.Rngs(0)), []
    for scale in (1.0, 64.0):
        step = nnx.jit(nnx.grad(lambda net, x, scale=scale: scale * jnp.square(net(x)).mean()))
        with initlab.watch(model, scale=lambda scale=scale: scale) as profiles:
            step(model, X)
        squares.append(profiles[0].evidence.reading.gradients["kernel"].square)
    assert squares[1] == pytest.approx(squares[0], rel=1e-5)


def test_passes_of_one_program_are_told_apart_and_in_order() -> None:
    model = nnx.Linear(6, 3, rngs=nnx.Rngs(0))
    optimizer, stds = nnx.Optimizer(model, optax.sgd(1.0), wrt=nnx.Param), [float(model.kernel[...].std())]

    @nnx.jit
    def three(model: Any, optimizer: Any) -> list[Any]:
        found = []
        for _ in range(3):
            optimizer.update(model, nnx.grad(lambda net: jnp.square(net(X)).mean())(model))
            found.append(model.kernel[...].std())
        return found

    with initlab.watch(model, every=1) as profiles:
        stds += [float(std) for std in three(model, optimizer)]
    held = [profile.evidence.weights["kernel"].std for profile in profiles.values()]
    assert list(profiles) == [0, 1, 2]
    assert held == pytest.approx(stds[:3], rel=1e-5)


def test_passes_without_a_gradient_are_not_counted_and_a_loop_that_fails_leaves_the_model() -> None:
    model = Net()
    with initlab.watch(model, every=1) as profiles:
        nnx.jit(lambda net, x: net(x))(model, X)
    assert profiles == {}
    with pytest.raises(RuntimeError), initlab.watch(model):
        raise RuntimeError
    assert type(model) is Net


def test_what_cannot_be_watched_is_refused() -> None:
    model = Net()
    with pytest.raises(OptionError, match="every must be 1 or more"), initlab.watch(model, every=0):
        pass
    with initlab.watch(model), pytest.raises(OptionError, match="watched already"), initlab.watch(model):
        pass


def test_a_loop_that_diverges_is_told_as_such() -> None:
    loop = Loop(rate=1e12)
    with initlab.watch(loop.model, every=1) as profiles:
        loop.run(4)
    assert "diverged training" in profiles[3].diagnose()
    assert "diverged training" not in profiles[0].diagnose()
