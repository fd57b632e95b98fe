"""Taps see through what people wrap models in, and through what they train with."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from tests.frameworks.torch.models import Deep, Transformer
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from initlab.core.signals.readings import Reading
from initlab.frameworks.torch.adapter import TorchAdapter

watch = TorchAdapter().watch
X = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (16,), generator=torch.Generator().manual_seed(1))


def reading_of(*args: Any, **options: Any) -> Reading:
    return TorchAdapter().capture(*args, **options).reading


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


class Checkpointed(nn.Module):
    def __init__(self, use_reentrant: bool | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.block = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Linear(8, 8))
        self.use_reentrant = use_reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        if self.use_reentrant is None:
            return self.head(self.block(x))
        return self.head(checkpoint(self.block, x, use_reentrant=self.use_reentrant))


def same(found: Reading, wanted: Reading) -> None:
    assert [p.path for p in found.places] == [p.path for p in wanted.places]
    assert {at: one.square for at, one in found.forward.items()} == {at: s.square for at, s in wanted.forward.items()}
    assert {at: one.square for at, one in found.backward.items()} == {at: s.square for at, s in wanted.backward.items()}


def test_checkpoints_without_reentry_give_the_same_numbers() -> None:
    readings = []
    for use_reentrant in (None, False):
        model = Checkpointed(use_reentrant)
        torch.manual_seed(1)
        readings.append(reading_of(model, X, targets=Y))
    same(*readings)
    assert readings[0].gradients == readings[1].gradients


def test_checkpoints_with_reentry_give_the_gradients_by_parameters_and_say_what_was_hidden() -> None:
    plain, hidden = Checkpointed(None), Checkpointed(True)
    hidden(X).sum().backward()
    grads = [(p.grad, p.grad.clone()) for p in hidden.parameters()]
    torch.manual_seed(1)
    wanted = reading_of(plain, X, targets=Y)
    torch.manual_seed(1)
    found = reading_of(hidden, X, targets=Y)
    assert all(p.grad is kept and torch.equal(kept, copy) for p, (kept, copy) in zip(
        hidden.parameters(), grads, strict=True))  # fmt: skip
    assert found.gradients == wanted.gradients
    assert "block.0, block.3" in found.notes[0]
    assert [place.path for place in found.places] == [place.path for place in wanted.places]


def test_a_compiled_model_shows_what_the_plain_one_shows() -> None:
    same(reading_of(torch.compile(net(), backend="eager"), X, targets=Y), reading_of(net(), X, targets=Y))


def test_a_compiled_model_is_watched() -> None:
    model, found = torch.compile(net(), backend="eager"), {}
    with watch(model, every=2, on_reading=found.__setitem__):
        for _ in range(3):
            functional.cross_entropy(model(X), Y).backward()
    assert list(found) == [0, 2]
    same(found[2], reading_of(net(), X, targets=Y))


@pytest.fixture
def group() -> object:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=store)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_a_distributed_model_shows_what_the_plain_one_shows() -> None:
    model, found = nn.parallel.DistributedDataParallel(net()), {}
    same(reading_of(model, X, targets=Y), reading_of(net(), X, targets=Y))
    with watch(model, every=1, on_reading=found.__setitem__):
        functional.cross_entropy(model(X), Y).backward()
    same(found[0], reading_of(net(), X, targets=Y))
    assert list(found[0].gradients) == [f"module.{i}.{leaf}" for i in (0, 2) for leaf in ("weight", "bias")]


def test_a_data_parallel_model_shows_what_the_plain_one_shows() -> None:
    same(reading_of(nn.DataParallel(net()), X, targets=Y), reading_of(net(), X, targets=Y))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_weights_are_summed_in_float32(dtype: torch.dtype) -> None:
    model = net().to(dtype)
    reading = reading_of(model, X.to(dtype), targets=Y)
    z = model[0](X.to(dtype)).detach().double()
    assert reading.forward[1].square == pytest.approx(float(z.square().mean()), rel=1e-5)
    assert reading.gradients["0.weight"].square > 0


def test_autocast_is_followed_and_leaves_no_cast_weights_behind() -> None:
    model = net()
    with torch.autocast("cpu", torch.bfloat16):
        reading = reading_of(model, X, targets=Y)
        z = model[0](X).detach()
        assert torch.is_autocast_cache_enabled()
    assert z.dtype == torch.bfloat16
    assert reading.forward[1].square == pytest.approx(float(z.double().square().mean()), rel=1e-5)
    rows = z.double()[:32]
    unit = rows / rows.norm(dim=1, keepdim=True)
    assert reading.forward[1].cosine == pytest.approx(float((unit @ unit.T).sum() - 16) / 240, abs=1e-6)


def test_tied_weights_have_one_gradient_under_their_first_name() -> None:
    reading = reading_of(Transformer(1), torch.randint(11, (3, 5)))
    assert "wte.weight" in reading.gradients
    assert "head.weight" not in reading.gradients
    assert [p.path for p in reading.places if "wte.weight" in p.params] == ["wte", "head"]


def test_control_flow_that_depends_on_the_data_is_followed() -> None:
    reading = reading_of(Deep(20), torch.randn(8, 16))
    assert [place.kind for place in reading.places].count("activation") == 20


def test_models_of_transformers_are_read_with_labels_and_without() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=2, n_embd=16, n_head=2, vocab_size=50, n_positions=16)
    model, tokens = transformers.GPT2LMHeadModel(config), torch.randint(50, (3, 8))
    plain = reading_of(model, {"input_ids": tokens})
    assert plain.loss_kind == "random"
    given = reading_of(model, {"input_ids": tokens, "labels": tokens})
    assert given.loss_kind == "given"
    assert given.loss == pytest.approx(3.9, abs=0.3)  # ln 50 = 3.91 at small logits
    assert [p.kind for p in plain.places].count("softmax") == 2
    assert [p.f for p in plain.places if p.kind == "activation"] == ["gelu_tanh", "gelu_tanh"]
    assert plain.places[plain.outputs[0]].shape == (3, 8, 50)


def test_a_sequence_model_that_returns_a_tuple_is_read() -> None:
    reading = reading_of(nn.LSTM(4, 8), torch.randn(6, 3, 4))
    assert reading.places[-1].kind == "unknown"
    assert reading.places[-1].facts["name"] == "lstm"
    assert reading.gradients["weight_hh_l0"].square > 0
