"""A layer of two weights and its own operation, registered once, in the frameworks: planned, drawn, audited, probed."""

from __future__ import annotations

import math
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import initlab
from initlab import LayerParam, register_layer
from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.layers import _FOUND, LAYERS, Layer, layer_of
from initlab.core.facts.spec import Axes
from initlab.frameworks.reading.known_layers import known_layers

os.environ.setdefault("KERAS_BACKEND", "jax")

IN, RANK, OUT, CLASSES = 60, 90, 130, 7
X = np.random.default_rng(7).standard_normal((48, IN)).astype(np.float32) * 1.5


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    for held in ("_items", "_keys"):
        monkeypatch.setattr(LAYERS, held, dict(getattr(LAYERS, held)))
    _FOUND.clear()
    yield
    _FOUND.clear()


def low_rank(layer: object) -> Mapping[str, LayerParam]:
    """Two factors of a dense weight."""
    u, v = LayerParam("dense", f_out="identity"), LayerParam("dense", f_in="identity")
    return {"u": u, "v": v, "bias": LayerParam("bias", weight="v")}


RULES: dict[str, Any] = {
    "second_moment": lambda q, w: q * w["u"].forward * w["v"].forward + w["bias"].square,
    "gradient": lambda g, w: g * w["u"].backward * w["v"].backward,
}


def torch_net() -> tuple[object, type]:
    torch = pytest.importorskip("torch")

    class LowRank(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.u = torch.nn.Parameter(torch.ones(RANK, IN))
            self.v = torch.nn.Parameter(torch.ones(OUT, RANK))
            self.bias = torch.nn.Parameter(torch.full((OUT,), 0.5))

        def forward(self, x: Any) -> Any:
            return torch.einsum("bi,ri,or->bo", x, self.u, self.v) + self.bias

    parts = {"first": LowRank(), "f": torch.nn.Tanh(), "last": torch.nn.Linear(OUT, CLASSES)}
    return torch.nn.Sequential(OrderedDict(parts)), LowRank


def jax_net() -> tuple[object, type]:
    nnx = pytest.importorskip("flax.nnx")
    jnp = pytest.importorskip("jax.numpy")

    class LowRank(nnx.Module):
        def __init__(self) -> None:
            self.u = nnx.Param(jnp.ones((IN, RANK)))
            self.v = nnx.Param(jnp.ones((RANK, OUT)))
            self.bias = nnx.Param(jnp.full((OUT,), 0.5))

        def __call__(self, x: Any) -> Any:
            return jnp.einsum("bi,ir,ro->bo", x, self.u[...], self.v[...]) + self.bias[...]

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.first = LowRank()
            self.last = nnx.Linear(OUT, CLASSES, rngs=nnx.Rngs(3))

        def __call__(self, x: Any) -> Any:
            return self.last(jnp.tanh(self.first(x)))

    return Net(), LowRank


def keras_net() -> tuple[object, type]:
    keras = pytest.importorskip("keras")

    class LowRank(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.u = self.add_weight(shape=(IN, RANK), initializer="ones", name="u")
            self.v = self.add_weight(shape=(RANK, OUT), initializer="ones", name="v")
            self.bias = self.add_weight(shape=(OUT,), initializer="ones", name="bias")

        def call(self, x: Any) -> Any:
            return keras.ops.einsum("bi,ir,ro->bo", x, self.u, self.v) + self.bias

    parts = [keras.Input((IN,)), LowRank(name="first"), keras.layers.Activation("tanh"), keras.layers.Dense(CLASSES)]
    return keras.Sequential(parts), LowRank


NETS = {"torch": torch_net, "jax": jax_net, "keras": keras_net}
GRAPHS = ["torch", "jax"]


def registered(framework: str, **said: Any) -> object:
    net, kind = NETS[framework]()
    register_layer(kind, name="low_rank_of_a_test", **said)(low_rank)
    return net


def facts(spec: Any, leaf: str) -> Any:
    return next(p for p in spec.params if re.search(rf"[./]{leaf}$", p.native))


@pytest.mark.parametrize("framework", NETS)
def test_its_parameters_are_what_was_registered(framework: str) -> None:
    plan = initlab.plan(registered(framework, signal="weighted"), "he_normal", example=X)
    by_leaf = {re.split(r"[./]", e.param.native)[-1]: e for e in plan.entries[:3]}
    u, v, bias = (by_leaf[leaf] for leaf in ("u", "v", "bias"))
    assert (u.param.shape, v.param.shape) == ((RANK, IN), (OUT, RANK))
    assert (bias.param.role, bias.param.layer_shape) == ("bias", (OUT, RANK))
    assert (u.param.f_in, u.param.f_out, v.param.f_in) == (None, "identity", "identity")
    assert u.law.std(u.param.shape) == pytest.approx(math.sqrt(2 / IN))
    assert v.law.std(v.param.shape) == pytest.approx(math.sqrt(2 / RANK))


def test_the_same_seed_gives_the_same_weights_in_every_framework() -> None:
    drawn = []
    for framework in NETS:
        net = registered(framework, signal="weighted")
        plan = initlab.plan(net, "glorot_uniform", example=X)
        plan.apply(seed=11)
        adapter = plan.adapter
        drawn.append([adapter.read(net, e.param) for e in plan.entries[:3] if e.param.is_weight])
        LAYERS._items.pop("low_rank_of_a_test")
        LAYERS._keys.clear()
        _FOUND.clear()
    for others in drawn[1:]:
        assert all((a == b).all() for a, b in zip(drawn[0], others, strict=True))


@pytest.mark.parametrize("framework", NETS)
def test_it_is_audited(framework: str) -> None:
    net = registered(framework, signal="weighted")
    initlab.initialize(net, "he_normal", seed=5, example=X)
    rows = initlab.audit(net, "he_normal", example=X).entries
    verdicts = {re.split(r"[./]", row.native)[-1]: row.verdict for row in rows[:3]}
    assert verdicts == {"u": "ok", "v": "ok", "bias": "kept"}  # one number everywhere, which its author wrote
    assert {row.verdict for row in rows[3:]} == {"ok"}
    assert any(row.verdict == "wrong" for row in initlab.audit(net, "lecun_normal", example=X).entries)


@pytest.mark.parametrize("framework", GRAPHS)
def test_theory_follows_its_rules_there_and_back(framework: str) -> None:
    net = registered(framework, signal="weighted", **RULES)
    initlab.initialize(net, "normal(std=0.07)", seed=5, example=X)
    evidence = initlab.probe(net, X).evidence
    (at,) = (i for i, place in enumerate(evidence.reading.places) if len(place.params) == 3)
    said, seen = evidence.expected[at], evidence.reading.forward[at]
    held = [facts(evidence.spec, leaf) for leaf in ("u", "v")]
    squares = [evidence.weights[p.native].std ** 2 + evidence.weights[p.native].mean ** 2 for p in held]
    given = evidence.reading.forward[0].square
    assert said.square == pytest.approx(given * IN * squares[0] * RANK * squares[1] + 0.5**2, rel=1e-6)
    assert not said.is_measured
    assert said.square == pytest.approx(seen.square, rel=0.2)
    behind = evidence.expected[at].gradient
    assert evidence.expected[0].gradient == pytest.approx(behind * RANK * squares[0] * OUT * squares[1], rel=1e-6)


@pytest.mark.parametrize("framework", GRAPHS)
@pytest.mark.parametrize(
    ("signal", "why"), [("unknown", "what it does is not known"), ("weighted", "not one parameter")]
)
def test_without_a_rule_a_probe_goes_on_from_what_it_measured_and_says_so(
    framework: str, signal: str, why: str
) -> None:
    net = registered(framework, signal=signal)
    initlab.initialize(net, "normal(std=0.07)", seed=5, example=X)
    evidence = initlab.probe(net, X).evidence
    (at,) = (i for i, place in enumerate(evidence.reading.places) if len(place.params) == 3)
    assert evidence.expected[at].is_measured
    assert why in evidence.expected[at].why
    assert evidence.expected[at].square == evidence.reading.forward[at].square


@pytest.mark.parametrize("framework", GRAPHS)
def test_a_probe_leaves_the_layer_as_it_was(framework: str) -> None:
    net = registered(framework, signal="weighted", **RULES)
    before = {key: value for key, value in vars(next(iter(_layers(net)))).items() if callable(value)}
    initlab.probe(net, X)
    assert {key: value for key, value in vars(next(iter(_layers(net)))).items() if callable(value)} == before


def _layers(net: Any) -> Iterator[object]:
    yield net[0] if hasattr(net, "modules") else net.first


def test_a_norm_of_ones_own_is_one_value_of_mean_square_one() -> None:
    torch = pytest.importorskip("torch")

    class Unit(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.size = torch.nn.Parameter(torch.full((IN,), 2.0))

        def forward(self, x: Any) -> Any:
            return torch.special.expm1(torch.log1p(x / x.pow(2).mean(-1, keepdim=True).sqrt() * 0)) + self.size * x / (
                x.norm(dim=-1, keepdim=True) / IN**0.5
            )

    register_layer(Unit, name="unit_of_a_test", signal="norm")(lambda layer: {"size": LayerParam("norm_scale")})
    net = torch.nn.Sequential(Unit(), torch.nn.Linear(IN, CLASSES))
    spec = initlab.plan(net, "he_normal", example=X).plan
    assert [(e.param.role, e.param.in_moment) for e in spec][:2] == [("norm_scale", None), ("dense", 1.0)]
    evidence = initlab.probe(net, X).evidence
    (at,) = (i for i, place in enumerate(evidence.reading.places) if place.kind == "norm")
    assert evidence.expected[at].square == pytest.approx(4.0)  # the scale's square
    assert evidence.reading.forward[at].square == pytest.approx(4.0, rel=1e-4)


def test_axes_and_blocks_are_those_that_were_registered() -> None:
    torch = pytest.importorskip("torch")

    class Gated(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.packed = torch.nn.Parameter(torch.ones(12, 5))
            self.heads = torch.nn.Parameter(torch.ones(3, 5, 2))

    @register_layer(Gated, name="gated_of_a_test")
    def gated(layer: object) -> Mapping[str, LayerParam]:
        axes = Axes(inputs=(1,), outputs=(2,), batch=(0,))
        return {"packed": LayerParam("dense", blocks=(4, 8)), "heads": LayerParam("dense", axes=axes)}

    packed, heads = (e.law for e in initlab.plan(Gated(), "glorot_normal"))
    assert heads.std((3, 5, 2)) == pytest.approx(math.sqrt(2 / (5 + 2)))
    parts = [2 / (5 + 4), 2 / (5 + 8)]  # of each block, weighted by its rows
    assert packed.std((12, 5)) == pytest.approx(math.sqrt((4 * parts[0] + 8 * parts[1]) / 12))


def test_a_name_imports_nothing_and_finds_a_class_by_its_public_name_and_those_below_it() -> None:
    register_layer("never.installed.Layer", "collections.OrderedDict", name="of_a_name")(lambda layer: {})
    assert layer_of(type("Below", (OrderedDict,), {})) is LAYERS["of_a_name"]
    assert layer_of(dict) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"kinds": ()}, "no class"),
        ({"signal": "loud"}, "no signal 'loud'"),
        ({"gradient": RULES["gradient"]}, "a rule for a layer whose operations are followed"),
    ],
)
def test_what_cannot_be_registered_is_refused(said: dict[str, Any], why: str) -> None:
    kinds = said.pop("kinds", (dict,))
    with pytest.raises(OptionError, match=why):
        register_layer(*kinds, name="odd_of_a_test", **said)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda layer: {"u": "dense"}, "gives no LayerParam for 'u'"),
        (lambda layer: layer.nothing, "raises AttributeError"),
    ],
)
def test_a_function_that_fails_is_said_in_a_line(function: Callable[..., Any], why: str) -> None:
    with pytest.raises(InitlabError, match=why) as error:
        Layer("odd", (dict,), function).facts_of({})
    assert "\n" not in str(error.value)


def test_the_layers_that_are_listed_are_those_of_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "layers.md").read_text(encoding="utf-8")
    rooms = {"nn": "torch.nn", "layers": "keras.layers", "nnx": "flax.nnx"}
    told = re.findall(r"^\| `(nn|layers|nnx)\.(\w+)` ", page, re.MULTILINE)
    found = {module: tuple(name for room, name in told if rooms[room] == module) for module in rooms.values()}
    assert found == known_layers()
