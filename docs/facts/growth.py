"""What the guide quotes of models that are made larger."""

from __future__ import annotations

import torch
from computed import Computed, facts
from torch import nn

import initlab

WORDS, MORE, WIDTH = 1000, 2500, 64


@facts("growth")
def growth() -> Computed:
    """The spread of new words beside that of the old ones, and what the probe finds."""
    return {"words": f"{WORDS}", "more": f"{MORE}", **_vocabulary("one", 1.0), **_vocabulary("small", 1e-9), **_twins()}


def _vocabulary(name: str, scale: float) -> dict[str, str]:
    model = nn.Sequential(nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WORDS))
    initlab.initialize(model, "he_normal", seed=1)
    initlab.resize_vocabulary(model, MORE, seed=2, scale=scale)
    table = model[0].weight.detach()
    found = initlab.probe(model, torch.arange(640).reshape(20, 32)).diagnose().findings
    alike = max((int(one.value) for one in found if one.kind == "equal embeddings"), default=0)
    share = float(table[WORDS:].std(0).mean() / table[:WORDS].std(0).mean())
    return {f"{name}_share": f"{share:.2g}" if share < 0.1 else f"{share:.2f}", f"{name}_alike": f"{alike}"}


def _twins() -> dict[str, str]:
    """How exact a growth is, and how far its twins are apart after some steps."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
        rows, wanted = torch.randn(128, 64), torch.randn(128, 10)
    told = {"error": f"{initlab.grow(small, 2, example=torch.ones(1, 64)).error:.1e}"}
    for split in ("equal", "unequal"):
        net = initlab.grow(small, 2, example=rows, split=split).model
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(100):
            optimizer.zero_grad()
            ((net(rows) - wanted) ** 2).mean().backward()
            optimizer.step()
        first = net[0].weight.detach()
        told[f"{split}_apart"] = f"{float((first[:32] - first[32:]).abs().max()):.1g}"
    return told
