"""What the probe says of 64 nets before they are trained, and whether they train: writes docs/probe_nets.csv.

python docs/probe_nets.py      # about two minutes

Each net is a chain of layers of width 64 on the digits, scaled to mean 0 and variance 1. It is trained three times
from the same weights, 200 steps of 64 samples: by SGD with momentum 0.9 at learning rates 0.03 and 0.003, and by Adam
at 0.001. What is kept is the share of the 1797 digits that it gets right in the end.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional, init

import initlab

TABLE = Path(__file__).parent / "probe_nets.csv"
STEPS, BATCH, WIDTH = 200, 64, 64
RUNS = {"sgd 0.03": 0.03, "sgd 0.003": 0.003, "adam 0.001": 0.001}

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU,
}  # fmt: skip
GAINS = {"he": math.sqrt(2.0), "glorot": 1.0, "5/3": 5.0 / 3.0, "gain 1.534": 1.534, "gain 3": 3.0, "gain 4": 4.0}


@dataclass(frozen=True)
class Net:
    """What is probed and trained.

    Attributes:
        activation: Behind every hidden layer.
        depth: Hidden layers, or residual blocks.
        scheme: How the weights are drawn.
        kind: ``plain``, ``batch norm``, ``layer norm``, ``residual`` or ``pre-norm residual``.
    """

    activation: str
    depth: int
    scheme: str
    kind: str = "plain"


def nets() -> Iterator[Net]:
    """Those of the table."""
    for depth, scheme in itertools.product((3, 10, 20, 50), ("he", "glorot", "torch", "N(0, 1)", "N(0, 0.01²)")):
        yield Net("relu", depth, scheme)
    for depth, scheme in itertools.product((3, 10, 30, 50), ("glorot", "5/3", "edge of chaos")):
        yield Net("tanh", depth, scheme)
    for depth in (10, 30):
        yield Net("tanh", depth, "gain 3")
        for scheme in ("gain 1.534", "torch"):
            yield Net("gelu", depth, scheme)
        for scheme in ("he", "N(0, 1)", "N(0, 0.01²)"):
            yield Net("relu", depth, scheme, "batch norm")
        for scheme in ("he", "N(0, 1)"):
            yield Net("relu", depth, scheme, "layer norm")
        for scheme in ("he", "1/sqrt(L)", "N(0, 1)"):
            yield Net("relu", depth, scheme, "residual")
        yield Net("relu", depth, "he", "pre-norm residual")
    for depth in (2, 4, 8):
        yield Net("sigmoid", depth, "glorot")
    for kind in ("batch norm", "layer norm"):
        yield Net("sigmoid", 8, "glorot", kind)
    yield Net("sigmoid", 8, "gain 4")
    for scheme in ("zeros", "constant", "biases -3"):
        yield Net("relu", 3, scheme)


def build(net: Net) -> nn.Module:
    """The model, drawn from torch's generator."""
    act, layers = ACTIVATIONS[net.activation], list[nn.Module]()
    for i in range(net.depth):
        linear = drawn(nn.Linear(WIDTH, WIDTH), net)
        if net.kind in ("residual", "pre-norm residual"):
            norm = [nn.LayerNorm(WIDTH)] if net.kind == "pre-norm residual" else []
            layers.append(Skip(nn.Sequential(*norm, act(), linear) if i else nn.Sequential(*norm, linear)))
            continue
        norms = {"batch norm": nn.BatchNorm1d, "layer norm": nn.LayerNorm}
        layers += [linear, *([norms[net.kind](WIDTH)] if net.kind in norms else []), act()]
    head = nn.Linear(WIDTH, 10)
    if net.scheme not in ("torch", "zeros", "constant"):
        init.normal_(head.weight, std=WIDTH**-0.5 if net.scheme != "N(0, 0.01²)" else 0.01)
        init.zeros_(head.bias)
    model = nn.Sequential(*layers, *([nn.LayerNorm(WIDTH)] if net.kind == "pre-norm residual" else []), head)
    for parameter in model.parameters() if net.scheme in ("zeros", "constant") else ():
        init.constant_(parameter, 0.0 if net.scheme == "zeros" else 0.05)
    return model


class Skip(nn.Module):
    """``x + branch(x)``."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """The stream with what the branch adds."""
        out: Tensor = x + self.branch(x)
        return out


def drawn(layer: nn.Linear, net: Net) -> nn.Linear:
    """A hidden layer as the scheme draws it."""
    scheme = net.scheme
    if scheme == "torch":
        return layer
    stds = {
        "N(0, 1)": 1.0,
        "N(0, 0.01²)": 0.01,
        "edge of chaos": math.sqrt(1.76095 / WIDTH),
        "1/sqrt(L)": math.sqrt(2.0 / WIDTH / net.depth),
    }
    init.normal_(layer.weight, std=stds.get(scheme, GAINS.get(scheme, math.sqrt(2.0)) / math.sqrt(WIDTH)))
    if scheme == "edge of chaos":
        init.normal_(layer.bias, std=math.sqrt(0.05))
    else:
        init.constant_(layer.bias, -3.0 if scheme == "biases -3" else 0.0)
    return layer


def digits() -> tuple[Tensor, Tensor]:
    """All 1797 digits, scaled to mean 0 and variance 1, and their classes."""
    task = initlab.load_task("digits")
    x = torch.tensor(np.concatenate([task.x_train, task.x_test]).reshape(-1, WIDTH), dtype=torch.float32)
    y = torch.tensor(np.concatenate([task.y_train, task.y_test]), dtype=torch.int64)
    return (x - x.mean()) / x.std(), y


def accuracy(net: Net, run: str, x: Tensor, y: Tensor) -> float:
    """The share that is right after training; 0 where the loss is not a number."""
    torch.manual_seed(0)
    model, rate = build(net), RUNS[run]
    adam = run.startswith("adam")
    optimizer = (
        torch.optim.Adam(model.parameters(), lr=rate)
        if adam
        else torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    )
    for at in torch.randint(0, len(x), (STEPS, BATCH), generator=torch.Generator().manual_seed(1)):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x[at]), y[at])
        if not torch.isfinite(loss):
            return 0.0
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).double().mean())


def main() -> None:
    """Probe and train every net, and write the table."""
    torch.set_num_threads(1)
    x, y = digits()
    rows = []
    for net in nets():
        torch.manual_seed(0)
        found = initlab.probe(build(net), x[:256], y[:256]).diagnose()
        kinds = {word: "; ".join(f.kind for f in found.findings if f.severity == word) for word in ("alarm", "note")}
        result = {run: f"{accuracy(net, run, x, y):.3f}" for run in RUNS}
        rows.append({**vars(net), **kinds, **result})
        print(*rows[-1].values(), sep=" | ", flush=True)
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
