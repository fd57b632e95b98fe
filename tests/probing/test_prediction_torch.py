"""Predictions of real PyTorch models against one pass of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import initlab
from initlab.probing.measure.metrics import gradient_at, loss_of, signal_at
from initlab.probing.profile import Profile

torch = pytest.importorskip("torch")
from tests.probing import torch_nets as nets  # noqa: E402  (after the skip)


def off_theory(profile: Profile) -> tuple[int, int, int]:
    """Places whose signal, and whose gradient, is off theory; and the numbers that were compared."""
    evidence = profile.evidence
    signals = [signal_at(evidence, i) for i in range(len(evidence.reading.places))]
    gradients = [gradient_at(evidence, i) for i in range(len(evidence.reading.places))]
    known = [n for n in (*signals, *gradients) if n.predicted is not None and math.isfinite(n.measured)]
    return sum(n.is_off for n in signals), sum(n.is_off for n in gradients), len(known)


CASES: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]] = {
    "GELU MLP": (nets.gelu_mlp, lambda: torch.randn(64, 64), lambda: torch.arange(64) % 10),
    "dropout": (nets.dropout_mlp, lambda: torch.randn(64, 64), lambda: torch.arange(64) % 10),
    "stride, padding, groups": (nets.conv_net, lambda: torch.randn(16, 3, 32, 32), lambda: torch.arange(16) % 10),
    "concatenation": (nets.DenseNet, lambda: torch.randn(16, 3, 24, 24), lambda: torch.arange(16) % 10),
    "transposed": (nets.UNet, lambda: torch.randn(8, 3, 24, 24), lambda: torch.randint(0, 5, (8, 24, 24))),
    "gates": (nets.GatedBlock, lambda: torch.randn(64, 64), lambda: torch.arange(64) % 10),
    "transformer": (nets.Transformer, lambda: torch.randint(0, 50, (8, 24)), lambda: torch.randint(0, 50, (8, 24))),
}


@pytest.mark.parametrize("name", CASES)
def test_signal_and_gradient_lie_within_the_predicted_scatter(name: str) -> None:
    make, batch, targets = CASES[name]
    torch.manual_seed(0)
    net = initlab.initialize(make(), "he_normal", seed=3)
    signals, gradients, known = off_theory(initlab.probe(net, batch(), targets()))
    assert known > 12
    assert signals + gradients <= 0.05 * known


def test_a_residual_net_with_batch_norm_keeps_the_predicted_signal_everywhere() -> None:
    torch.manual_seed(0)
    net = initlab.initialize(nets.ResNet18(width=16), "he_normal", seed=3)
    signals, gradients, known = off_theory(initlab.probe(net, torch.randn(16, 3, 48, 48), torch.arange(16) % 10))
    assert signals == 0
    # The last stage has few places: its norms take off what the gradients of the samples have in common.
    assert gradients < 0.2 * known


def test_he_weights_in_a_relu_net_of_depth_20_and_width_128_lie_within_the_predicted_scatter() -> None:
    torch.manual_seed(0)
    net = initlab.initialize(nets.mlp(torch.nn.ReLU, depth=20), "he_normal", seed=1)
    profile = initlab.probe(net, torch.randn(64, 64), torch.arange(64) % 10)
    assert off_theory(profile)[:2] == (0, 0)
    assert not profile.signal_ratio.is_off
    assert not profile.gradient_ratio.is_off
    assert not loss_of(profile.evidence).is_off


def test_logits_that_are_far_too_large_have_the_loss_of_the_quadrature() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(512, 1000, bias=False))
    torch.nn.init.normal_(net[0].weight)
    found = initlab.probe(net, torch.randn(128, 512), torch.randint(0, 1000, (128,)))
    # theory.md, section 2.7: K = 1000, s = 22.6 has 73.5; ln K + s^2 / 2 would be 263.
    assert found.evidence.loss == pytest.approx(73.5, rel=0.02)
    assert not loss_of(found.evidence).is_off


def test_a_probe_leaves_the_model_as_it_was() -> None:
    net = nets.ResNet18(width=4).eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    initlab.probe(net, torch.randn(4, 3, 32, 32))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert not net.training
