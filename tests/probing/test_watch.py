"""Profiles of a training loop's own passes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from initlab.api.probing import watch
from initlab.core.errors import OptionError

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(32) % 3


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)
    )


def trained(model: nn.Module, *, steps: int = 5, scale: float = 1.0) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X), Y)
        (scale * loss).backward()
        for p in model.parameters():
            p.grad /= scale
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_every_third_pass_is_profiled_by_its_number() -> None:
    model = net()
    with watch(model, every=3) as profiles:
        trained(model, steps=7)
    assert list(profiles) == [0, 3, 6]
    assert [row.path for row in profiles[0].rows] == ["0", "3", "5"]


def test_a_watched_loop_trains_to_the_same_bits() -> None:
    plain, watched = net(), net()
    losses = trained(plain)
    with watch(watched, every=1):
        assert trained(watched) == losses
    assert all(
        torch.equal(a, b) for a, b in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True)
    )


def test_a_scaled_loss_has_the_gradients_of_the_loss_itself() -> None:
    model, other = net(), net()
    with watch(model, every=1) as profiles:
        trained(model, steps=1)
    with watch(other, every=1, scale=lambda: 1024.0) as scaled:
        trained(other, steps=1, scale=1024.0)
    found, wanted = scaled[0].rows[0].gradient.measured, profiles[0].rows[0].gradient.measured
    assert found == pytest.approx(wanted, rel=1e-6)


def test_no_pass_is_profiled_after_the_watch() -> None:
    model = net()
    with watch(model, every=1) as profiles:
        trained(model, steps=1)
    trained(model, steps=2)
    assert list(profiles) == [0]


def test_a_period_below_one_is_refused() -> None:
    with pytest.raises(OptionError, match="every must be 1 or more, got 0"), watch(net(), every=0):
        pass


def test_a_loop_that_diverges_is_told_as_such_and_one_that_starts_from_broken_weights_is_not() -> None:
    def kinds(model: nn.Module, rate: float) -> list[list[str]]:
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        with watch(model, every=1) as profiles:
            for _ in range(5):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(X), Y).backward()
                optimizer.step()
        return [[one.kind for one in profile.diagnose().findings] for profile in profiles.values()]

    def plain() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))

    found = kinds(plain(), 1e4)
    assert found[-1][0] == "diverged training"
    assert not any("uninitialised values" in one for one in found)
    assert not any("diverged training" in one for one in kinds(plain(), 0.1))
    broken = plain()
    with torch.no_grad():
        broken[2].weight[0, 0] = torch.nan
    assert kinds(broken, 0.1)[0][0] == "uninitialised values"
