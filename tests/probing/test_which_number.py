"""Options beside the defaults, shapes that are not square: which argument, axis or side a number comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import initlab
from initlab.auditing.evidence import Level, misses
from initlab.auditing.grids import grid_of
from initlab.core.facts.spec import Axes
from initlab.core.laws import Arranged, Orthogonal
from initlab.core.laws.draw import draw
from initlab.probing.measure.metrics import loss_of, signal_at

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402  (after the skip)
from torch.nn import functional  # noqa: E402

WIDTH = 48


class Lambda(nn.Module):
    """A function between two layers, the parameters that it uses beside it."""

    def __init__(self, function: Callable[..., Any], *, given: int = WIDTH, **parameters: Any) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(20, given), nn.Linear(WIDTH, 3)
        self.function = function
        for name, value in parameters.items():
            setattr(self, name, nn.Parameter(value))
        self.names = list(parameters)

    def forward(self, x: Any) -> Any:
        return self.last(self.function(self.first(x), *(getattr(self, name) for name in self.names)))


# The eps of a norm

EPS = 1.5
NORMS: dict[str, Callable[..., Any]] = {
    "layer norm": lambda h: functional.layer_norm(h, (WIDTH,), None, None, EPS),
    "layer norm by name": lambda h: functional.layer_norm(h, (WIDTH,), eps=EPS),
    "batch norm": lambda h: functional.batch_norm(h, None, None, None, None, True, 0.1, EPS),
    "group norm": lambda h: functional.group_norm(h, 4, None, None, EPS),
    "rms norm": lambda h: functional.rms_norm(h, (WIDTH,), None, EPS),
    # torch.nn.functional hands its arguments on by name, the functions of torch themselves by place.
    "layer norm by place": lambda h: torch.layer_norm(h, (WIDTH,), None, None, EPS),
    "batch norm by place": lambda h: torch.batch_norm(h, None, None, None, None, True, 0.1, EPS, False),
    "group norm by place": lambda h: torch.group_norm(h, 4, None, None, EPS),
    "rms norm by place": lambda h: torch.rms_norm(h, (WIDTH,), None, EPS),
    "a layer of layer norm": nn.LayerNorm(WIDTH, eps=EPS),
    "a layer of batch norm": nn.BatchNorm1d(WIDTH, eps=EPS),
    "a layer of group norm": nn.GroupNorm(4, WIDTH, eps=EPS),
    "a layer of rms norm": nn.RMSNorm(WIDTH, eps=EPS),
}


def norm_signal(net: Any, x: Any) -> Any:
    evidence = initlab.probe(net, x).evidence
    at = next(i for i, place in enumerate(evidence.reading.places) if place.kind == "norm")
    return signal_at(evidence, at)


@pytest.mark.parametrize("name", NORMS)
def test_the_eps_of_a_norm_counts_where_it_is_not_small(name: str) -> None:
    torch.manual_seed(3)
    net = Lambda(NORMS[name])
    nn.init.normal_(net.first.weight, std=20**-0.5)
    nn.init.zeros_(net.first.bias)
    found = norm_signal(net, torch.randn(512, 20))
    # v / (v + eps) of v = 1: without eps it is 1, and an eps of 0.1 in its place gives 0.91.
    assert found.predicted == pytest.approx(1.0 / (1.0 + EPS), rel=0.15)
    assert found.measured == pytest.approx(found.predicted, rel=0.15)  # v of a small group strays


# Which side of a product is the weight

SIDES: dict[str, tuple[Callable[..., Any], tuple[int, int], int]] = {
    "x @ w": (lambda h, w: h @ w, (30, WIDTH), 30),
    "x @ w.T": (lambda h, w: h @ w.T, (WIDTH, 30), 30),
    "w @ x.T": (lambda h, w: (w @ h.T).T, (WIDTH, 30), 30),
    "w.T @ x.T": (lambda h, w: (w.T @ h.T).T, (30, WIDTH), 30),
    "linear": (functional.linear, (WIDTH, 30), 30),
    "einsum": (lambda h, w: torch.einsum("ni,io->no", h, w), (30, WIDTH), 30),
    "einsum, weight first": (lambda h, w: torch.einsum("oi,ni->no", w, h), (WIDTH, 30), 30),
    "mm": (torch.mm, (30, WIDTH), 30),
}


@pytest.mark.parametrize("name", SIDES)
def test_the_fan_in_is_what_the_sum_runs_over_on_either_side_of_a_product(name: str) -> None:
    function, shape, fan_in = SIDES[name]
    net = Lambda(function, given=30, weight=torch.rand(shape))
    plan = initlab.plan(net, "lecun_normal", example=torch.zeros(5, 20))
    assert plan["weight"].law.std(plan["weight"].param.shape) == pytest.approx(fan_in**-0.5)


@pytest.mark.parametrize("name", SIDES)
def test_a_product_has_the_predicted_signal_on_either_side(name: str) -> None:
    function, shape, _ = SIDES[name]
    torch.manual_seed(4)
    net = Lambda(function, given=30, weight=torch.randn(shape))
    evidence = initlab.probe(net, torch.randn(256, 20)).evidence
    at = [i for i, place in enumerate(evidence.reading.places) if place.kind == "weighted"][1]
    found = signal_at(evidence, at)
    assert found.predicted is not None
    assert found.measured == pytest.approx(found.predicted, rel=0.35)  # 30 or 48 in place of the other is off by 1.6


# Targets that the loss leaves out


def test_ignored_tokens_count_in_no_number_of_the_loss() -> None:
    torch.manual_seed(5)
    net, x = nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 7)), torch.randn(400, 12)
    targets = torch.randint(0, 7, (400,))
    targets[100:] = -100
    whole, kept = initlab.probe(net, x, targets), initlab.probe(net, x[:100], targets[:100])
    found, alone = loss_of(whole.evidence), loss_of(kept.evidence)
    each = functional.cross_entropy(net(x[:100]), targets[:100], reduction="none")
    assert found.measured == pytest.approx(each.mean().item(), rel=1e-5)
    assert found.stderr == pytest.approx(alone.stderr, rel=0.01)
    assert found.stderr == pytest.approx(each.std().item() / 10.0, rel=0.02)
    assert any("300 of 400 targets are -100" in note for note in whole.evidence.notes)
    assert not any("-100" in note for note in kept.evidence.notes)


# The order of a weight's axes


ORDERS = (Axes((2,), (0,), (1,)), Axes((0, 2), (1,)), Axes((1, 2), (0,)), Axes((0,), (1,), (2,)))


@pytest.mark.parametrize("axes", ORDERS)
def test_an_audit_lays_out_a_weight_of_many_axes_as_its_law_does(axes: Axes) -> None:
    law = Arranged(Orthogonal(1.7), axes)
    values = draw(law, (6, 5, 9), seed=8)
    assert misses(values, law, grid=grid_of(values), level=Level()) == []
    for other in ORDERS:
        found = misses(values, Arranged(Orthogonal(1.7), other), grid=grid_of(values), level=Level())
        assert bool(found) == (other != axes)


def test_entries_of_equal_size_in_another_order_of_axes_are_not_orthogonal() -> None:
    values = np.asarray(draw(Arranged(Orthogonal(1.0), Axes((2,), (1,), (0,))), (4, 7, 7), seed=9))
    turned = values.transpose(1, 0, 2).reshape(4, 7, 7)
    law = Arranged(Orthogonal(1.0), Axes((2,), (1,), (0,)))
    assert misses(values, law, grid=grid_of(values), level=Level()) == []
    assert misses(turned, law, grid=grid_of(turned), level=Level()) != []


def test_tokens_that_are_ignored_leave_their_sample_a_smaller_part_of_the_losss_error() -> None:
    torch.manual_seed(6)
    net, x = nn.Linear(12, 7), 3.0 * torch.randn(300, 4, 12)
    targets = torch.randint(0, 7, (300, 4))
    targets[:200, 1:] = -100
    found = loss_of(initlab.probe(net, x, targets).evidence)
    each = functional.cross_entropy(net(x).flatten(0, 1), targets.flatten(), reduction="none").reshape(300, 4)
    known = (targets != -100).sum(1)
    mean = each.sum() / known.sum()
    # Of a ratio of sums: the std of what is left of a sample's sum, over the mean number of its targets.
    error = ((each.sum(1) - known * mean).std() / known.float().mean() / 300**0.5).item()
    assert (found.measured, found.stderr) == (pytest.approx(mean.item()), pytest.approx(error, rel=1e-4))
