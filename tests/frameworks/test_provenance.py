"""Who wrote a parameter while its model was built: the last law, its caller, and what was written over; then kept."""

from __future__ import annotations

import copy
import gc
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import initlab
from initlab.api.blaming import blame
from initlab.core.facts.provenance import Provenance
from initlab.frameworks import constructed, watching

HERE = "test_provenance.py"


def writers(build: Callable[[], Any]) -> dict[str, Provenance]:
    return {row.native: row for row in blame(build).rows}


def law(row: Provenance) -> str:
    assert row.last is not None
    return row.last.law


def torch_chosen() -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    nn.init.constant_(net[0].bias, -2)
    nn.init.normal_(net[2].weight, std=0.02)
    return net


def keras_chosen() -> keras.Model:
    small = keras.initializers.RandomNormal(stddev=0.02)
    gate = keras.initializers.Constant(-2)
    layers = [
        keras.layers.Dense(5, "tanh", bias_initializer=gate),
        keras.layers.Dense(4, "tanh", kernel_initializer=small),
        keras.layers.Dense(2),
    ]
    return keras.Sequential([keras.Input((6,)), *layers])


def flax_chosen() -> nnx.Module:
    rngs = nnx.Rngs(3)
    first = nnx.Linear(6, 5, bias_init=nnx.initializers.constant(-2.0), rngs=rngs)
    second = nnx.Linear(5, 4, kernel_init=nnx.initializers.normal(0.02), rngs=rngs)
    return nnx.Sequential(first, nnx.tanh, second, nnx.tanh, nnx.Linear(4, 2, rngs=rngs))


CHOSEN = [torch_chosen, keras_chosen, flax_chosen]


@pytest.mark.parametrize("build", CHOSEN)
def test_a_row_says_the_outermost_law_and_who_called_it(build) -> None:
    rows = list(writers(build).values())
    chosen = [row for row in rows if row.last is not None and not row.last.is_default]
    assert len(rows) == 6
    assert all(row.state == "written" for row in rows)
    assert {law(row) for row in chosen} in (
        {"constant_(-2)", "normal_(std=0.02)"},
        {"Constant(value=-2)", "RandomNormal(stddev=0.02)"},
        {"constant(value=-2)", "normal(stddev=0.02)"},
    )
    assert all(HERE in row.last.where for row in chosen if row.last)
    assert [row.last.is_random for row in chosen if row.last and "-2)" in row.last.law] == [False]


@pytest.mark.parametrize("build", CHOSEN)
def test_a_value_that_its_author_chose_is_kept_where_the_construction_was_watched(build) -> None:
    made = initlab.plan(build=build, schemes="he_normal")
    kept = [row for row in made if row.action == "keep"]
    assert [row.param.path for row in kept] == ["0/bias"]
    assert HERE in kept[0].why
    assert initlab.plan(build=build, schemes="he_normal", reinit=True)["0/bias"].action == "initialise"
    # without it, a constant in the bias of a hidden layer may have many reasons
    with watching() as told:
        model = build()
        told(model)
    assert initlab.plan(model, "he_normal")["0/bias"].action == "keep"
    initlab.initialize(model, "he_normal", seed=1)
    initlab.initialize(model, "he_normal", seed=1, include=initlab.plan(model)["0/bias"].param.native)
    assert initlab.plan(model, "he_normal")["0/bias"].action == "initialise"


@pytest.mark.parametrize("build", CHOSEN)
def test_a_model_that_is_built_without_a_factory_is_recorded(build) -> None:
    with initlab.record_construction():
        first, model = build(), build()
    assert [row.param.path for row in initlab.plan(model, "he_normal") if row.action == "keep"] == ["0/bias"]
    assert HERE in initlab.plan(first, "he_normal")["0/bias"].why
    initlab.initialize(model, "he_normal", seed=1, reinit=True)
    assert initlab.plan(model, "he_normal")["0/bias"].action == "initialise"
    gone = weakref.ref(first)
    del first, model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("build", CHOSEN)
def test_an_audit_takes_a_chosen_value_for_design(build) -> None:
    (model, _, _), _ = constructed(build, "build")
    initlab.initialize(model, "he_normal", seed=3)
    assert initlab.audit(model, "he_normal", seed=3).ok


@pytest.mark.parametrize("build", CHOSEN)
def test_a_watched_construction_builds_the_same_model_and_leaves_no_trace(build) -> None:
    def numbers(model: object) -> list[np.ndarray]:
        adapter = initlab.frameworks.adapter_for(model)
        return [adapter.read(model, p) for p in adapter.describe(model).params]

    before = {kind: dict(vars(kind)) for kind in (nnx.Variable, keras.Variable, keras.Layer, torch.Tensor)}
    with initlab.frameworks.seeded(5):
        plain = numbers(build())
    with initlab.frameworks.seeded(5):
        seen = numbers(constructed(build, "build")[0][0])
    assert all(np.array_equal(a, b) for a, b in zip(plain, seen, strict=True))
    assert all(dict(vars(kind)) == held for kind, held in before.items())


class Torch(nn.Module):
    """Everything that writes a tensor, by its usual idiom."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(6, 5)
        nn.init.trunc_normal_(self.twice.weight, std=0.05)
        nn.init.xavier_uniform_(self.twice.weight, gain=2.0)
        self.twice.bias.data.zero_()
        self.scaled = nn.Parameter(torch.randn(7) * 0.02)
        self.steps = nn.Parameter(torch.log(torch.arange(1, 6, dtype=torch.float32)))
        self.identity = nn.Linear(4, 4, bias=False)
        nn.init.eye_(self.identity.weight)
        self.copied = copy.deepcopy(self.identity)
        self.forgotten = nn.Parameter(torch.empty(3, 4))
        self.emptied = nn.Linear(3, 4).to_empty(device="cpu")
        self.emptied.bias.data.mul_(0.0)
        self.refilled = nn.Linear(3, 4, device="meta").to_empty(device="cpu")
        self.refilled.reset_parameters()
        self.promised = nn.Linear(3, 4, device="meta")
        self.lazy = nn.LazyLinear(3)
        self.lstm = nn.LSTM(4, 6)
        self.lstm.bias_ih_l0.data[6:12].fill_(1.0)
        self.table = nn.Embedding(7, 8, padding_idx=0)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
        self.moved = nn.Linear(5, 4).to(torch.float64)
        self.lent = nn.Linear(40, 50)
        self.lent.weight.detach().numpy()[3, 7] = 1.0
        self.threaded = nn.Linear(3, 5)
        thread = threading.Thread(target=lambda: nn.init.normal_(self.threaded.weight))
        thread.start()
        thread.join()
        self.gate = nn.Parameter(torch.tensor(0.5))
        self.halves = nn.Parameter(torch.empty(4))
        with torch.no_grad():
            self.halves[:2] = 1
            self.halves[2:] = 3
        fused = torch.empty(12, 4)
        nn.init.normal_(fused[:8])
        self.cut = nn.Parameter(fused[8:])
        self.joined = nn.Parameter(torch.cat([torch.zeros(2), torch.randn(2)]))
        self.given = nn.Linear(2, 3)
        self.given.weight = nn.Parameter(torch.from_numpy(np.full((3, 2), 0.25, np.float32)))


TOLD = {
    "twice.weight": ("written", "xavier_uniform_(gain=2)"),
    "twice.bias": ("written", "zero_()"),
    "scaled": ("written", "mul(randn(), 0.02)"),
    "steps": ("written", "log(arange(1, 6))"),
    "identity.weight": ("written", "eye_()"),
    "copied.weight": ("written", "eye_()"),
    "forgotten": ("unwritten", "empty()"),
    "emptied.weight": ("unwritten", "empty_like()"),
    "emptied.bias": ("unwritten", "mul_(empty_like(), 0)"),
    "refilled.weight": ("written", "kaiming_uniform_(a=2.23607)"),
    "lazy.weight": ("unwritten", "a lazy module's, which has no shape yet"),
    "lstm.weight_ih_l0": ("written", "uniform_(a=-0.408248, b=0.408248)"),
    "lstm.bias_ih_l0": ("written", "fill_(1) in a part, over uniform_(a=-0.408248, b=0.408248)"),
    "table.weight": ("written", "fill_(0) in a part, over normal_()"),
    "normed.parametrizations.weight.original1": ("written", "kaiming_uniform_(a=2.23607)"),
    "moved.weight": ("written", "kaiming_uniform_(a=2.23607)"),
    "given.weight": ("written", "tensor(...)"),
    "gate": ("written", "tensor(0.5)"),
    "halves": ("written", "fill_(tensor(3)), part by part"),
    "cut": ("unwritten", "empty()"),
    "joined": ("written", "cat([zeros(), randn()])"),
    "lent.bias": ("written", "uniform_(a=-0.158114, b=0.158114)"),
}
UNSEEN = ("lent.weight", "threaded.weight")


def test_every_way_to_write_a_tensor_is_told_by_its_law() -> None:
    rows = writers(Torch)
    assert {name: (rows[name].state, law(rows[name])) for name in TOLD} == TOLD
    assert {rows[name].state for name in UNSEEN} == {"unknown"}
    assert {name for name, row in rows.items() if row.state == "unwritten"} == {
        "forgotten", "emptied.weight", "emptied.bias", "lazy.weight", "lazy.bias", "cut",
    }  # fmt: skip


def test_a_law_that_is_no_default_and_was_written_over_is_told() -> None:
    rows = writers(Torch)
    (over,) = rows["twice.weight"].before
    assert (over.law, over.is_default) == ("trunc_normal_(std=0.05)", False)
    assert not rows["twice.bias"].before  # a default was
    assert {name for name, row in rows.items() if row.before} == {"twice.weight"}


def test_no_address_is_used_for_a_name() -> None:
    """Memory that is let go is given out again: every tensor of a size lies where one before it lay."""

    def build() -> nn.Module:
        net = nn.Linear(64, 64)
        for k in range(50):
            net.weight = nn.Parameter(torch.full((64, 64), float(k)))
        net.bias = nn.Parameter(torch.empty(64))
        return net

    rows = writers(build)
    assert law(rows["weight"]) == "full(49)"
    assert rows["bias"].state == "unwritten"


def test_a_gate_opened_in_a_part_of_a_bias_is_kept() -> None:
    def build() -> nn.Module:
        net = nn.LSTM(4, 6)
        net.bias_ih_l0.data[6:12].fill_(1.0)
        return net

    made = initlab.plan(build=build, schemes="he_normal")
    assert [row.param.native for row in made if row.action == "keep"] == ["bias_ih_l0"]


def test_what_training_changed_is_nobodys_choice() -> None:
    (model, _, _), _ = constructed(torch_chosen, "build")
    with torch.no_grad():
        model[0].bias.add_(torch.linspace(0.1, 0.2, 5))  # type: ignore[index]
    assert initlab.plan(model, "he_normal")["0/bias"].action == "initialise"


def test_random_numbers_and_alike_units_are_no_design() -> None:
    def build() -> nn.Module:
        net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
        nn.init.normal_(net[0].bias, std=0.3)
        nn.init.constant_(net[0].weight, 0.1)
        return net

    assert {row.action for row in initlab.plan(build=build, schemes="he_normal")} == {"initialise"}


def test_keras_tells_an_assignment_and_the_line_that_made_a_layer() -> None:
    def build() -> keras.Model:
        net = keras_chosen()
        net.layers[0].bias.assign(jnp.arange(5.0))
        return net

    rows = list(writers(build).values())
    assert law(rows[1]) == "assign(ArrayImpl)"
    assert [write.law for write in rows[1].before] == ["Constant(value=-2)"]
    net = keras_chosen()
    with watching() as told:
        assert {row.state for row in told(net)} == {"unknown"}


def test_flax_tells_arrays_made_in_line_and_values_set() -> None:
    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.steps = nnx.Param(jnp.log(jnp.arange(1, 6)))
            self.attention = nnx.MultiHeadAttention(2, 4, bias_init=nnx.initializers.ones, rngs=rngs)
            self.set = nnx.Linear(3, 4, bias_init=nnx.initializers.ones, rngs=rngs)
            self.set.bias[...] = jnp.full(4, 3.0)
            self.cloned = nnx.clone(self.set)
            keys = jax.random.split(jax.random.key(1), 2)
            self.closed = nnx.Linear(3, 4, kernel_init=nnx.initializers.zeros, rngs=rngs)  # the default of its bias
            self.named = nnx.Linear(3, 4, kernel_init=nnx.initializers.xavier_uniform(), rngs=rngs)
            self.places = nnx.Param(nnx.initializers.normal(0.03)(rngs.params(), (5, 4)))
            self.stacked = nnx.vmap(lambda key: nnx.Linear(3, 3, rngs=nnx.Rngs(key)))(keys)

    rows = writers(lambda: Net(nnx.Rngs(2)))
    assert law(rows["steps"]) == "jnp.log(jnp.arange(1, 6))"
    assert (law(rows["attention.query.bias"]), rows["attention.query.bias"].last.is_default) == ("ones()", False)
    assert rows["attention.query.kernel"].last.is_default
    assert (law(rows["set.bias"]), rows["set.bias"].before[0].law) == ("a value set", "ones()")
    assert law(rows["cloned.bias"]) == "a value set"
    kernels = [rows[name].last for name in ("closed.kernel", "named.kernel", "places")]
    assert [(w.law, w.is_default) for w in kernels if w] == [
        ("zeros()", False), ("glorot_uniform()", False), ("normal(stddev=0.03)", False),
    ]  # fmt: skip
    assert all(HERE in w.where for w in kernels if w)
    assert "an array made" in law(rows["stacked.kernel"])
    assert HERE in rows["stacked.kernel"].last.where
