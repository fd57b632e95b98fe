"""PiSSA and OLoRA: the factors of the frozen weight, as peft makes them, in every framework."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest
import torch
from flax import nnx
from numpy.typing import NDArray
from torch import nn

import initlab
from initlab.core.errors import InitlabError, OptionError
from initlab.core.laws.low_rank import factors
from initlab.frameworks import adapter_for

X = np.random.default_rng(3).normal(0.5, 2.0, (16, 10)).astype(np.float32)
METHODS = ("pissa", "olora")
Floats = NDArray[np.float64]


def signed(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The same product, each row of A with its largest entry above 0: a triplet's sign is LAPACK's own affair."""
    signs = np.sign(a[np.arange(len(a)), np.abs(a).argmax(1)])
    return a * signs[:, None], b * signs


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.o = nn.Linear(10, 12), nn.Linear(12, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.o(torch.relu(self.q(x)))
        return out


def adapted(how: str | bool) -> Any:
    peft = pytest.importorskip("peft")
    torch.manual_seed(5)
    return peft.get_peft_model(
        Base(), peft.LoraConfig(r=3, lora_alpha=8, target_modules=["q", "o"], init_lora_weights=how)
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("told", [True, False])
def test_the_numbers_are_those_of_peft(method: str, told: bool) -> None:
    ours, theirs = adapted(True), adapted(method)
    options = {} if told else {"example": torch.from_numpy(X)}
    initlab.initialize(ours, f"{method}(scale={8 / 3!r})" if told else method, seed=2, **options)
    found = {name: value.double().numpy() for name, value in ours.state_dict().items()}
    wanted = {name: value.double().numpy() for name, value in theirs.state_dict().items()}
    for layer in ("q", "o"):
        names = [f"base_model.model.{layer}.lora_{part}.default.weight" for part in "AB"]
        mine, other = (signed(*(held.pop(name) for name in names)) for held in (found, wanted))
        assert all(np.abs(one - two).max() <= 1e-5 for one, two in zip(mine, other, strict=True))
    assert all(np.abs(found[name] - wanted[name]).max() <= 1e-5 for name in wanted)


@pytest.mark.parametrize("shape", [(12, 9), (9, 12)])
def test_in_float64_the_factors_are_those_of_pefts_lines(shape: tuple[int, int]) -> None:
    """peft refuses float64; its lines, in torch, do not."""
    weight = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    rank, scale = 4, 1.75
    v, s, uh = torch.linalg.svd(weight, full_matrices=False)
    root = torch.diag(torch.sqrt(s[:rank] / scale))
    q, r = torch.linalg.qr(weight)
    wanted = {"pissa": signed((root @ uh[:rank]).numpy(), (v[:, :rank] @ root).numpy()),
              "olora": (r[:rank].numpy(), q[:, :rank].numpy())}  # fmt: skip
    for method, pair in wanted.items():
        found = factors(weight.numpy(), rank, scale, method)  # type: ignore[arg-type]
        assert all(np.abs(one - two).max() <= 1e-6 for one, two in zip(found, pair, strict=True))


def keras_net() -> Any:
    first, second = keras.layers.Dense(12, "relu"), keras.layers.Dense(7)
    net = keras.Sequential([keras.Input((10,)), first, second])
    first.bias.assign(np.full(12, 0.5))
    first.enable_lora(3, lora_alpha=8)
    second.enable_lora(2, lora_alpha=1)
    return net


class FlaxNet(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(3)
        self.q = nnx.LoRALinear(10, 12, lora_rank=3, rngs=rngs)
        self.o = nnx.LoRA(12, 2, 7, base_module=nnx.Linear(12, 7, rngs=rngs), rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.o(nnx.relu(self.q(x)))


def build(framework: str) -> tuple[Any, Any]:
    """A model and a batch for it."""
    if framework == "torch":
        return adapted(True).double(), torch.from_numpy(X).double()
    return (keras_net() if framework == "keras" else FlaxNet()), X


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("framework", ["torch", "keras", "flax"])
def test_the_model_computes_what_it_did_and_the_factors_are_of_its_weights(framework: str, method: str) -> None:
    model, batch = build(framework)
    adapter = adapter_for(model)
    rows = {p.native: p for p in adapter.describe(model).params}
    weights = {name: np.asarray(adapter.read(model, p), np.float64) for name, p in rows.items()}
    before = np.asarray(model(batch).detach() if framework == "torch" else model(batch))
    plan = initlab.plan(model, method, example=batch)
    plan.apply(seed=7)
    after = np.asarray(model(batch).detach() if framework == "torch" else model(batch))
    assert np.abs(after - before).max() <= (1e-12 if framework == "torch" else 1e-5)
    changed = [e for e in plan if e.law is not None and "so that the model computes what it did" in e.why]
    assert len(changed) == 2
    scales = {"torch": (8 / 3, 8 / 3), "keras": (8 / 3, 0.5), "flax": (1.0, 1.0)}[framework]
    for entry, scale in zip(sorted(changed, key=lambda e: -e.param.shape[0]), scales, strict=True):
        assert ("frozen" in entry.why) == entry.param.frozen
        parts = {
            e.law.part: adapter.read(model, e.param) for e in plan if getattr(e.law, "of", "") == entry.param.native
        }
        weight = weights[entry.param.native]
        a, b = factors(weight, len(parts["A"]), scale, method)  # type: ignore[arg-type]
        assert np.abs(parts["A"] - a).max() <= 1e-5
        assert np.abs(parts["B"] - b).max() <= 1e-5
        assert np.abs(parts["rest"] - (weight - scale * b @ a)).max() <= 1e-5
    kept = [name for name in rows if name not in {e.param.native for e in plan if e.law is not None}]
    assert kept
    assert all(np.array_equal(adapter.read(model, rows[name]), weights[name].astype(before.dtype)) for name in kept)


def test_what_cannot_be_split_is_refused_and_nothing_is_written() -> None:
    net = adapted(True)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "no batch for it"),
        ({"example": torch.from_numpy(X), "exclude": "*o.base_layer.weight"}, "rest would be kept"),
    ]
    for options, said in cases:
        with pytest.raises(OptionError, match=said):
            initlab.initialize(net, "pissa", seed=1, **options)
    with pytest.raises(OptionError, match="finds no low-rank update"):
        initlab.initialize(Base(), "pissa(scale=2.0)", seed=1)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with pytest.raises(InitlabError, match="of rank 8"):
        initlab.plan(initlab_spec_of_a_wide_update(), "olora(scale=1.0)").check()


def initlab_spec_of_a_wide_update() -> Any:
    from initlab.core.facts.spec import ModelSpec, ParamSpec

    shapes = {"w.weight": (4, 6), "w.lora_a": (8, 6), "w.lora_b": (4, 8)}
    return ModelSpec(tuple(ParamSpec(path=name, native=name, shape=shape) for name, shape in shapes.items()))
