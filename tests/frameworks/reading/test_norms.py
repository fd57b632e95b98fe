"""Which norm a written-out one is, by the axes it takes its moments over, whatever its class is called."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from initlab.frameworks import adapter_for  # noqa: E402  (torch may be missing)


class Evened(torch.nn.Module):
    """Values without their mean, over their spread, along one axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis, self.factor = axis, torch.nn.Parameter(torch.ones(10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(self.axis, keepdim=True)
        return centred / torch.sqrt(centred.pow(2).mean(self.axis, keepdim=True) + 1e-3) * self.factor


class BatchNorm(Evened):
    """A name that says one thing, and axes that may say another."""


@pytest.mark.parametrize("kind", [Evened, BatchNorm])
@pytest.mark.parametrize(("axis", "norm"), [(0, "batch"), (-1, "layer")])
def test_a_written_out_norm_is_told_by_its_axes(kind: type[Evened], axis: int, norm: str) -> None:
    layers = torch.nn.Linear(6, 10), kind(axis), torch.nn.ReLU(), torch.nn.Linear(10, 3)
    spec = adapter_for(layers[0]).describe(torch.nn.Sequential(*layers), example=torch.randn(7, 6))
    assert [p.norm for p in spec.params if p.is_weight] == [norm, None]
