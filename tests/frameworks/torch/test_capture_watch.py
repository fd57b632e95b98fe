"""A watch reads the passes of a training loop and leaves them as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.frameworks.torch.models import ResNet18
from tests.frameworks.torch.test_capture_state import snapshot
from torch import nn
from torch.nn import functional

from initlab.core.errors import OptionError
from initlab.core.signals.readings import Reading
from initlab.frameworks.torch.adapter import TorchAdapter

watch = TorchAdapter().watch
X = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (16,), generator=torch.Generator().manual_seed(1))


def reading_of(*args: Any, **options: Any) -> Reading:
    return TorchAdapter().capture(*args, **options).reading


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Linear(8, 3))


def train(model: nn.Module, steps: int) -> None:
    rule = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        rule.zero_grad()
        functional.cross_entropy(model(X), Y).backward()
        rule.step()


def watched(model: nn.Module, steps: int, every: int, **options: object) -> dict[int, Reading]:
    found: dict[int, Reading] = {}
    with watch(model, every=every, on_reading=found.__setitem__, **options):
        train(model, steps)
    return found


def test_every_nth_pass_is_read_from_the_first() -> None:
    assert list(watched(net(), 7, 3)) == [0, 3, 6]


def test_a_watched_pass_shows_what_a_capture_shows() -> None:
    wanted = reading_of(net(), X, targets=Y)
    found = watched(net(), 1, 1)[0]
    assert [p.path for p in found.places] == [p.path for p in wanted.places]
    assert found.gradients == wanted.gradients
    for at, one in wanted.backward.items():
        assert found.backward[at].square == pytest.approx(one.square, rel=1e-6)
    for at, one in wanted.forward.items():
        assert found.forward[at].square == one.square


def test_a_watched_run_has_the_bits_of_an_unwatched_one() -> None:
    plain, ours = net(), net()
    train(plain, 5)
    watched(ours, 5, 2)
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), ours.state_dict().values(), strict=True))


def test_nothing_is_left_of_a_watch() -> None:
    model = net()
    train(model, 1)
    before = snapshot(model)
    with watch(model, every=1, on_reading=lambda step, reading: None):
        pass
    assert snapshot(model) == before
    with pytest.raises(ZeroDivisionError), watch(model, every=1, on_reading=lambda step, reading: None):
        model(X).sum() / (1 // 0)
    after = snapshot(model)
    assert after[3:7] == before[3:7]
    assert after[-1] == []


def test_a_pass_that_fails_is_forgotten_and_the_next_is_read() -> None:
    model, found = net(), {}
    with watch(model, every=1, on_reading=found.__setitem__):
        with pytest.raises(RuntimeError):
            model(torch.zeros(2, 5))
        assert torch.overrides._get_current_function_mode_stack() == []
        train(model, 1)
    assert list(found) == [1]


def test_passes_in_evaluation_mode_or_without_gradients_do_not_count() -> None:
    model, found = net(), []
    with watch(model, every=2, on_reading=lambda step, reading: found.append(step)):
        for _ in range(3):
            model.train()(X).sum().backward()
            model.eval()(X)
            with torch.no_grad():
                model.train()(X)
    assert found == [0, 2]


def test_gradients_are_divided_by_the_scale() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    model, found = net(), {}
    rule = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, every=1, on_reading=found.__setitem__, scale=scaler.get_scale):
        scaler.scale(functional.cross_entropy(model(X), Y)).backward()
        scaler.step(rule)
        scaler.update()
    wanted = reading_of(net(), X, targets=Y)
    assert found[0].gradients["0.weight"].square == pytest.approx(wanted.gradients["0.weight"].square, rel=1e-5)
    assert found[0].backward[1].square == pytest.approx(wanted.backward[1].square, rel=1e-5)


def test_a_model_is_watched_once_at_a_time() -> None:
    model = net()
    first = watch(model, every=1, on_reading=print)
    with first, pytest.raises(OptionError, match="watched already"), watch(model, every=1, on_reading=print):
        pass
    with watch(model, every=1, on_reading=lambda step, reading: None):
        pass


@pytest.mark.parametrize("every", [0, -1, True, 1.5])
def test_every_is_a_positive_whole_number(every: object) -> None:
    with pytest.raises(OptionError, match="every"), watch(net(), every=every, on_reading=print):
        pass


def test_a_pass_without_a_backward_pass_says_so() -> None:
    model, found = net(), {}
    with watch(model, every=1, on_reading=found.__setitem__):
        model(X)
    assert found[0].backward == {}
    assert "no backward pass followed" in found[0].notes[0]


def test_a_convnet_with_layers_in_place_is_watched() -> None:
    model, found = ResNet18(), {}
    with watch(model, every=1, on_reading=found.__setitem__):
        model(torch.randn(4, 3, 32, 32)).sum().backward()
    assert len(found[0].backward) == 21 + 8  # convolutions and the head, and sums
