"""Weights that are stacks of matrices: each slice is drawn by the fan of its own contraction, whatever uses it."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from keras import ops
from torch import nn
from torch.nn import functional

import initlab
from initlab.core.facts.spec import Axes

E, IN, OUT, ROWS = 3, 8, 12, 6  # experts, inputs, outputs, tokens
OUT_IN, IN_OUT = (E, OUT, IN), (E, IN, OUT)
FIRST, SECOND = Axes((2,), (1,), (0,)), Axes((1,), (2,), (0,))

Forward = Callable[[Any, Any, Any], Any]


class Stack(nn.Module):
    """A stack of matrices and one way to use it: of a value (rows, in) and of an expert for each row."""

    def __init__(self, shape: tuple[int, ...], forward: Forward, f: Callable[..., Any] = torch.relu) -> None:
        super().__init__()
        self.w, self.used, self.f = nn.Parameter(torch.randn(shape)), forward, f
        self.head = nn.Linear(OUT, 2)

    def forward(self, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return self.head(self.f(self.used(self.w, x, chosen)))


def by_data(w: Any, x: Any, chosen: Any) -> Any:
    """A loop over the experts that some row chose, as mixtures of experts are written."""
    made = torch.zeros(len(x), OUT)
    for e in chosen.unique():
        rows = torch.where(chosen == e)[0]
        made = made.index_add(0, rows, functional.linear(x[rows], w[e]))
    return made


def grouped(w: Any, x: Any, chosen: Any) -> Any:
    order = torch.argsort(chosen)
    ends = torch.bincount(chosen, minlength=E).cumsum(0).to(torch.int32)
    return functional.grouped_mm(x[order], w.transpose(-2, -1), offs=ends)


USES: dict[str, tuple[tuple[int, ...], Forward, Axes]] = {
    "w[e]": (OUT_IN, lambda w, x, c: sum(x @ w[e].T for e in range(E)), FIRST),
    "w[e] by the data": (OUT_IN, by_data, FIRST),
    "a loop over slices": (IN_OUT, lambda w, x, c: sum(x @ one for one in w), SECOND),
    "unbind": (IN_OUT, lambda w, x, c: sum(x @ one for one in w.unbind(0)), SECOND),
    "select": (IN_OUT, lambda w, x, c: x @ w.select(0, 1), SECOND),
    "w[index]": (OUT_IN, lambda w, x, c: torch.bmm(w[c], x.unsqueeze(-1)).squeeze(-1), FIRST),
    "index_select": (IN_OUT, lambda w, x, c: torch.bmm(x[:, None], w.index_select(0, c))[:, 0], SECOND),
    "w[index] of two": (IN_OUT, lambda w, x, c: torch.einsum("bi,bkio->bo", x, w[torch.stack([c, c], 1)]), SECOND),
    "bmm": (IN_OUT, lambda w, x, c: torch.bmm(x.expand(E, -1, -1), w).sum(0), SECOND),
    "matmul": (OUT_IN, lambda w, x, c: (x @ w.mT).sum(0), FIRST),
    "einsum": (OUT_IN, lambda w, x, c: torch.einsum("ebi,eoi->ebo", x.expand(E, -1, -1), w).sum(0), FIRST),
    "a slice": (IN_OUT, lambda w, x, c: (x @ w[1:]).sum(0), SECOND),
    "grouped_mm": (OUT_IN, grouped, FIRST),
    "a matrix of rows": ((E * OUT, IN), lambda w, x, c: x @ w.view(E, OUT, IN)[1].T, Axes((1,), (0,))),
}


def example() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(4)
    return torch.randn(ROWS, IN), torch.tensor([2, 0, 1, 2, 2, 0])


@pytest.mark.parametrize("use", [name for name in USES if name != "a matrix of rows"])
def test_a_stack_is_told_by_its_use_and_drawn_by_the_fan_of_a_slice(use: str) -> None:
    shape, forward, axes = USES[use]
    net = Stack(shape, forward)
    (entry,) = [one for one in initlab.plan(net, "he_normal", example=example()) if one.param.native == "w"]
    assert (entry.param.role, entry.param.axes, entry.param.f_out) == ("dense", axes, "relu")
    assert entry.std == pytest.approx(sqrt(2 / IN), rel=1e-12)


def test_the_slices_of_an_orthogonal_stack_are_orthogonal_each() -> None:
    shape, forward, _ = USES["w[e] by the data"]
    net = Stack(shape, forward)
    initlab.initialize(net, "orthogonal", seed=7, example=example())
    for one in net.w.detach().double().numpy():
        assert np.allclose(one.T @ one, np.eye(IN), atol=1e-6)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_gate_and_a_value_in_one_stack_are_two_blocks(is_first: bool) -> None:
    def up(w: Any, x: Any, chosen: Any) -> Any:
        gate, value = functional.linear(x, w[0] if is_first else w[0].mT).chunk(2, -1)
        return functional.silu(gate) * value

    net = Stack((E, 2 * OUT, IN) if is_first else (E, IN, 2 * OUT), up, f=nn.Identity())
    (entry,) = [one for one in initlab.plan(net, "glorot_normal", example=example()) if one.param.native == "w"]
    assert entry.param.blocks == (OUT, OUT)
    assert entry.std == pytest.approx(sqrt(2 / (IN + OUT)), rel=1e-12)  # and not of IN + 2 OUT
    initlab.initialize(net, "orthogonal", seed=3, example=example())
    first = net.w.detach().double()[1] if is_first else net.w.detach().double()[1].T
    for block in first.split(OUT):
        assert np.allclose(block.T @ block, np.eye(IN), atol=1e-6)


def test_a_table_of_vectors_stays_a_table() -> None:
    net = Stack((E, IN), lambda w, x, c: functional.pad(x + w[c], (0, OUT - IN)))
    (entry,) = [one for one in initlab.plan(net, "he_normal", example=example()) if one.param.native == "w"]
    assert entry.param.role == "embedding"


def test_the_halves_of_one_sum_are_apart_so_the_gated_product_has_a_known_size() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(IN, 2 * OUT), nn.Linear(OUT, IN)

        def forward(self, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            gate, value = self.up(x).chunk(2, -1)
            return self.down(functional.silu(gate) * value)

    (down,) = [e for e in initlab.plan(Gated(), "auto", example=example()) if e.param.native == "down.weight"]
    # E silu(z)^2 = 0.3558 of a standard normal z, by quadrature; the other half has mean square 1.
    z, mass = np.polynomial.hermite_e.hermegauss(120)
    square = float(np.sum(mass * (z / (1 + np.exp(-z))) ** 2) / np.sum(mass))
    assert down.param.in_moment == pytest.approx(square, rel=1e-6)


# JAX: what a transformation runs is walked, and each slice that it runs with is a layer

DEPTH, WIDTH = 4, 6


class Stacked(nnx.Module):
    """A stack of square matrices with a bias each, run as ``way`` says."""

    def __init__(self, way: str, depth: int = DEPTH, width: int = WIDTH, std: float = 0.1) -> None:
        self.way, key = way, jax.random.key(5)
        self.w = nnx.Param(std * jax.random.normal(key, (depth, width, width)))
        self.b = nnx.Param(jnp.zeros((depth, width)))
        self.head = nnx.Linear(width, 2, rngs=nnx.Rngs(3))

    def __call__(self, x: Any) -> Any:
        return self.head(WAYS[self.way](self.w[...], self.b[...], x))


def turn(h: Any, slices: Any) -> Any:
    return jax.nn.relu(h @ slices[0] + slices[1]), None


def written_out(w: Any, b: Any, x: Any) -> Any:
    for one in zip(w, b, strict=True):
        x, _ = turn(x, one)
    return x


@jax.custom_jvp
def own(h: Any, w: Any, b: Any) -> Any:
    return turn(h, (w, b))[0]


own.defjvp(lambda given, slopes: (own(*given), slopes[0]))

WAYS: dict[str, Forward] = {
    "a loop": written_out,
    "scan": lambda w, b, x: jax.lax.scan(turn, x, (w, b))[0],
    "scan backwards": lambda w, b, x: jax.lax.scan(turn, x, (w, b), reverse=True)[0],
    "scan of remat": lambda w, b, x: jax.lax.scan(jax.checkpoint(turn), x, (w, b))[0],
    "scan by twos": lambda w, b, x: jax.lax.scan(
        lambda h, two: (written_out(*two, h), None), x, (w.reshape(2, 2, WIDTH, WIDTH), b.reshape(2, 2, WIDTH))
    )[0],
    "fori_loop": lambda w, b, x: jax.lax.fori_loop(0, DEPTH, lambda i, h: turn(h, (w[i], b[i]))[0], x),
    "while_loop": lambda w, b, x: jax.lax.while_loop(
        lambda held: held[1] < DEPTH, lambda held: (turn(held[0], (w[held[1]], b[held[1]]))[0], held[1] + 1), (x, 0)
    )[0],
    "cond": lambda w, b, x: jax.lax.cond(
        x.sum() > 0, lambda h: turn(h, (w[0], b[0]))[0], lambda h: turn(h, (w[1], b[1]))[0], x
    ),
    "custom_jvp": lambda w, b, x: own(own(x, w[0], b[0]), w[1], b[1]),
    "w[index]": lambda w, b, x: jax.nn.relu(jnp.einsum("bi,bio->bo", x, w[jnp.argmax(x[:, :DEPTH], -1)]) + b[0]),
    "ragged_dot": lambda w, b, x: jax.nn.relu(jax.lax.ragged_dot(x, w, jnp.array([2, 1, 1, 1])) + b[0]),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_transformation_runs_is_walked(way: str) -> None:
    plan = initlab.plan(Stacked(way), "he_normal", example=jnp.ones((5, WIDTH)))
    w, b, head = (one for one in plan if one.param.native in ("w", "b", "head.kernel"))
    assert (w.param.role, w.param.axes, w.param.f_out) == ("dense", SECOND, "relu")
    assert w.std == pytest.approx(sqrt(2 / WIDTH), rel=1e-12)
    assert (b.param.role, head.param.f_in) == ("bias", "relu")


def test_scanned_layers_have_the_rows_the_alarms_and_the_plan_of_a_loop() -> None:
    x = jax.random.normal(jax.random.key(1), (64, 32))
    loop, scan = (initlab.probe(Stacked(way, 12, 32, 0.02), x) for way in ("a loop", "scan"))
    assert "13 weighted layers" in str(scan)
    assert str(loop) == str(scan)
    plans = [initlab.plan(Stacked(way, 12, 32), "auto", example=x) for way in ("a loop", "scan")]
    assert str(plans[0]) == str(plans[1])


def test_a_recurrence_over_time_stays_one_value() -> None:
    net = nnx.Sequential(nnx.RNN(nnx.SimpleCell(6, 5, rngs=nnx.Rngs(2))), nnx.Linear(5, 2, rngs=nnx.Rngs(3)))
    plan = initlab.plan(net, "he_normal", example=jnp.ones((3, 7, 6)))
    assert sorted(one.param.role for one in plan if len(one.param.shape) == 2) == ["dense", "dense", "recurrent"]


# Biases of a stack, and what cannot be told


def one_by_one(layer: Any, x: Any, chosen: Any) -> Any:
    made = torch.zeros(len(x), OUT)
    for e in chosen.unique():
        rows = torch.where(chosen == e)[0]
        made = made.index_add(0, rows, functional.linear(x[rows], layer.w[e], layer.b[e]))
    return made


BIASED: dict[str, Forward] = {
    "b[e]": one_by_one,
    "b[index]": lambda s, x, c: torch.bmm(s.w[c], x.unsqueeze(-1)).squeeze(-1) + s.b[c],
    "one for each": lambda s, x, c: (torch.einsum("bi,eoi->beo", x, s.w) + s.b).sum(1),
    "grouped": lambda s, x, c: grouped(s.w, x, c) + s.b[c.sort().values],
}


class Biased(nn.Module):
    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.w, self.b, self.used = nn.Parameter(torch.randn(OUT_IN)), nn.Parameter(torch.zeros(E, OUT)), forward

    def forward(self, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return self.used(self, x, chosen)


@pytest.mark.parametrize("use", BIASED)
def test_a_number_for_each_unit_of_a_stack_is_a_bias(use: str) -> None:
    w, b = initlab.plan(Biased(BIASED[use]), "he_normal", example=example())
    assert (w.param.role, b.param.role, b.std) == ("dense", "bias", 0.0)


def test_a_table_of_places_is_no_bias_of_a_stack() -> None:
    net = Biased(lambda s, x, c: torch.bmm(s.w[c], x.unsqueeze(-1)).squeeze(-1) + s.b)
    net.b = nn.Parameter(torch.zeros(ROWS, OUT))  # a number for each row, and not for each unit
    assert [one.param.role for one in initlab.plan(net, "he_normal", example=example())] == ["dense", "embedding"]


@pytest.mark.parametrize(("scheme", "is_refused"), [("he_normal", True), ("orthogonal", True), ("normal", False)])
def test_a_stack_of_unknown_axes_is_refused_with_the_override_that_names_them(scheme: str, is_refused: bool) -> None:
    net = Stack(OUT_IN, lambda w, x, c: functional.pad(x, (0, OUT - IN)))
    plan = initlab.plan(net, {"w": scheme}, example=example())
    (entry,) = [one for one in plan if one.param.native == "w"]
    assert (entry.action == "refuse") == is_refused
    if is_refused:
        assert "Axes(inputs=(2,), outputs=(1,), batch=(0,))" in entry.why
        told = {"w": {"role": "dense", "axes": Axes(inputs=(2,), outputs=(1,), batch=(0,))}}
        plan = initlab.plan(net, {"w": scheme}, example=example(), overrides=told)
        (entry,) = [one for one in plan if one.param.native == "w"]
        assert entry.std == pytest.approx(sqrt(2 / IN) if scheme == "he_normal" else 1 / sqrt(OUT), rel=1e-12)


# Keras


class Use(keras.layers.Layer):
    def __init__(self, use: Callable[[Any, Any], Any], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.use, self.form = use, shape

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=self.form, name="w")

    def call(self, x: Any) -> Any:
        return ops.relu(self.use(self.w, x))


KERAS: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any], Axes]] = {
    "w[e]": (IN_OUT, lambda w, x: ops.matmul(x, w[0]) + ops.matmul(x, w[1]), SECOND),
    "take": (IN_OUT, lambda w, x: ops.einsum("bi,bio->bo", x, ops.take(w, ops.argmax(x[:, :E], -1), axis=0)), SECOND),
    "matmul": (IN_OUT, lambda w, x: ops.sum(ops.matmul(ops.stack([x] * E), w), 0), SECOND),
    "swapped": (OUT_IN, lambda w, x: ops.matmul(x, ops.swapaxes(w, 1, 2)[2]), FIRST),
    "reshaped": (IN_OUT, lambda w, x: ops.matmul(x, ops.reshape(w[1], (IN, OUT))), SECOND),
}


@pytest.mark.parametrize("use", KERAS)
def test_a_stack_in_keras_is_told_by_its_use(use: str) -> None:
    shape, function, axes = KERAS[use]
    model = keras.Sequential([keras.Input((IN,)), Use(function, shape), keras.layers.Dense(2)])
    entry = next(iter(initlab.plan(model, "he_normal")))
    assert (entry.param.role, entry.param.axes, entry.param.f_out) == ("dense", axes, "relu")
    assert entry.std == pytest.approx(sqrt(2 / IN), rel=1e-12)
