"""The weights that make a model's outputs are found in whatever the model returns them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from initlab.frameworks.torch.adapter import ADAPTER


@dataclass
class Record:
    logits: torch.Tensor
    value: torch.Tensor


class Pair(NamedTuple):
    logits: torch.Tensor
    value: torch.Tensor


class Holder:
    def __init__(self, logits: torch.Tensor, value: torch.Tensor) -> None:
        self.logits, self.value = logits, value


End = Callable[[torch.Tensor, torch.Tensor], Any]
FOLLOWED: dict[str, End] = {
    "log_softmax": lambda logits, value: (logits.log_softmax(-1), value),
    "log_softmax written out": lambda logits, value: (logits - logits.logsumexp(-1, keepdim=True), value),
    "mapping": lambda logits, value: {"logits": logits, "value": value},
    "dataclass": Record,
    "named tuple": Pair,
}
RECORDED: dict[str, End] = {
    "object": Holder,
    "categorical": lambda logits, value: (torch.distributions.Categorical(logits=logits), value),
    "normal": lambda logits, value: (torch.distributions.Normal(logits, 1.0), value),
}


class TwoHeads(nn.Module):
    """An actor and a critic."""

    def __init__(self, end: End) -> None:
        super().__init__()
        self.body, self.actor, self.critic = nn.Linear(8, 16), nn.Linear(16, 5), nn.Linear(16, 1)
        self.end = end

    def forward(self, x: torch.Tensor) -> Any:
        h = torch.tanh(self.body(x))
        return self.end(self.actor(h), self.critic(h))


def outputs(end: End, **options: Any) -> list[str]:
    described = ADAPTER.describe(TwoHeads(end), **options)
    assert described.notes == ()
    return [p.native for p in described.params if p.is_output]


@pytest.mark.parametrize("kind", FOLLOWED)
def test_both_heads_are_outputs_without_an_example(kind: str) -> None:
    assert outputs(FOLLOWED[kind]) == ["actor.weight", "critic.weight"]


@pytest.mark.parametrize("kind", [*FOLLOWED, *RECORDED])
def test_both_heads_are_outputs_on_an_example(kind: str) -> None:
    end = (FOLLOWED | RECORDED)[kind]
    assert outputs(end, example=torch.ones(4, 8)) == ["actor.weight", "critic.weight"]
