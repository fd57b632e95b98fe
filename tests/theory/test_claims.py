"""Sentences that are claims hold under the condition that they name, and not without it."""

from __future__ import annotations

import numpy as np
import pytest

from initlab.theory import theory_report


@pytest.mark.parametrize(
    ("sigma_w", "says"), [(1.0, "Edge of chaos at zero"), (0.9, "dies out"), (1.3, "Chaotic phase")]
)
def test_the_edge_of_chaos_of_tanh_is_not_said_to_lose_the_signal(sigma_w: float, says: str) -> None:
    assert says in theory_report("tanh", sigma_w2=sigma_w**2, depth=30).verdict


def factor(weights: str, depth: int = 20, width: int = 96, rows: int = 512) -> float:
    """By how much a squared gradient grows a layer behind batch norm and ReLU, in the mean over layers."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(11)
    a = torch.from_numpy(rng.standard_normal((rows, width)))
    sums = []
    for _ in range(depth):
        drawn = rng.normal(0.0, 0.3, (width, width))
        matrix = {"random": drawn, "orthogonal": np.linalg.qr(drawn)[0], "identity": np.eye(width)}[weights]
        z = a @ torch.from_numpy(matrix)
        z.requires_grad_() if not sums else z.retain_grad()
        sums.append(z)
        a = torch.relu((z - z.mean(0)) / z.std(0, correction=0))
    (a * torch.from_numpy(rng.standard_normal(a.shape))).sum().backward()
    sizes = [float((z.grad**2).mean() * (z.detach() ** 2).mean()) for z in sums]
    return (sizes[1] / sizes[-1]) ** (1.0 / (depth - 2))


@pytest.mark.parametrize(
    ("weights", "low", "high"), [("random", 1.40, 1.55), ("orthogonal", 1.38, 1.52), ("identity", 0.9, 1.3)]
)
def test_batch_norm_with_relu_multiplies_gradients_by_1_47_for_independent_weights(
    weights: str, low: float, high: float
) -> None:
    assert low < factor(weights) < high
