"""What ``compare(build=)`` records as a layer's activation is told by the graph of a pass, however it is spelled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from initlab.frameworks.torch.adapter import ADAPTER
from initlab.frameworks.torch.user_training.measure import Probe, layer_numbers, layers_of
from initlab.theory import activation
from initlab.theory.expectations import value_moments

X = torch.from_numpy(np.random.default_rng(3).standard_normal((64, 20)).astype(np.float32))


class Net(nn.Module):
    """One hidden layer, and what is done with it."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.act, self.hidden, self.out = act, nn.Linear(20, 300), nn.Linear(300, 3)
        nn.init.normal_(self.hidden.weight, std=20**-0.5)
        nn.init.zeros_(self.hidden.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.act(self.hidden(x)))  # type: ignore[no-any-return]


def tanh_gelu(h: Tensor) -> Tensor:
    return 0.5 * h * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (h + 0.044715 * h**3)))


def probed(model: nn.Module, x: Tensor = X) -> dict[str, Tensor | None]:
    params = [p for p in ADAPTER.describe(model, example=x).params if p.is_weight]
    layers = layers_of(model, params)
    found = Probe(model, layers)(x, lambda out: out.square().mean())
    return {layer.name: one for layer, one in zip(layers, found.activations, strict=True)}


FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": lambda h: h * torch.sigmoid(h),
    "gelu": tanh_gelu,
    "relu": lambda h: torch.where(h > 0, h, 0.0),
    "tanh": lambda h: (h.exp() - (-h).exp()) / (h.exp() + (-h).exp()),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_written_out_formula_is_measured_as_a_whole(name: str) -> None:
    model = Net(FORMULAS[name])
    found = probed(model)["hidden.weight"]
    assert found is not None
    torch.testing.assert_close(found, FORMULAS[name](model.hidden(X)).detach())
    # Of 64 x 300 numbers that nearly are standard normal; units share their inputs, so 20 x 64 are independent at most.
    moments = value_moments(activation(name), 1.0)
    error = 5 * ((moments.second - moments.mean**2) / (20 * 64)) ** 0.5
    assert float(found.mean()) == pytest.approx(moments.mean, abs=error)


def test_a_named_function_is_measured_as_its_own_formula_is() -> None:
    one, other = (Net(act) for act in (functional.silu, FORMULAS["silu"]))
    other.load_state_dict(one.state_dict())
    mine, theirs = probed(one)["hidden.weight"], probed(other)["hidden.weight"]
    assert mine is not None
    assert theirs is not None
    torch.testing.assert_close(mine, theirs)


class Crossed(nn.Module):
    """The first layer's function is called after the second layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(20, 30), nn.Linear(20, 30), nn.Linear(30, 3)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x), self.b(x)
        return self.out(torch.relu(a) * b)  # type: ignore[no-any-return]


def test_a_function_belongs_to_the_layer_whose_output_it_takes() -> None:
    model = Crossed()
    found = probed(model)
    torch.testing.assert_close(found["a.weight"], torch.relu(model.a(X)).detach())
    torch.testing.assert_close(found["b.weight"], model.b(X).detach())


class Switch(nn.Module):
    """Takes another way once its weights are large."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(20, 30), nn.Linear(30, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if h.abs().max() > 100:
            h = h / 50
        return self.out(torch.tanh(h))  # type: ignore[no-any-return]


def test_a_pass_that_goes_another_way_is_read_anew() -> None:
    model = Switch()
    params = [p for p in ADAPTER.describe(model, example=X).params if p.is_weight]
    probe = Probe(model, layers_of(model, params))
    before = probe(X, lambda out: out.mean()).activations[0]
    torch.testing.assert_close(before, torch.tanh(model.a(X)).detach())
    model.a.weight.data *= 300
    after = probe(X, lambda out: out.mean()).activations[0]
    torch.testing.assert_close(after, torch.tanh(model.a(X) / 50).detach())


def test_a_layer_that_does_not_run_has_no_activation() -> None:
    model = Net(torch.relu)
    model.spare = nn.Linear(20, 4)
    found = probed(model)
    assert found["spare.weight"] is None
    spare = next(p for p in ADAPTER.describe(model).params if p.native == "spare.weight")
    assert bool(torch.isnan(layer_numbers(spare, model.spare.weight, None, model.spare.weight)[3:6]).all())


def test_a_sum_with_a_later_layer_belongs_to_the_later_one() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = nn.Linear(20, 20), nn.Linear(20, 20), nn.Linear(20, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.a(x)
            x = torch.tanh(x + self.b(x))
            return self.out(x)  # type: ignore[no-any-return]

    model = Residual()
    found = probed(model)
    torch.testing.assert_close(found["a.weight"], model.a(X).detach())
    stream = X + model.a(X)
    torch.testing.assert_close(found["b.weight"], torch.tanh(stream + model.b(stream)).detach())
