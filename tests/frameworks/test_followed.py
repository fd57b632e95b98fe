"""What lies between two weighted sums is followed alike in every framework: functions, factors, gates and sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from tests.parity.zoo.net import RNGS, ZEROS, conv, flax_net

import initlab
from initlab.core.facts.spec import ParamSpec
from initlab.core.plans.bound import BoundPlan
from initlab.theory import moments

FRAMEWORKS = ("torch", "keras", "flax")
OPS = {
    "torch": SimpleNamespace(
        sigmoid=torch.sigmoid,
        tanh=torch.tanh,
        sin=torch.sin,
        exp=torch.exp,
        relu=torch.relu,
        clip=torch.clamp,
        cumsum=lambda x: torch.cumsum(x, -1),
    ),
    "keras": SimpleNamespace(
        sigmoid=keras.ops.sigmoid,
        tanh=keras.ops.tanh,
        sin=keras.ops.sin,
        exp=keras.ops.exp,
        relu=keras.ops.relu,
        clip=keras.ops.clip,
        cumsum=lambda x: keras.ops.cumsum(x, -1),
    ),
    "flax": SimpleNamespace(
        sigmoid=jax.nn.sigmoid,
        tanh=jax.numpy.tanh,
        sin=jax.numpy.sin,
        exp=jax.numpy.exp,
        relu=jax.nn.relu,
        clip=jax.numpy.clip,
        cumsum=lambda x: jax.numpy.cumsum(x, -1),
    ),
}
Body = Callable[[Any, Any, Any], Any]
WIDTH, OUT, ROWS = 48, 7, 5


class _TorchNet(torch.nn.Module):
    def __init__(self, body: Body, layers: str, held: Mapping[str, Any]) -> None:
        super().__init__()
        self.body = body
        for name in layers:
            setattr(self, name, torch.nn.Linear(WIDTH, WIDTH))
        self.head = torch.nn.Linear(WIDTH, OUT)
        for name, value in held.items():
            setattr(self, name, torch.nn.Parameter(torch.tensor(value, dtype=torch.float32)))

    def forward(self, x: Any) -> Any:
        return self.head(self.body(OPS["torch"], self, x))


class _KerasNet(keras.Model):
    def __init__(self, body: Body, layers: str, held: Mapping[str, Any]) -> None:
        super().__init__()
        self.body = body
        for name in layers:
            setattr(self, name, keras.layers.Dense(WIDTH, name=name))
        self.head = keras.layers.Dense(OUT, name="head")
        for name, value in held.items():
            shape = np.shape(value)
            setattr(self, name, self.add_weight(shape=shape, name=name, initializer="zeros"))
            getattr(self, name).assign(np.asarray(value, np.float32))

    def build(self, shape: Any) -> None:
        for layer in self.layers:
            layer.build(shape)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.head(self.body(OPS["keras"], self, x))


class _FlaxNet(nnx.Module):
    def __init__(self, body: Body, layers: str, held: Mapping[str, Any]) -> None:
        self.body = body
        for name in layers:
            setattr(self, name, nnx.Linear(WIDTH, WIDTH, kernel_init=ZEROS, rngs=RNGS))
        self.head = nnx.Linear(WIDTH, OUT, kernel_init=ZEROS, rngs=RNGS)
        for name, value in held.items():
            setattr(self, name, nnx.Param(np.asarray(value, np.float32)))

    def __call__(self, x: Any) -> Any:
        values = SimpleNamespace(**{name: self._part(name) for name in vars(self) if not name.startswith("_")})
        return self.head(self.body(OPS["flax"], values, x))

    def _part(self, name: str) -> Any:
        part = getattr(self, name)
        return part.get_value() if isinstance(part, nnx.Param) else part


def build(framework: str, body: Body, layers: str = "ab", **held: Any) -> Any:
    """A net of dense layers ``a``, ``b`` and so on, a function of them, and a head."""
    if framework == "torch":
        return _TorchNet(body, layers, held)
    if framework == "flax":
        return _FlaxNet(body, layers, held)
    net = _KerasNet(body, layers, held)
    net.build((ROWS, WIDTH))
    return net


def example(framework: str) -> Any:
    """White noise."""
    noise = np.random.default_rng(3).standard_normal((ROWS, WIDTH)).astype(np.float32)
    return torch.from_numpy(noise) if framework == "torch" else noise


def planned(framework: str, body: Body, layers: str = "ab", **held: Any) -> BoundPlan:
    """The plan of ``auto`` for such a net."""
    return initlab.plan(build(framework, body, layers, **held), "auto", example=example(framework))


def weight(made: BoundPlan, layer: str) -> ParamSpec:
    """The description of a layer's weight."""
    return next(e.param for e in made if e.param.is_weight and f"{layer}." in e.param.native.replace("/", "."))


def second(f: Callable[..., Any], numbers: int = 1) -> float:
    """``E f^2`` of independent standard normal numbers, by simulation: off by 1 % at most."""
    z = np.random.default_rng(7).standard_normal((numbers, 300_000))
    return float(np.mean(np.asarray(f(*z)) ** 2))


def _sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-z))


ALPHA = np.linspace(0.5, 3.0, WIDTH)
FORMULAS: dict[str, tuple[Body, dict[str, Any], str | None]] = {
    "x sigmoid(1.702 x)": (lambda o, m, x: (lambda z: z * o.sigmoid(1.702 * z))(m.a(x)), {}, "quick_gelu"),
    "snake": (lambda o, m, x: (lambda z: z + o.sin(m.s * z) ** 2 / m.s)(m.a(x)), {"s": np.ones(WIDTH)}, "snake"),
    "squared ReLU": (lambda o, m, x: o.relu(m.a(x)) ** 2, {}, "relu_squared"),
    "clip": (lambda o, m, x: o.clip(m.a(x), -1.0, 1.0), {}, "hard_tanh"),
    "GELU by tanh": (
        lambda o, m, x: (lambda z: 0.5 * z * (1.0 + o.tanh(math.sqrt(2.0 / math.pi) * (z + 0.044715 * z**3))))(m.a(x)),
        {},
        "gelu_tanh",
    ),
    "1.7159 tanh(2z/3)": (lambda o, m, x: 1.7159 * o.tanh(2.0 * m.a(x) / 3.0), {}, "lecun_tanh"),
}
MOMENTS: dict[str, tuple[Body, dict[str, Any], Callable[..., Any], int]] = {
    "a factor": (lambda o, m, x: 0.3 * m.a(x), {}, lambda z: 0.3 * z, 1),
    "a factor and a shift": (lambda o, m, x: o.relu(m.a(x)) * 0.5 + 0.25, {}, lambda z: np.maximum(z, 0) / 2 + 0.25, 1),
    "a parameter on the left": (lambda o, m, x: m.s * o.tanh(m.a(x)), {"s": 0.1}, lambda z: 0.1 * np.tanh(z), 1),
    "a parameter on the right": (lambda o, m, x: o.tanh(m.a(x)) * m.s, {"s": 0.1}, lambda z: 0.1 * np.tanh(z), 1),
    "a gate times a parameter": (
        lambda o, m, x: o.tanh(m.a(x)) * o.sigmoid(m.b(x)) * m.s,
        {"s": 0.1},
        lambda a, b: 0.1 * np.tanh(a) * _sigmoid(b),
        2,
    ),
    "two gates, one of them of its own": (
        lambda o, m, x: (lambda a, b: o.tanh(a) * o.sigmoid(b) * o.sigmoid(a))(m.a(x), m.b(x)),
        {},
        lambda a, b: np.tanh(a) * _sigmoid(b) * _sigmoid(a),
        2,
    ),
    "a layer called twice": (
        lambda o, m, x: o.tanh(m.a(x)) * o.sigmoid(m.a(x)),
        {},
        lambda z: np.tanh(z) * _sigmoid(z),
        1,
    ),
    "a sum of two functions": (
        lambda o, m, x: o.sigmoid(m.a(x)) + o.relu(m.b(x)),
        {},
        lambda a, b: _sigmoid(a) + np.maximum(b, 0),
        2,
    ),
    "a quotient": (lambda o, m, x: m.a(x) / (1.0 + m.b(x) ** 2), {}, lambda a, b: a / (1 + b**2), 2),
    "a mix by a gate": (
        lambda o, m, x: (lambda t: o.tanh(m.a(x)) * t + m.b(x) * (1.0 - t))(o.sigmoid(m.c(x))),
        {},
        lambda a, b, c: np.tanh(a) * _sigmoid(c) + b * (1 - _sigmoid(c)),
        3,
    ),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_known_as_its_activation(name, framework):
    body, held, f = FORMULAS[name]
    made = planned(framework, body, "a", **held)
    assert str(weight(made, "head").f_in).startswith(str(f))
    assert str(weight(made, "a").f_out).startswith(str(f))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", MOMENTS)
def test_the_input_of_a_weight_has_the_mean_square_that_a_simulation_finds(name, framework):
    body, held, f, numbers = MOMENTS[name]
    found = weight(planned(framework, body, "abc"[:numbers], **held), "head")
    assert found.in_moment == pytest.approx(second(f, numbers), rel=0.015)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_parameter_with_many_numbers_counts_by_all_of_them(framework):
    body: Body = lambda o, m, x: (lambda z: z + o.sin(m.s * z) ** 2 / m.s)(m.a(x))  # noqa: E731
    found = weight(planned(framework, body, "a", s=ALPHA), "head")
    wanted = np.mean([moments(f"snake(alpha={a})").second for a in ALPHA])
    assert found.in_moment == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_gate_is_not_the_activation_of_the_layer_that_makes_it(framework):
    made = planned(framework, lambda o, m, x: o.tanh(m.a(x)) * o.sigmoid(m.b(x)))
    assert (weight(made, "a").f_out, weight(made, "b").f_out) == ("tanh", None)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_frequency_belongs_to_the_weight_before_it(framework):
    """SIREN: the argument of the sine has mean square 1 again, so E sin(z)^2 = (1 - exp(-2)) / 2 = 0.4323."""
    made = planned(framework, lambda o, m, x: o.sin(30.0 * m.b(o.sin(30.0 * m.a(x)))))
    stds = {layer: next(e.std for e in made if e.param is weight(made, layer)) for layer in ("a", "b", "head")}
    assert stds["a"] == pytest.approx(1.0 / (math.sqrt(3.0) * WIDTH))  # U(-1/n, 1/n)
    assert stds["b"] == pytest.approx(math.sqrt(1.0 / 0.43233 / WIDTH) / 30.0, rel=1e-4)
    assert weight(made, "head").in_moment == pytest.approx(0.43233, rel=1e-4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_factor_before_a_function_that_is_not_steep_stays_where_it_is(framework):
    made = planned(framework, lambda o, m, x: o.tanh(1.5 * m.b(o.tanh(1.5 * m.a(x)))))
    assert weight(made, "a").frequency is None
    assert weight(made, "head").in_moment == pytest.approx(second(lambda z: np.tanh(1.5 * z)), rel=0.015)


INFINITE: dict[str, Body] = {
    "an unknown operation": lambda o, m, x: o.cumsum(m.a(x)),
    "a constant zero": lambda o, m, x: o.relu(m.a(x)) * 0.0,
    "no finite mean square": lambda o, m, x: o.exp(m.a(x) ** 2),
    "one layer on two inputs": lambda o, m, x: m.a(x) * o.sigmoid(m.a(m.b(x))),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", INFINITE)
def test_a_weight_of_whose_input_nothing_is_known_is_kept_and_counted(name, framework):
    made = planned(framework, INFINITE[name])
    row = next(e for e in made if e.param is weight(made, "head"))
    assert (row.action, row.kept) == ("keep", "unfollowed")
    assert [e.action for e in made if e.param is weight(made, "a")] == ["initialise"]
    net, told = build(framework, INFINITE[name]), {"*head*": {"in_moment": 2.0}}
    again = initlab.plan(net, "auto", example=example(framework), overrides=told)
    assert next(e.std for e in again if e.param.is_weight and "head" in e.param.native) is not None


POOLS = {"max": (2, 2), "mean": (2, 2), "max that overlap": (3, 2)}


def _torch_pools(how: str, size: int, step: int) -> Any:
    pool = torch.nn.MaxPool2d if how.startswith("max") else torch.nn.AvgPool2d
    layers = [torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), pool(size, step), torch.nn.Conv2d(8, 5, 3), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, pool(size, step), torch.nn.Conv2d(5, 2, 1))


def _keras_pools(how: str, size: int, step: int) -> Any:
    kind = keras.layers.MaxPooling2D if how.startswith("max") else keras.layers.AveragePooling2D
    layers = [keras.Input((20, 20, 3)), keras.layers.Conv2D(8, 3, activation="relu"), kind(size, step)]
    layers += [keras.layers.Conv2D(5, 3, activation="relu"), kind(size, step), keras.layers.Conv2D(2, 1)]
    return keras.Sequential(layers)


def _flax_pools(how: str, size: int, step: int) -> Any:
    pool = nnx.max_pool if how.startswith("max") else nnx.avg_pool

    def body(m: Any, x: Any) -> Any:
        x = pool(jax.nn.relu(m.a(x)), (size, size), (step, step))
        return m.c(pool(jax.nn.relu(m.b(x)), (size, size), (step, step)))

    a, b = conv(3, 8, (3, 3), padding="VALID"), conv(8, 5, (3, 3), padding="VALID")
    return flax_net(body, a=a, b=b, c=conv(5, 2, (1, 1)))


def _behind_pools(how: str, size: int, step: int) -> tuple[float, float]:
    """E x^2 behind the first pool and the second, of fields of infinite width on white noise, by simulation."""
    rng = np.random.default_rng(11)
    pool = np.max if how.startswith("max") else np.mean
    z, found = rng.standard_normal((20_000, 8, 8)), []
    for _ in range(2):
        y = np.maximum(z, 0.0)
        windows = np.lib.stride_tricks.sliding_window_view(y, (size, size), axis=(1, 2))[:, ::step, ::step]
        y = pool(windows, axis=(3, 4))
        found.append(float(np.mean(y**2)))
        # A convolution of infinite width keeps how alike two places are; its values are normal again.
        flat = y.reshape(len(y), -1)
        alike = flat.T @ flat / len(y) / found[-1]
        root = np.linalg.cholesky(alike + 1e-9 * np.eye(len(alike)))
        z = (rng.standard_normal((20_000, len(alike))) @ root.T).reshape(y.shape)
    return found[0], found[1]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("how", POOLS)
def test_a_pool_counts(how, framework):
    build = {"torch": _torch_pools, "keras": _keras_pools, "flax": _flax_pools}[framework]
    noise = np.random.default_rng(3).standard_normal((2, 20, 20, 3)).astype(np.float32)
    given = torch.from_numpy(noise).permute(0, 3, 1, 2) if framework == "torch" else noise
    net = build(how, *POOLS[how])
    found = [e.param.in_moment for e in initlab.plan(net, "auto", example=given) if e.param.is_weight]
    assert found[1:] == pytest.approx(_behind_pools(how, *POOLS[how]), rel=0.05)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_chain_behind_an_exponential_is_planned(framework):
    made = planned(framework, lambda o, m, x: m.b(o.exp(m.a(x))))
    assert next(e.std for e in made if e.param is weight(made, "b")) == pytest.approx(math.exp(-1.0) / math.sqrt(WIDTH))


def _highway(o: Any, m: Any, x: Any) -> Any:
    for made, gate in ((m.a, m.b), (m.c, m.d), (m.e, m.f)):
        t = o.sigmoid(gate(x))
        x = o.relu(made(x)) * t + x * (1.0 - t)
    return x


def _with_biases(framework: str, net: Any, layers: str, number: float) -> Any:
    """The net with one number in all biases of some layers."""
    for name in layers:
        bias = getattr(net, name).bias
        if framework == "torch":
            torch.nn.init.constant_(bias, number)
        elif framework == "keras":
            bias.assign(np.full(bias.shape, number, np.float32))
        else:
            bias.set_value(jax.numpy.full(bias.shape, number))
    return net


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("shift", [0.0, -2.0])
def test_a_state_that_gates_mix_again_and_again_is_followed_from_the_biases_that_stay(shift, framework):
    net = _with_biases(framework, build(framework, _highway, "abcdef"), "bdf", shift)
    made = initlab.plan(net, "auto", example=example(framework))
    z = np.random.default_rng(7).standard_normal((2, 300_000))
    r, t = np.maximum(z[0], 0.0), _sigmoid(z[1] + shift)
    found, expected, mean, square = [], [], 0.0, 1.0
    for layer in ("c", "e", "head"):  # what is made, the gate and the state are independent
        beside = 2.0 * r.mean() * mean * np.mean(t * (1 - t))
        square = float(np.mean(r**2) * np.mean(t**2) + square * np.mean((1 - t) ** 2) + beside)
        mean = float(r.mean() * t.mean() + mean * np.mean(1 - t))
        expected.append(square)
        found.append(weight(made, layer).in_moment)
    assert found == pytest.approx(expected, rel=0.015)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_layers_add_to_a_stream_that_gates_let_past_is_not_made_louder_as_it_fades(framework):
    net = _with_biases(framework, build(framework, _highway, "abcdef"), "bdf", -2.0)
    made = initlab.plan(net, "auto", example=example(framework))
    stds = {layer: next(e.std for e in made if e.param is weight(made, layer)) for layer in "abcdef"}
    assert stds == pytest.approx(dict.fromkeys("abcdef", 1.0 / math.sqrt(WIDTH)))
    assert weight(made, "e").in_moment < 0.7  # it is measured, and not made up for


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_where_nothing_is_let_past_a_gate_the_signal_is_made_as_loud_again(framework):
    body: Body = lambda o, m, x: o.tanh(m.b(o.sigmoid(m.c(x)) * m.a(x)))  # noqa: E731
    made = initlab.plan(build(framework, body, "abc"), "auto", example=example(framework))
    second_weight = weight(made, "b")
    assert second_weight.carried is None
    assert next(e.std for e in made if e.param is second_weight) > 1.5 / math.sqrt(WIDTH)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["relu", "sigmoid"])
def test_a_bias_that_stays_shifts_what_an_activation_makes(name, framework):
    body: Body = lambda o, m, x: getattr(o, name)(m.a(x))  # noqa: E731
    made = initlab.plan(
        _with_biases(framework, build(framework, body, "a"), "a", 1.5), "auto", example=example(framework)
    )
    f = {"relu": lambda z: np.maximum(z + 1.5, 0), "sigmoid": lambda z: _sigmoid(z + 1.5)}[name]
    assert weight(made, "head").f_in == name
    assert weight(made, "head").in_moment == pytest.approx(second(f), rel=0.015)


def _block(o: Any, h: Any, inner: Any, end: Any, f: str) -> Any:
    return h + end(getattr(o, f)(inner(h)))


HEADS: dict[str, Body] = {
    "relu(x) + branch": lambda o, m, x: _block(o, o.relu(m.a(x)), m.b, m.c, "relu"),
    "relu(x) + two branches": lambda o, m, x: _block(o, _block(o, o.relu(m.a(x)), m.b, m.c, "relu"), m.d, m.e, "relu"),
    "tanh(x) + branch": lambda o, m, x: _block(o, o.tanh(m.a(x)), m.b, m.c, "tanh"),
    "x + branch": lambda o, m, x: _block(o, m.a(x), m.b, m.c, "tanh"),
    "no branch": lambda o, m, x: o.tanh(m.a(x)),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", HEADS)
def test_outputs_behind_a_sum_have_the_std_that_the_row_of_their_head_states(name, framework):
    layers = "abcde" if "two" in name else "abc" if "branch" in name and name != "no branch" else "a"
    net = build(framework, HEADS[name], layers)
    noise = np.random.default_rng(5).standard_normal((100, WIDTH)).astype(np.float32)
    given = torch.from_numpy(noise) if framework == "torch" else noise
    made, squares = initlab.plan(net, "auto", example=given), []
    for seed in range(1, 21):
        made.apply(seed=seed)
        out = net(given)
        squares.append(float(np.mean(np.square(out.detach().numpy() if framework == "torch" else np.asarray(out)))))
    wanted = math.sqrt(2.0 * 0.01 * math.log(OUT) / (1.0 - 1.0 / OUT))  # E[CE] = ln K + s^2 / 2 (1 - 1 / K)
    assert f"outputs of std {wanted:.2g}" in next(e.why for e in made if e.param is weight(made, "head"))
    assert math.sqrt(np.mean(squares)) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("is_behind_a_weight", [False, True])
def test_branches_are_counted_in_the_sum_that_a_weight_takes_and_not_behind_another_weight(
    is_behind_a_weight, framework
):
    stream = HEADS["relu(x) + two branches"]
    body: Body = lambda o, m, x: m.f(stream(o, m, x)) if is_behind_a_weight else stream(o, m, x)  # noqa: E731
    made = planned(framework, body, "abcdef" if is_behind_a_weight else "abcde")
    assert weight(made, "head").summed == (0 if is_behind_a_weight else 2)
    assert weight(made, "d").summed == 1


def test_a_mean_over_places_of_a_stream_has_a_size_of_its_own():
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, inputs in (("a", 3), ("b", 8), ("c", 8)):
                setattr(self, name, torch.nn.Conv2d(inputs, 8, 3))
            self.head = torch.nn.Linear(8, 5)

        def forward(self, x: Any) -> Any:
            h = torch.relu(self.a(x))
            pad = torch.nn.functional.pad
            return self.head((h + self.c(torch.relu(self.b(pad(h, (2, 2, 2, 2)))))).mean((2, 3)))

    noise = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(3))
    assert weight(initlab.plan(Net(), "auto", example=noise), "head").summed == 0
