"""Of large values a part is looked at: it shows what the whole shows, and rare things are found anyway."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from initlab.core.signals.readings import Sums
from initlab.core.signals.sums import sums_of
from initlab.frameworks.reading.records import sums
from initlab.frameworks.torch.adapter import TorchAdapter
from initlab.frameworks.torch.probing.sums import fetched, measure, measure_outside, measure_weight

MAPS = (8, 64, 32, 32)
TOKENS = (6, 512, 128)
SEEN = 500  # entries of a large sample that enter its cosines, at least


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def summed(value: torch.Tensor, *, units: int) -> Sums:
    one = measure(value, units=units)
    return sums([one], fetched([one]))[0]


@pytest.mark.parametrize("wild", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [(0, 0, 0, 0), (7, 63, 31, 31), (3, 17, 5, 30)])
def test_one_number_that_is_not_finite_is_found_in_half_a_million(wild: float, at: tuple[int, ...]) -> None:
    x = torch.randn(MAPS)
    x[at] = wild
    found, wanted = summed(x, units=1), sums_of(x.numpy(), units=1)
    assert found.broken == 1
    assert found.square == pytest.approx(wanted.square, rel=2e-5)


def test_one_huge_number_shows_in_the_mean_square() -> None:
    x = torch.randn(MAPS)
    x[5, 60, 20, 1] = 1e30
    assert summed(x, units=1).square == pytest.approx(1e60 / x.numel(), rel=1e-5)


def test_one_number_that_is_not_finite_is_found_in_the_gradient_of_a_large_weight() -> None:
    gradient = torch.randn(512, 512, 3, 3)
    gradient[300, 7, 2, 1] = math.nan
    assert measure_weight(gradient).parts["broken"] == 1


def test_a_unit_that_wakes_up_in_the_last_sample_is_not_dead() -> None:
    x = torch.randn(MAPS)
    x[:, :3] = 0.0
    x[-1, 2, -1, -1] = 1.0
    assert summed(x, units=1).dead_units == 2


def test_units_that_differ_in_the_last_sample_alone_are_not_equal() -> None:
    x = torch.randn(TOKENS)
    x[..., 1:4] = x[..., :1]
    x[-1, -1, 3] += 1.0
    assert summed(x, units=2).equal_units == 2


def test_cosines_of_large_samples_are_those_of_all_entries() -> None:
    x = torch.randn(MAPS) + torch.randn(1, *MAPS[1:])
    found, wanted = summed(x, units=1), sums_of(x.numpy(), units=1)
    # A cosine of two samples, over n independent entries, has a standard error of (1 - c^2) / sqrt(n) at most.
    assert abs(found.cosine - wanted.cosine) < 5 * (1 - wanted.cosine**2) / math.sqrt(SEEN)
    assert found.rank == pytest.approx(wanted.rank, rel=0.1)


def test_every_feature_of_long_texts_enters_the_cosines() -> None:
    x = torch.randn(TOKENS)
    x[..., 96:] = 2.0
    found, wanted = summed(x, units=2), sums_of(x.numpy(), units=2)
    assert abs(found.cosine - wanted.cosine) < 5 / math.sqrt(SEEN)
    assert found.token_cosine == pytest.approx(wanted.token_cosine, abs=5 / math.sqrt(SEEN))


def test_entries_out_of_reach_are_counted_one_by_one() -> None:
    x = torch.randn(MAPS)
    assert measure_outside(x, -1.0, 2.0).parts["outside"] == int(((x < -1.0) | (x > 2.0)).sum())


def test_a_large_weight_that_is_used_twice_has_the_gradient_of_both_uses() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(300, 300)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(torch.tanh(self.layer(x)))

    model, x = Twice().train(), torch.randn(20, 300)
    found = TorchAdapter().capture(model, x, loss=lambda out: out.square().mean()).reading
    assert model.layer.weight.grad is None
    model(x).square().mean().backward()
    wanted = float(model.layer.weight.grad.double().square().mean())
    assert found.gradients["layer.weight"].square == pytest.approx(wanted, rel=1e-4)


def test_the_entropy_of_many_long_texts_is_that_of_some() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.scaled_dot_product_attention(x * self.scale, x, x)

    x = torch.randn(16, 4, 256, 32)
    reading = TorchAdapter().capture(Mixed(), x).reading
    at = [place.kind for place in reading.places].index("softmax")
    shares = (x @ x.mT / math.sqrt(32)).softmax(-1).double()
    each = -(shares * shares.log()).sum(-1) / math.log(256)
    # 2 samples x 4 heads x 32 queries at least.
    assert abs(reading.forward[at].entropy - float(each.mean())) < 5 * float(each.std()) / math.sqrt(256)
