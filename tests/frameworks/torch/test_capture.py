"""Every sum that a capture takes equals the plain one on a copy of the value; gradients are autograd's."""

from __future__ import annotations

import dataclasses
import math
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from tests.frameworks.torch.models import ResNet18, Transformer
from torch import nn
from torch.nn import functional

from initlab.core.signals.readings import Reading, Sums
from initlab.core.signals.sums import sums_of
from initlab.frameworks.torch.adapter import TorchAdapter

SQUARES_ALONE = ("rows", "entries", "units", "square", "square_error", "broken")


def reading_of(*args: Any, **options: Any) -> Reading:
    return TorchAdapter().capture(*args, **options).reading


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 16)
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for layer in self.layers:
            x = x + functional.silu(layer(x))
        return x


CASES = {
    "mlp": (mlp, torch.randn(40, 6)),
    "cnn": (ResNet18, torch.randn(6, 3, 32, 32)),
    "transformer": (lambda: Transformer(2), torch.randint(11, (5, 7))),
    "residual": (Residual, torch.randn(9, 6)),
}


def assert_same(found: Sums, wanted: Sums, names: tuple[str, ...] | None = None) -> None:
    """Equal up to the rounding of a float32 sum of up to 1e5 numbers."""
    for name in names or tuple(field.name for field in dataclasses.fields(Sums)):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        near = 1e-6 * math.sqrt(wanted.square) if name == "mean" else 1e-6 if "cosine" in name else 0.0
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=near, err_msg=name)


def values(model: nn.Module, x: torch.Tensor) -> dict[str, np.ndarray]:
    """What each module that holds a weight and no others returns, on a copy in training mode."""
    twin, kept = deepcopy(model).train(), {}

    def keep(name: str, out: torch.Tensor) -> None:
        kept.setdefault(name, out.detach().clone().numpy())

    for name, module in twin.named_modules():
        if not any(module.children()) and isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
            module.register_forward_hook(lambda m, a, out, name=name: keep(name, out))
    twin(x)
    return kept


def index(reading: Reading, path: str) -> int:
    return [place.path for place in reading.places].index(path)


@pytest.mark.parametrize("name", CASES)
def test_the_sums_of_every_weighted_sum_are_the_plain_ones(name: str) -> None:
    build, x = CASES[name]
    model = build()
    reading = reading_of(model, x)
    wanted = values(model, x)
    assert len(wanted) >= 3
    for path, value in wanted.items():
        at = index(reading, path)
        place, found = reading.places[at], reading.forward[at]
        assert place.shape == value.shape
        plain = sums_of(value, units=place.units)
        assert_same(dataclasses.replace(found, saturated=math.nan), plain)


@pytest.mark.parametrize("name", CASES)
def test_gradients_by_parameters_are_those_of_autograd(name: str) -> None:
    build, x = CASES[name]
    model = build()
    twin = deepcopy(model).train()
    loss = lambda out: out.square().mean()  # noqa: E731
    loss(twin(x)).backward()
    reading = reading_of(model, x, loss=loss)
    wanted = {k: p.grad.double() for k, p in twin.named_parameters() if p.grad is not None}
    assert reading.gradients.keys() == wanted.keys()
    for key, gradient in wanted.items():
        assert reading.gradients[key].square == pytest.approx(float(gradient.square().mean()), rel=2e-4, abs=1e-16)


def test_gradients_by_values_are_those_of_autograd() -> None:
    model, x, y = mlp(), torch.randn(12, 6), torch.randint(3, (12,))
    hidden = model[0](x)
    hidden.retain_grad()
    functional.cross_entropy(model[1:](hidden), y).backward()
    found = reading_of(model, x, targets=y)
    assert_same(found.backward[index(found, "0")], sums_of(hidden.grad.numpy()), SQUARES_ALONE)


def test_an_activation_is_summed_where_its_function_ends() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.a(x)
            return self.b(z * torch.sigmoid(z))

    model, x = Gated(), torch.randn(5, 4)
    reading = reading_of(model, x)
    assert [(p.kind, p.path, p.f) for p in reading.places[1:]] == [
        ("weighted", "a", None), ("activation", "silu", "silu"), ("weighted", "b", None)
    ]  # fmt: skip
    assert_same(reading.forward[2], sums_of(functional.silu(model.a(x)).detach().numpy()))


def test_a_value_is_summed_before_an_activation_overwrites_it() -> None:
    model, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 1)), torch.randn(30, 4)
    reading = reading_of(model, x, targets=torch.randn(30, 1))
    z = model[0](x)
    assert_same(reading.forward[1], sums_of(z.detach().numpy()))
    assert_same(reading.forward[2], sums_of(z.relu().detach().numpy()))
    z.retain_grad()
    apart = nn.Sequential(nn.ReLU(), model[2])
    again = reading_of(nn.Sequential(model[0], *apart), x, targets=torch.zeros(30, 1))
    in_place = reading_of(model, x, targets=torch.zeros(30, 1))
    assert in_place.backward[1].square == pytest.approx(again.backward[1].square, rel=1e-6)


def test_saturated_entries_are_those_where_tanh_has_a_twentieth_of_its_slope() -> None:
    model, x = nn.Sequential(nn.Linear(50, 400), nn.Tanh()), 6 * torch.randn(200, 50)
    z = model[0](x).detach().numpy()
    end = math.atanh(math.sqrt(0.95))
    found, plain = reading_of(model, x).forward[1].saturated, sums_of(z, takes=(-end, end)).saturated
    assert 0.1 < plain < 0.9
    assert abs(found - plain) <= 2 / z.size


def test_saturated_entries_of_a_hard_tanh_are_those_that_it_cuts_off() -> None:
    model = nn.Sequential(nn.Linear(1, 4, bias=False), nn.Hardtanh())
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([[0.5], [1.5], [-3.0], [0.25]])
    assert reading_of(model, torch.ones(2, 1)).forward[1].saturated == 0.5


def test_entries_that_relu6_makes_zero_are_not_saturated() -> None:
    reading = reading_of(nn.Sequential(nn.Linear(4, 8), nn.ReLU6(), nn.Linear(8, 1)), torch.randn(30, 4))
    assert reading.places[2].f == "relu6"
    assert math.isnan(reading.forward[1].saturated)


@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_gradients_whose_squares_leave_float32_are_summed(size: float) -> None:
    model, x = mlp(), torch.randn(12, 6)
    usual = reading_of(model, x, loss=lambda out: out.sum()).backward[1]
    found = reading_of(model, x, loss=lambda out: out.sum() * size).backward[1]
    assert found.square == pytest.approx(usual.square * size**2, rel=1e-5)
    assert found.square_error == pytest.approx(usual.square_error * size**2, rel=1e-4)
    assert found.broken == 0


def test_gradients_that_are_not_finite_are_counted() -> None:
    model, x = mlp(), torch.randn(12, 6)
    found = reading_of(model, x, loss=lambda out: (out * torch.tensor([1.0, math.inf, 1.0])).sum())
    assert found.backward[5].broken == 12
    assert found.backward[5].square == pytest.approx(1.0, rel=1e-6)


def test_equal_and_dead_units_are_counted() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight[1:4] = model[0].weight[0]
        model[0].bias[:4] = 1.0
        model[0].bias[6:] = -100.0
    found = reading_of(model, torch.randn(20, 4)).forward
    assert (found[1].equal_units, found[1].dead_units) == (3, 0)
    assert (found[2].equal_units, found[2].dead_units) == (3, 2)


def test_numbers_that_are_not_finite_are_counted_and_left_out() -> None:
    model = nn.Sequential(nn.Linear(2, 4, bias=False), nn.Linear(4, 3, bias=False))
    with torch.no_grad():
        model[0].weight[0] = math.nan
        model[0].weight[1] = math.inf
    x = torch.rand(5, 2) + 0.1
    assert_same(reading_of(model, x).forward[1], sums_of(model[0](x).detach().numpy()))


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_squares_beyond_float32_are_summed(size: float) -> None:
    model, x = nn.Sequential(nn.Linear(3, 5, bias=False), nn.Linear(5, 2)), torch.randn(7, 3)
    with torch.no_grad():
        model[0].weight *= size
    assert_same(reading_of(model, x).forward[1], sums_of(model[0](x).detach().numpy()))


def test_histograms_count_every_entry() -> None:
    model, x = mlp(), torch.randn(40, 6)
    reading = reading_of(model, x, histograms=True)
    wanted = sums_of(model[0](x).detach().numpy(), histogram=True).counts
    assert reading.forward[1].counts.sum() == wanted.sum() == 640
    assert np.abs(reading.forward[1].counts - wanted).sum() <= 4  # an entry on an edge
    assert reading.backward[1].counts.sum() == 640


# The loss


def test_cross_entropy_has_its_mean_and_standard_error() -> None:
    model, x, y = mlp(), torch.randn(30, 6), torch.randint(3, (30,))
    each = functional.cross_entropy(model(x), y, reduction="none").detach().numpy()
    reading = reading_of(model, x, targets=y.numpy())
    assert reading.loss_kind == "cross_entropy"
    assert reading.loss == pytest.approx(each.mean(), rel=1e-5)
    assert reading.loss_error == pytest.approx(each.std(ddof=1) / math.sqrt(30), rel=1e-5)


def test_cross_entropy_of_tokens_is_their_mean() -> None:
    model, x = Transformer(1), torch.randint(11, (5, 7))
    wanted = functional.cross_entropy(model.train()(x).flatten(0, 1), x.flatten())
    assert reading_of(model, x, targets=x).loss == pytest.approx(float(wanted.detach()), rel=1e-5)


def test_real_targets_give_the_mean_square_error() -> None:
    model, x, y = mlp(), torch.randn(8, 6), torch.randn(8, 3)
    reading = reading_of(model, x, targets=y)
    assert (reading.loss_kind, reading.loss) == ("mse", pytest.approx(float(functional.mse_loss(model(x), y).detach())))


def test_without_targets_the_output_gets_standard_normal_numbers_that_are_always_the_same() -> None:
    model, x = nn.Linear(3, 100), torch.randn(200, 3)
    first, second = reading_of(model, x), reading_of(model, x)
    assert math.isnan(first.loss)
    assert first.loss_kind == "random"
    # The mean square of 20000 normal numbers: 5 standard deviations.
    assert abs(first.backward[1].square - 1) < 5 * math.sqrt(2 / 20000)
    assert first.backward[1].square == second.backward[1].square


def test_a_given_loss_may_take_outputs_alone_or_with_targets() -> None:
    model, x = mlp(), torch.randn(8, 6)
    assert reading_of(model, x, loss=lambda out: out.mean()).loss_kind == "given"
    assert reading_of(model, x, targets=x[:, :3], loss=nn.MSELoss()).loss == pytest.approx(
        float(functional.mse_loss(model(x), x[:, :3]).detach())
    )


# Places


def test_places_of_a_convnet_have_their_facts() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1, bias=False), nn.BatchNorm2d(8, eps=1e-3), nn.ReLU(),
        nn.Dropout(0.25), nn.MaxPool2d(2), nn.GroupNorm(2, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    places = reading_of(model, torch.randn(4, 3, 16, 16)).places
    assert [(p.kind, p.path) for p in places] == [
        ("input", "input"), ("weighted", "0"), ("norm", "1"), ("activation", "2:relu"), ("dropout", "3"), ("pool", "4"),
        ("norm", "5"), ("pool", "6"), ("weighted", "8"),
    ]  # fmt: skip
    assert places[1].facts == {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    assert places[2].facts == {"norm": "batch", "eps": 1e-3}
    assert places[4].facts == {"rate": 0.25}
    assert places[5].facts == {"how": "max", "size": 4.0}
    assert places[6].facts == {"norm": "group", "eps": 1e-5, "groups": 2}
    assert places[7].facts == {"how": "mean", "size": 16.0}
    assert (places[1].units, places[8].units) == (1, 1)
    assert places[8].inputs == (7,)


def test_a_place_that_is_used_again_has_a_count_behind_its_path() -> None:
    layer = nn.Linear(4, 4)
    reading = reading_of(nn.Sequential(layer, nn.ReLU(), layer), torch.randn(3, 4))
    assert [place.path for place in reading.places] == ["input", "0", "1:relu", "0#2"]
    assert list(reading.gradients) == ["0.weight", "0.bias"]


def test_attention_is_a_softmax_with_its_entropy_and_a_mix() -> None:
    model, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(5, 7, 8)
    reading = reading_of(model, (x, x, x))
    kinds = [place.kind for place in reading.places]
    at = kinds.index("softmax")
    assert reading.places[kinds.index("mix")].inputs[0] == at
    q, k = (model.in_proj_weight[i : i + 8] for i in (0, 8))
    heads = [(x @ w.T).unflatten(-1, (2, 4)).transpose(1, 2) for w in (q, k)]
    shares = (heads[0] @ heads[1].mT / 2).softmax(-1).detach().numpy()
    assert reading.forward[at].entropy == pytest.approx(sums_of(shares, is_softmax=True).entropy, rel=1e-5)


def test_attention_that_is_written_out_is_the_same_places() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shares = (self.q(x) @ self.k(x).mT / math.sqrt(8)).softmax(-1)
            return functional.dropout(shares, 0.0) @ self.v(x)

    model, x = Written(), torch.randn(5, 7, 8)
    reading = reading_of(model, x)
    assert [p.kind for p in reading.places] == [
        "input", "weighted", "weighted", "unknown", "scale", "softmax", "weighted", "mix"
    ]  # fmt: skip
    assert reading.places[4].facts == {"factor": pytest.approx(8**-0.5)}
    shares = (model.q(x) @ model.k(x).mT / math.sqrt(8)).softmax(-1).detach().numpy()
    assert reading.forward[5].entropy == pytest.approx(sums_of(shares, is_softmax=True).entropy, rel=1e-5)
    assert reading.places[7].inputs == (5, 6)


def test_samples_come_first_where_the_model_keeps_them_second() -> None:
    model, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(5, 7, 8)
    reading = reading_of(model, (x, x, x))
    out = reading.places[index(reading, "out_proj")]
    assert out.shape == (5, 7, 8)
    mixed = deepcopy(model)(x, x, x)[0].detach().numpy()
    assert_same(reading.forward[index(reading, "out_proj")], sums_of(mixed))


def test_all_inputs_of_a_place_come_before_it() -> None:
    for build, x in CASES.values():
        reading = reading_of(build(), x)
        assert all(one < at for at, place in enumerate(reading.places) for one in place.inputs)
        assert len({place.path for place in reading.places}) == len(reading.places)
        assert reading.outputs == (len(reading.places) - 1,)
