"""Models built without memory: planned as others, given the same bits; what nothing says is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.core.errors import InitlabError, OptionError
from initlab.frameworks.torch.reading.held import without_memory
from initlab.frameworks.torch.reading.replay import CHANCE, FOREIGN, SURE, rebuilt
from initlab.frameworks.torch.writing import memory


class Block(nn.Module):
    """A closed branch, a scale of its own, decays of a recurrence, and buffers of three kinds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, momentum=0.3)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.lam = nn.Parameter(1e-5 * torch.ones(width))
        self.A_log = nn.Parameter(torch.log(torch.arange(1, 5).float().repeat(width, 1)))
        self.register_buffer("inv_freq", 1.0 / 10000 ** (torch.arange(0, width, 2).float() / width), persistent=False)
        self.register_buffer("mask", torch.tril(torch.ones(3, 3, dtype=torch.bool))[None], persistent=False)
        self.table = torch.linspace(0.0, 1.0, width)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        decay = torch.exp(-self.A_log.exp()).sum(-1) + self.inv_freq.sum() + self.mask.float().sum()
        return x + self.lam * self.down(torch.relu(self.up(self.norm(x)))) * decay + self.table


class Net(nn.Module):
    """Ties, a padding row, a frozen weight that is designed, a recurrence and bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 6, padding_idx=2)
        self.blocks = nn.ModuleList([Block(6), Block(6)])
        self.state = nn.LSTM(6, 6, batch_first=True)
        self.turn = nn.Linear(6, 6, bias=False).requires_grad_(False)
        nn.init.eye_(self.turn.weight)
        self.temperature = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]))
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.tokens.weight
        self.narrow = nn.Linear(6, 5).to(torch.bfloat16)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids).mean(1)
        for block in self.blocks:
            x = block(x)
        x = self.turn(self.state(x[:, None])[0][:, 0]) + self.narrow(x.bfloat16()).float().sum() * self.mean.sum()
        return self.head(x) * self.temperature.exp()


def on_meta(build: Any, *, recorded: bool = True) -> Any:
    with torch.device("meta"):
        if not recorded:
            return build()
        with initlab.record_construction():
            return build()


def tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    held = {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers())}
    attributes = {f"{n}.{k}": v for n, m in model.named_modules() for k, v in vars(m).items() if torch.is_tensor(v)}
    return {**held, **attributes}


def check_same(made: nn.Module, twin: nn.Module) -> None:
    ours, theirs = tensors(made), tensors(twin)
    assert ours.keys() == theirs.keys()
    assert [n for n in ours if ours[n].dtype != theirs[n].dtype or not torch.equal(ours[n], theirs[n])] == []
    assert {n: t.requires_grad for n, t in ours.items()} == {n: t.requires_grad for n, t in theirs.items()}


def test_a_model_without_memory_gets_the_bits_of_the_one_with_memory() -> None:
    twin = initlab.plan(build=Net).apply(7)
    model = on_meta(Net)
    assert initlab.materialize(model, seed=7) is model
    check_same(model, twin)
    assert model.head.weight is model.tokens.weight
    assert model.state._flat_weights[0] is model.state.weight_ih_l0
    ids = torch.randint(0, 11, (5, 3), generator=torch.Generator().manual_seed(3))
    out = model.train()(ids)
    assert torch.equal(out, twin.train()(ids))
    out.sum().backward()
    assert torch.equal(model.blocks[1].norm.running_mean, twin.blocks[1].norm.running_mean)
    reset = {n: p.detach().clone() for n, p in model.named_parameters()}
    initlab.reset(initlab.reset(model, seed=1), seed=7)
    assert all(torch.equal(p, reset[n]) for n, p in model.named_parameters())
    assert initlab.audit(initlab.materialize(on_meta(Net), seed=7), "auto", seed=7).ok


def test_a_plan_of_a_model_without_memory_is_that_of_one_with_memory_with_and_without_an_example() -> None:
    example = torch.ones(5, 3, dtype=torch.long)
    twin, model = initlab.plan(build=Net).model, on_meta(Net)
    for given in (None, example):
        there, here = initlab.plan(twin, example=given), initlab.plan(model, example=given)
        assert [row.why for row in here] == [row.why for row in there]
        assert there.diff(here) == []
        assert here.notes == there.notes
    assert all(p.is_meta for p in model.parameters())
    with pytest.raises(InitlabError, match=r"no memory.*materialize"):
        initlab.initialize(model, seed=1)


class Routed(nn.Module):
    """Which expert is asked hangs on numbers, which a pass without memory has not."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 3, bias=False)
        self.experts = nn.ModuleList([nn.Linear(6, 4) for _ in range(3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chosen = self.gate(x).argmax(-1)
        out = x.new_zeros(len(x), 4)
        for n in chosen.unique().tolist():
            out[chosen == n] += self.experts[n](x[chosen == n])
        return torch.relu(out)


def test_a_pass_that_asks_for_numbers_is_made_with_stand_ins() -> None:
    found = initlab.plan(on_meta(Routed), "he_normal", example=torch.ones(5, 6))
    assert found["experts.0.weight"].param.f_out == "relu"
    assert not any("cannot be followed" in note for note in found.notes)


def gates() -> nn.Module:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.odd = nn.Linear(4, 3), nn.Parameter(torch.full((3, 2), 0.3))
            self.lam = nn.Parameter(1e-5 * torch.ones(3))
            self.register_buffer("grid", torch.arange(3.0), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lam * self.fc(x) + self.odd.sin().sum() + self.grid

    return Gated()


def test_what_nothing_says_is_refused_by_name_in_one_line_and_the_model_stays_without_memory() -> None:
    model = on_meta(gates, recorded=False)
    before = {n: id(t) for n, t in tensors(model).items()}
    with pytest.raises(InitlabError, match=r"hold: odd, lam, grid \(a buffer\): .*record_construction") as refused:
        initlab.materialize(model, "he_normal", seed=3)
    assert "\n" not in str(refused.value)
    assert "fc" not in str(refused.value)
    assert {n: id(t) for n, t in tensors(model).items()} == before
    assert any("not recorded" in note and "odd" in note for note in initlab.plan(model).notes)
    healthy = initlab.materialize(on_meta(gates), "he_normal", seed=3)
    check_same(healthy, initlab.plan(build=gates, schemes="he_normal").apply(3))


def test_numbers_that_chance_made_are_refused_though_the_construction_was_recorded() -> None:
    def build() -> nn.Module:
        net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        net[0].weight.requires_grad_(False)
        net.register_buffer("signs", torch.where(torch.randn(4) > 0, 1.0, -1.0))
        net.register_buffer("order", torch.arange(4)[torch.randperm(4)])
        return net

    with pytest.raises(InitlabError, match=r"hold: 0\.weight, signs \(a buffer\), order \(a buffer\): "):
        initlab.materialize(on_meta(build), "he_normal", seed=3)
    with pytest.raises(InitlabError, match=r"hold: signs \(a buffer\), order \(a buffer\): "):
        initlab.materialize(on_meta(build), "he_normal", seed=3, include="0.weight")


def test_a_write_that_nobody_saw_makes_a_recorded_value_void() -> None:
    model = on_meta(gates)
    nn.init.constant_(model.odd, 0.4)
    with pytest.raises(InitlabError, match="hold: odd: "):
        initlab.materialize(model, "he_normal", seed=3)


def test_modules_start_their_own_buffers_anew_where_nothing_was_recorded() -> None:
    net = on_meta(lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False)), recorded=False)
    state = torch.get_rng_state()
    initlab.materialize(net, "he_normal", seed=3)
    assert (net[1].running_mean.tolist(), net[1].running_var.tolist()) == ([0.0] * 3, [1.0] * 3)
    assert int(net[1].num_batches_tracked) == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_a_write_that_fails_on_the_way_leaves_the_model_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    write, done = memory.write, []

    def failing(tensor: torch.Tensor, *args: Any) -> None:
        done.append(tensor)
        if len(done) == 3:
            raise RuntimeError("the device is full")
        write(tensor, *args)

    model = on_meta(Net)
    monkeypatch.setattr(memory, "write", failing)
    with pytest.raises(InitlabError, match="device is full"):
        initlab.materialize(model, seed=7)
    assert len(without_memory(model)) == len(without_memory(on_meta(Net)))
    assert model.head.weight is model.tokens.weight
    assert initlab.plan(model).seed is None
    monkeypatch.undo()
    check_same(initlab.materialize(model, seed=7), initlab.plan(build=Net).apply(7))


@pytest.mark.parametrize("device", ["meta", "cpux", 3.5])
def test_a_device_without_memory_is_refused(device: object) -> None:
    model = on_meta(gates)
    with pytest.raises(OptionError, match="device"):
        initlab.materialize(model, "he_normal", seed=3, device=device)
    assert model.fc.weight.is_meta


def test_a_model_that_has_memory_is_initialised_as_ever() -> None:
    net, twin = nn.Linear(4, 3), nn.Linear(4, 3)
    assert torch.equal(
        initlab.materialize(net, "he_normal", seed=3).weight, initlab.initialize(twin, "he_normal", seed=3).weight
    )


def laws() -> dict[str, torch.Tensor]:
    """What constructions write, by the most that is to be in doubt of it."""
    rows, filled, part = torch.empty(4, 2), torch.zeros(6, 4), torch.randn(4)
    for n in range(4):
        rows[n].fill_(n)
    at = torch.arange(6)[:, None] * torch.exp(torch.arange(0, 4, 2) * -(math.log(1e4) / 4))
    filled[:, 0::2], filled[:, 1::2] = torch.sin(at), torch.cos(at)
    part[0] = 0.0
    return {
        "sure rows": rows,
        "sure positions": filled,
        "sure eye": nn.init.eye_(torch.empty(3, 4)),
        "sure narrow": torch.linspace(0, 1, 5).bfloat16(),
        "sure sorted": torch.sort(torch.arange(4.0), descending=True)[0],
        "sure grid": torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")[1].flatten(),
        "sure complex": torch.polar(torch.ones(3), torch.arange(3.0)),
        "sure number": torch.tensor(2.5) * torch.ones(2, 3),
        "foreign list": torch.tensor([1.0, 2.0]),
        "foreign rows": torch.arange(9.0).reshape(3, 3)[torch.tensor([2, 0])],
        "chance": torch.randn(3),
        "chance signs": torch.where(torch.randn(3) > 0, 1.0, -1.0),
        "chance part": part,
        "chance order": torch.arange(3.0)[torch.randperm(3)],
        "chance nothing": torch.empty(3),
    }


def test_calls_made_again_give_the_numbers_bit_for_bit_and_follow_chance() -> None:
    seen, there = on_meta(laws), laws()
    for name, tensor in seen.items():
        found, most = rebuilt(tensor), {"sure": SURE, "foreign": FOREIGN}.get(name.split()[0], CHANCE)
        assert (CHANCE if found is None else found.doubt(tensor)) == most, name
        if most < CHANCE:
            assert found is not None
            assert torch.equal(found.numbers(tensor), there[name]), name
            assert found.numbers(tensor).dtype == there[name].dtype


def configured(name: str) -> Any:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    words = {"vocab_size": 50, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}
    gpt2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 16, "bos_token_id": 1, "eos_token_id": 2}
    return {
        "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=50, **gpt2)),
        "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **words)),
        "mixtral": lambda: transformers.MixtralForCausalLM(
            transformers.MixtralConfig(**sizes, **words, num_local_experts=4)
        ),
        "vit": lambda: transformers.ViTForImageClassification(
            transformers.ViTConfig(**sizes, image_size=16, patch_size=8)
        ),
    }[name]


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("name", ["gpt2", "llama", "mixtral", "vit"])
def test_a_published_model_without_memory_gets_the_bits_of_its_twin(name: str, recorded: bool) -> None:
    build = configured(name)
    model, twin = on_meta(build, recorded=recorded), build()
    assert initlab.plan(twin).diff(initlab.plan(model)) == []
    check_same(initlab.materialize(model, seed=5), initlab.initialize(twin, seed=5))
    assert without_memory(model) == []
