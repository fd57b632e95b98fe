"""The gradient written out by hand beside the one that autograd finds in the forward pass."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from initlab.core.errors import OptionError
from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer, TrainingSetup
from initlab.frameworks.torch.activations import activation
from initlab.frameworks.torch.training import products
from initlab.frameworks.torch.training.backward import differentiated
from initlab.frameworks.torch.training.model import Forward, Mask, Params, forward
from initlab.frameworks.torch.training.objective import total_loss
from initlab.frameworks.torch.training.products import LARGE, linear
from initlab.theory import ACTIVATIONS

ROWS = 20


def torch_has(name: str) -> bool:
    try:
        activation(name)
    except OptionError:
        return False
    return True


CALLS = [*filter(torch_has, ACTIVATIONS), "leaky_relu(negative_slope=0.3)", "elu(alpha=0.4)"]


def problem(
    arch: Mlp, optimizer: Optimizer | None = None, *, loss: str = "cross_entropy", kind: str = "classification"
) -> tuple[TrainingSetup, Params, Tensor, Tensor]:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((ROWS, arch.widths[0]))
    outputs = arch.widths[-1]
    y = rng.standard_normal((ROWS, outputs)) if kind == "regression" else rng.integers(0, outputs, ROWS)
    names = () if kind == "regression" else tuple(map(str, range(outputs)))
    data = Dataset("made", x.astype(np.float32), y, x.astype(np.float32), y, kind=kind, class_names=names)
    asked = TrainingSetup(arch, data, optimizer or Optimizer("sgd"), Budget(1, ROWS), loss=loss)
    params = {
        p.path: torch.from_numpy(rng.standard_normal(p.shape) / math.sqrt(p.shape[-1])) for p in arch.spec().params
    }
    return asked, params, torch.from_numpy(x), torch.from_numpy(y)


def by_autograd(
    asked: TrainingSetup, params: Params, x: Tensor, y: Tensor, mask: Mask | None = None
) -> tuple[Tensor, Forward, dict[str, Tensor]]:
    leaves = {path: p.clone().requires_grad_() for path, p in params.items()}
    out = forward(asked.arch, leaves, x, mask=mask)
    loss = total_loss(asked, leaves, out.logits, y)
    return loss.detach(), out, dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def assert_equal_to_autograd(
    given: tuple[TrainingSetup, Params, Tensor, Tensor], mask: Mask | None = None, *, tolerance: float = 1e-13
) -> None:
    """To ``tolerance`` times the largest number of each gradient."""
    asked, params, x, y = given
    wanted_loss, wanted, wanted_gradients = by_autograd(*given, mask)
    loss, out, gradients = differentiated(asked, params, x, y, mask=mask)
    assert float(loss) == pytest.approx(float(wanted_loss), rel=tolerance)
    for found, graph in zip((out.logits, *out.activations), (wanted.logits, *wanted.activations), strict=True):
        other = graph.detach()
        torch.testing.assert_close(found, other, rtol=0, atol=tolerance * float(other.abs().max()))
    assert out.moments.keys() == wanted.moments.keys()
    for (path, other), found in zip(wanted_gradients.items(), gradients, strict=True):
        atol = tolerance * max(float(other.abs().max()), 0.1)
        torch.testing.assert_close(found, other, rtol=0, atol=atol, msg=lambda text, path=path: f"{path}: {text}")


@pytest.mark.parametrize("call", CALLS)
def test_each_activation_is_differentiated_as_by_autograd(call: str) -> None:
    assert_equal_to_autograd(problem(Mlp((5, 7, 6, 3), activation=call)))


@pytest.mark.parametrize(
    ("loss", "kind"), [("cross_entropy", "classification"), ("mse", "classification"), ("mse", "regression")]
)
def test_each_loss_is_differentiated_as_by_autograd(loss: str, kind: str) -> None:
    assert_equal_to_autograd(problem(Mlp((5, 7, 3)), loss=loss, kind=kind))


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("call", ["relu", "gelu"])
@pytest.mark.parametrize("bias", [True, False])
def test_norms_skips_and_dropout_are_differentiated_as_by_autograd(norm: str, call: str, bias: bool) -> None:
    keep = torch.rand(3, ROWS, 8, generator=torch.Generator().manual_seed(2)) < 0.7
    arch = Mlp((8, 8, 8, 8, 3), activation=call, norm=norm, residual=True, dropout=0.3, bias=bias)
    assert_equal_to_autograd(problem(arch), lambda shape, i: keep[i] / 0.7)


def test_a_network_without_a_hidden_layer_is_differentiated_as_by_autograd() -> None:
    assert_equal_to_autograd(problem(Mlp((5, 3))))


def test_penalties_are_differentiated_as_by_autograd() -> None:
    assert_equal_to_autograd(problem(Mlp((5, 7, 3)), Optimizer("sgd", l1=0.02, l2=0.03)))


def test_large_products_are_differentiated_as_by_autograd() -> None:
    asked, params, x, y = problem(Mlp((784, 128, 96, 10), activation="tanh"))
    assert ROWS * 784 * 128 >= LARGE
    assert_equal_to_autograd((asked, {k: p.float() for k, p in params.items()}, x.float(), y), tolerance=5e-6)


def test_what_is_not_finite_stays_so_in_every_gradient() -> None:
    asked, params, x, y = problem(Mlp((5, 7, 3)))
    loss, _, gradients = differentiated(asked, params, x * math.inf, y)
    assert math.isnan(loss)
    assert all(g.isnan().any() for g in gradients)


def test_differentiating_changes_nothing_that_was_given() -> None:
    asked, params, x, y = problem(Mlp((5, 7, 3), norm="layer"), Optimizer("sgd", l2=0.1))
    before = copy.deepcopy((params, x))
    differentiated(asked, params, x, y)
    assert all(torch.equal(params[path], p) and not params[path].requires_grad for path, p in before[0].items())
    assert torch.equal(x, before[1])


SHAPES = [(64, 784, 128), (20, 784, 129), (128, 64, 784), (1000, 128, 10)]


@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
def test_a_large_product_is_the_exact_one_to_rounding(rows: int, inputs: int, outputs: int) -> None:
    x, w = (torch.randn(n, inputs, generator=torch.Generator().manual_seed(n)) for n in (rows, outputs))
    assert rows * inputs * outputs >= LARGE
    exact = x.double() @ w.double().t()
    # A sum of n products rounds by at most n eps/2 of the sum of their sizes; at random, by a few sqrt(n) of them.
    bound = 5 * math.sqrt(inputs) * 2.0**-24 * (x.abs().double() @ w.abs().double().t()).max()
    assert float((linear(x, w) - exact).abs().max()) < bound
    transposed = linear(x.t().contiguous().t(), w.t().contiguous().t())
    assert float((transposed - exact).abs().max()) < bound


@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
def test_a_large_products_bits_do_not_depend_on_where_its_operands_lie(rows: int, inputs: int, outputs: int) -> None:
    if products._ONEDNN is None:
        pytest.skip("this build of torch has no oneDNN: its BLAS decides")
    x, w = (torch.randn(n, inputs, generator=torch.Generator().manual_seed(n)) for n in (rows, outputs))
    wanted = linear(x, w)
    for shift in (1, 3, 8, 16):
        moved_x, moved_w = (torch.empty(t.numel() + shift)[shift:].view(t.shape).copy_(t) for t in (x, w))
        assert torch.equal(linear(moved_x, moved_w), wanted), shift


def test_without_onednn_torchs_own_product_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_ONEDNN", None)
    x, w = torch.ones(64, 784), torch.ones(128, 784)
    assert torch.equal(linear(x, w), functional.linear(x, w))
