"""Writing keeps the parameter: its memory, type, order of memory, sharing and optimiser."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from tests.frameworks.torch.models import applied, specs
from torch import nn

import initlab
from initlab.core.adapter import WeightSource
from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Normal
from initlab.frameworks.torch.adapter import ADAPTER
from initlab.frameworks.torch.reading.marks import marked
from initlab.frameworks.torch.writing import memory


def test_the_parameter_stays_the_same_object_on_the_same_memory() -> None:
    net = nn.Linear(4, 5)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    before = [(p, p.data_ptr(), p.stride()) for p in net.parameters()]
    applied(net, "he_normal")
    assert all(
        p is q and p.data_ptr() == at and p.stride() == s
        for p, (q, at, s) in zip(net.parameters(), before, strict=True)
    )
    assert optimiser.param_groups[0]["params"][0] is net.weight


def test_channels_last_weights_stay_channels_last_and_equal_others() -> None:
    plain = applied(nn.Conv2d(4, 6, 3), "he_normal")
    last = applied(nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last), "he_normal")
    assert last.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last.weight, plain.weight)


def test_a_view_of_a_larger_tensor_is_written_and_its_neighbours_are_not() -> None:
    storage = torch.zeros(10, 10)
    net = nn.Linear(3, 4, bias=False)
    net.weight = nn.Parameter(storage[2:10:2, 1:4])
    applied(net, "he_normal")
    assert bool(storage[2:10:2, 1:4].all())
    assert int(storage.count_nonzero()) == 12


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_narrow_weight_is_the_float32_weight_cast(dtype: torch.dtype) -> None:
    narrow, wide = applied(nn.Linear(64, 64).to(dtype), "he_normal"), applied(nn.Linear(64, 64), "he_normal")
    assert torch.equal(narrow.weight, wide.weight.to(dtype))


def test_a_float64_weight_is_drawn_in_float64() -> None:
    net = applied(nn.Linear(64, 64).double(), "he_normal")
    assert not torch.equal(net.weight, net.weight.float().double())


def test_a_weight_drawn_in_chunks_equals_the_weight_drawn_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = nn.Linear(37, 29), nn.ConvTranspose2d(6, 8, 3, groups=2), nn.Conv3d(1, 1, 9)
    whole = [applied(net, "he_normal").weight.detach().clone() for net in nets]
    chunks = memory.chunks
    monkeypatch.setattr(memory, "chunks", lambda shape: chunks(shape, limit=50))
    for net, want in zip(nets, whole, strict=True):
        assert torch.equal(applied(net, "he_normal").weight, want)


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (7, 3), (1, 1000), (3, 40, 2), (2, 1, 9, 9)])
def test_chunks_cover_a_tensor_once_and_stay_small(shape: tuple[int, ...]) -> None:
    seen = np.zeros(shape, int)
    for index in memory.chunks(shape, limit=16):
        assert seen[index].size < 32
        seen[index] += 1
    assert (seen == 1).all()


def test_a_write_takes_no_more_memory_than_a_chunk() -> None:
    net = nn.Linear(4096, 4096, bias=False)  # 64 MB, four chunks
    (p,) = ADAPTER.describe(net).params
    ADAPTER.write(net, p, WeightSource(Normal(1.0), p, seed=0))  # the first long draw loads numba
    tracemalloc.start()
    try:
        ADAPTER.write(net, p, WeightSource(Normal(1.0), p, seed=0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * 4 * memory.CHUNK


def test_gradients_flow_after_a_write() -> None:
    net = applied(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)), "he_normal")
    net(torch.randn(4, 3)).sum().backward()
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


def test_a_tied_weight_stays_tied() -> None:
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    net[1].weight = net[0].weight
    applied(net, "he_normal")
    assert net[0].weight is net[1].weight


def test_a_plan_for_another_shape_is_refused() -> None:
    p = ParamSpec(path="weight", shape=(5, 3), native="weight")
    net = nn.Linear(4, 5)
    with pytest.raises(ShapeError, match=r"\(5, 3\).*\(5, 4\)"):
        ADAPTER.write(net, p, WeightSource(Normal(1.0), p, seed=0))


def test_a_plan_for_another_model_is_refused() -> None:
    p = ParamSpec(path="0/weight", shape=(5, 4), native="0.weight")
    with pytest.raises(OptionError, match=r"no parameter '0\.weight'"):
        ADAPTER.read(nn.Linear(4, 5), p)


def test_marks_tell_what_was_written_until_it_is_changed() -> None:
    net = applied(nn.Linear(4, 5), "he_normal", seed=7)
    assert marked(net) == {"weight": 7, "bias": 7}
    with torch.no_grad():
        net.bias.add_(1.0)
    assert marked(net) == {"weight": 7}


def test_marks_leave_no_trace_in_the_model() -> None:
    net = nn.Linear(4, 5)
    names = set(vars(net)), set(net.state_dict())
    applied(net, "he_normal")
    assert (set(vars(net)), set(net.state_dict())) == names


def test_a_norm_put_before_a_linear_changes_no_bit_of_it() -> None:
    plain = applied(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2)), "he_normal")
    normed = applied(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 2)), "he_normal")
    assert torch.equal(plain[1].weight, normed[2].weight)


def test_the_same_model_from_the_same_seed_has_the_same_bits_with_and_without_an_example() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    first = applied(net, "he_normal")[2].weight.detach().clone()
    assert torch.equal(first, applied(net, "he_normal", example=torch.randn(2, 8))[2].weight)


def test_every_native_name_is_listed_once() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2))
    assert list(specs(net)) == [name for name, _ in net.named_parameters()]


def test_the_generators_state_moves_with_the_seed_alone() -> None:
    net = nn.Linear(2, 2)
    torch.manual_seed(1)
    first = ADAPTER.generator_state(net)
    assert ADAPTER.generator_state(net) == first
    torch.manual_seed(2)
    assert ADAPTER.generator_state(net) != first


def test_the_state_holds_parameters_and_buffers_as_torch_stores_them() -> None:
    net = nn.Sequential(nn.ConvTranspose1d(2, 3, 4).bfloat16(), nn.BatchNorm1d(3))
    state = ADAPTER.state(net)
    assert list(state) == list(net.state_dict())
    assert state["0.weight"].shape == (2, 3, 4)
    np.testing.assert_array_equal(state["0.weight"].astype("f4"), net[0].weight.detach().float().numpy())
    assert state["1.num_batches_tracked"] == 0


class Where(nn.Module):
    """Rows or entries picked by a mask: ``torch.where`` of one argument gives numbers of places."""

    def __init__(self, pick: str) -> None:
        super().__init__()
        self.pick = pick
        self.a, self.b, self.router = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        chance = self.router(h).softmax(-1)
        if self.pick == "rows":
            (rows,) = torch.where(h[:, 0] > -9.0)
            return self.b(h[rows])
        if self.pick == "experts":
            rows, expert = torch.where(chance > 0.0)
            return torch.zeros_like(h).index_add(0, rows, self.b(h[rows]) * chance[rows, expert, None])
        return self.b(torch.where(h > -9.0)[0][:4].float()) * torch.where(h.relu())[0].sum()


@pytest.mark.parametrize("pick", ["rows", "experts", "numbers"])
@pytest.mark.parametrize("scheme", ["auto", "he_normal"])
def test_places_that_a_mask_picks_hinder_no_plan(pick: str, scheme: str) -> None:
    for example in (torch.ones(8, 4), None):
        made = initlab.plan(Where(pick), scheme, example=example)
        assert [row.action for row in made if row.param.is_weight][:1] == ["initialise"]
