"""Modules that hold another one and pass its call on: the weights inside get the bits of the bare model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

import initlab


class Holder(nn.Module):
    """As DistributedDataParallel holds it, and without a process group."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        return self.module(*args, **kwargs)


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "DataParallel": nn.DataParallel,
    "DDP": Holder,
    "compile": torch.compile,
    "checkpoint": checkpoint_wrapper,
    "average": AveragedModel,
    "several": lambda module: Holder(torch.compile(checkpoint_wrapper(module))),
}


def bare() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("example", [None, torch.ones(2, 6)], ids=["blind", "example"])
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapped_model_gets_the_bits_of_the_bare_one(wrap: Callable[..., nn.Module], example: object) -> None:
    made = initlab.initialize(wrap(bare()), "he_normal", seed=3, example=example)
    twin = initlab.initialize(bare(), "he_normal", seed=3, example=example)
    assert [row.param.path for row in initlab.plan(made)] == ["0/weight", "0/bias", "1/weight", "1/bias"]
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), twin.parameters(), strict=True))
    if example is not None:
        assert [row.param.f_out for row in initlab.plan(made, example=example)][:3:2] == ["relu", None]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrapped_parts_get_the_bits_of_the_bare_ones() -> None:
    inner = bare()
    made = nn.Sequential(checkpoint_wrapper(inner[0]), inner[1], Holder(inner[2]))
    twin = initlab.initialize(bare(), "he_normal", seed=3)
    initlab.initialize(made, "he_normal", seed=3, example=torch.ones(2, 6))
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), twin.parameters(), strict=True))
