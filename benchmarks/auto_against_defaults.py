"""``auto`` beside the framework's default on small nets, each at the better of three rates: paired over eight seeds.

    python benchmarks/auto_against_defaults.py             # all nets, some minutes on one core
    python benchmarks/auto_against_defaults.py siren gru   # some of them

Every net is trained by Adam on the same batches from both starts. Each start has the rate that is best on a validation
part over all seeds; the number is of the test part. The difference is ``auto`` less default, paired by seed, with the
95 % interval of Student's t: it covers other seeds, and no other data.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves, tree_map

import initlab

SEEDS, RATES, BATCH = range(1, 9), (0.001, 0.003, 0.01), 32


@dataclass(frozen=True)
class Data:
    """Inputs and targets in three parts: to train on, to choose the rate on, to report."""

    x: Tensor
    y: Tensor
    cuts: tuple[int, int]

    def part(self, n: int) -> slice:
        """The rows of a part."""
        return slice((0, *self.cuts)[n], (*self.cuts, len(self.x))[n])


@dataclass(frozen=True)
class Net:
    """A net with its task.

    Attributes:
        build: The net as its author starts it, drawn from torch's generator.
        data: What it learns.
        steps: Of Adam.
        metric: ``accuracy``, or ``error``: the mean squared error over the variance of the targets.
        is_stacked: Whether all seeds and rates run as one; recurrent layers have no such form.
    """

    build: Callable[[], nn.Module]
    data: Callable[[], Data]
    steps: int = 200
    metric: str = "accuracy"
    is_stacked: bool = True

    @property
    def sign(self) -> float:
        """1 where more is better."""
        return 1.0 if self.metric == "accuracy" else -1.0


class Rows(nn.Module):
    """A recurrent net over the rows of an image."""

    def __init__(self, cell: nn.Module, width: int) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, of the last state."""
        out: Tensor = self.head(self.cell(x)[0][:, -1])
        return out


class Encoder(nn.Module):
    """Two post-norm layers of a transformer over the rows of an image."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.place = nn.Parameter(torch.randn(8, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, of the mean over the rows."""
        out: Tensor = self.head(self.encoder(self.embed(x) + self.place).mean(1))
        return out


class DeepSet(nn.Module):
    """A net of each point, the mean over the points, and a net of that."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.each = nn.Sequential(
            nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.rest = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """One number a set."""
        out: Tensor = self.rest(self.each(x).mean(1))
        return out


class MixerBlock(nn.Module):
    """Mixes places, then channels (Tolstikhin et al. 2021, arXiv:2105.01601)."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.tokens = nn.Sequential(nn.Linear(places, 2 * places), nn.GELU(), nn.Linear(2 * places, places))
        self.channels = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """The stream with what both add."""
        x = x + self.tokens(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.channels(self.norms[1](x))
        return out


class Mixer(nn.Module):
    """An MLP-Mixer over the 16 patches of an image."""

    def __init__(self, width: int = 24, depth: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.blocks = nn.Sequential(*(MixerBlock(16, width) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        tokens = self.patches(x[:, None]).flatten(2).transpose(1, 2)
        out: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return out


class Siren(nn.Module):
    """sin(30 (W x + b)), started as its authors do (Sitzmann et al. 2020, arXiv:2006.09661, section 3.2)."""

    def __init__(self, width: int = 64, depth: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2 if i == 0 else width, width) for i in range(depth)])
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The brightness at a place."""
        for layer in self.layers:
            x = torch.sin(30.0 * layer(x))
        out: Tensor = self.head(x)
        return out


class SirenOfItsAuthors(Siren):
    """The same, with the start of the paper."""

    def __init__(self) -> None:
        super().__init__()
        for at, layer in enumerate([*self.layers, self.head]):
            n = layer.weight.shape[1]
            bound = 1.0 / n if at == 0 else math.sqrt(6.0 / n) / 30.0
            nn.init.uniform_(layer.weight, -bound, bound)


class Highway(nn.Module):
    """Twenty layers that start nearly open (Srivastava et al. 2015, arXiv:1505.00387, section 2.1)."""

    def __init__(self, width: int = 32, depth: int = 20) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(64, width), nn.Linear(width, 10)
        self.made = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.gates = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        for name, held in self.gates.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(held, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.first(x.flatten(1))
        for made, gate in zip(self.made, self.gates, strict=True):
            t = torch.sigmoid(gate(x))
            x = torch.relu(made(x)) * t + x * (1.0 - t)
        out: Tensor = self.head(x)
        return out


def chain(sizes: tuple[int, ...], f: type[nn.Module]) -> Callable[[], nn.Module]:
    """A multilayer perceptron."""

    def build() -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        for n, m in pairwise(sizes[:-1]):
            layers += [nn.Linear(n, m), f()]
        return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))

    return build


def digits() -> Data:
    """The 1797 digits, scaled to mean 0 and variance 1."""
    task = initlab.load_task("digits")
    x = torch.tensor(np.concatenate([task.x_train, task.x_test]).reshape(-1, 8, 8), dtype=torch.float32)
    y = torch.tensor(np.concatenate([task.y_train, task.y_test]), dtype=torch.int64)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(5))
    return Data(((x - x.mean()) / x.std())[order], y[order], (1000, 1400))


def images() -> Data:
    """The same digits as their own targets."""
    given = digits()
    return Data(given.x, given.x.flatten(1), given.cuts)


def eight_numbers() -> Data:
    """A smooth function of eight numbers with products in it, and noise of std 0.2 (Friedman 1991, equation 61)."""
    rng = np.random.default_rng(6)
    u = rng.random((2000, 8))
    y = 10 * np.sin(np.pi * u[:, 0] * u[:, 1]) + 20 * (u[:, 2] - 0.5) ** 2 + 10 * u[:, 3] + 5 * u[:, 4]
    y = (y - y.mean()) / y.std() + 0.2 * rng.standard_normal(2000)
    x = (u - 0.5) * math.sqrt(12.0)
    return Data(torch.tensor(x, dtype=torch.float32), torch.tensor(y[:, None], dtype=torch.float32), (1000, 1400))


def clouds() -> Data:
    """Sets of 12 points, each set with a centre and a spread of its own; the target is the log of the spread."""
    rng = np.random.default_rng(7)
    spread, centre = np.exp(0.5 * rng.standard_normal((2000, 1, 1))), rng.standard_normal((2000, 1, 3))
    x = centre + spread * rng.standard_normal((2000, 12, 3))
    y = 2.0 * np.log(spread[:, 0])
    return Data(torch.tensor(x / x.std(), dtype=torch.float32), torch.tensor(y, dtype=torch.float32), (1000, 1400))


def picture() -> Data:
    """Places of a square and a brightness with detail of many sizes; half of the places are to be filled in."""
    rng = np.random.default_rng(8)
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 24)), -1).reshape(-1, 2)
    waves = rng.uniform(-14.0, 14.0, (24, 2))
    y = np.cos(grid @ waves.T + rng.uniform(0, 2 * np.pi, 24)).sum(1)
    order = rng.permutation(len(grid))
    x, y = grid[order], ((y - y.mean()) / y.std())[order, None]
    return Data(torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32), (400, 480))


NETS = {
    "post-LN encoder x 2": Net(Encoder, digits),
    "regression 8-64-64-64-1": Net(chain((8, 64, 64, 64, 1), nn.ReLU), eight_numbers, 300, "error"),
    "DeepSets, mean": Net(DeepSet, clouds, metric="error"),
    "MLP-Mixer x 2": Net(Mixer, digits),
    "SIREN, torch's start": Net(Siren, picture, 300, "error"),
    "SIREN, its authors' start": Net(SirenOfItsAuthors, picture, 300, "error"),
    "highway x 20, gate bias -2": Net(Highway, digits),
    "tanh x 4": Net(chain((64, 64, 64, 64, 64, 10), nn.Tanh), digits),
    "sigmoid x 2": Net(chain((64, 64, 64, 10), nn.Sigmoid), digits),
    "GRU": Net(lambda: Rows(nn.GRU(8, 32, batch_first=True), 32), digits, is_stacked=False),
    "LSTM": Net(lambda: Rows(nn.LSTM(8, 32, batch_first=True), 32), digits, is_stacked=False),
    "autoencoder 64-32-8-32-64": Net(chain((64, 32, 8, 32, 64), nn.ReLU), images, metric="error"),
}


def started(net: Net, data: Data) -> list[nn.Module]:
    """A model for each start and seed."""
    models = []
    for start in STARTS:
        for seed in SEEDS:
            torch.manual_seed(seed)
            model = net.build()
            STARTS[start](model, seed, data.x[:BATCH])
            models.append(model)
    return models


def by_auto(model: nn.Module, seed: int, example: Tensor) -> None:
    """Start as ``auto`` says."""
    initlab.initialize(model, "auto", seed=seed, example=example)


STARTS: dict[str, Callable[[nn.Module, int, Tensor], None]] = {"default": lambda *_: None, "auto": by_auto}


def _loss(net: Net, out: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(out, y) if net.metric == "accuracy" else functional.mse_loss(out, y)


def trained(net: Net, data: Data) -> np.ndarray:
    """The validation and the test metric of each start, seed and rate: an array of these four axes.

    All nets train at once; that Adam is written out gives each its own rate.
    """
    models = [model for model in started(net, data) for _ in RATES]
    params, buffers = stack_module_state(models)
    params = {name: value.detach() for name, value in params.items()}
    rates = torch.tensor(RATES).repeat(len(models) // len(RATES))
    skeleton = models[0]

    def run(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor) -> Tensor:
        out: Tensor = functional_call(skeleton, (p, b), (x,))
        return out

    def loss(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return _loss(net, run(p, b, x), y)

    mapped = vmap if net.is_stacked else one_by_one
    slopes = mapped(grad(loss))
    first = {name: torch.zeros_like(value) for name, value in params.items()}
    second = {name: torch.zeros_like(value) for name, value in params.items()}
    train = data.x[data.part(0)], data.y[data.part(0)]
    makers = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    for step in range(1, net.steps + 1):
        rows = torch.stack([torch.randint(len(train[0]), (BATCH,), generator=maker) for maker in makers])
        rows = rows.repeat_interleave(len(RATES), 0).repeat(len(STARTS), 1)
        found = slopes(params, buffers, train[0][rows], train[1][rows])
        for name, slope in found.items():
            first[name].mul_(0.9).add_(slope, alpha=0.1)
            second[name].mul_(0.999).addcmul_(slope, slope, value=0.001)
            size = (second[name] / (1 - 0.999**step)).sqrt_().add_(1e-8)
            rate = (rates / (1 - 0.9**step)).view(-1, *(1,) * (slope.ndim - 1))
            params[name] = params[name] - rate * first[name] / size
    alike = {n: data.x[data.part(n)].expand(len(models), *data.x[data.part(n)].shape) for n in (1, 2)}
    return np.stack([_measured(net, data, n, mapped(run)(params, buffers, alike[n])) for n in (1, 2)])


def one_by_one(f: Callable[..., Any]) -> Callable[..., Any]:
    """What ``vmap`` makes of a function, in a loop."""

    def stacked(*parts: Tensor) -> Tensor:
        return torch.stack(parts)

    def mapped(*given: Any) -> Any:
        many = len(tree_leaves(given)[0])
        made = [f(*tree_map(itemgetter(n), given)) for n in range(many)]
        return tree_map(stacked, *made)

    return mapped


def _measured(net: Net, data: Data, part: int, out: Tensor) -> np.ndarray:
    y = data.y[data.part(part)]
    if net.metric == "accuracy":
        found = (out.argmax(-1) == y).double().mean(-1)
    else:
        found = ((out - y) ** 2).double().mean(tuple(range(1, out.ndim))) / y.var(0, unbiased=False).mean()
    return found.reshape(len(STARTS), len(SEEDS), len(RATES)).numpy()


def row(name: str, net: Net) -> str:
    """A row of the table, in Markdown."""
    validation, test = trained(net, net.data())
    validation = np.nan_to_num(validation, nan=-net.sign * np.inf)
    best = [int(np.argmax(net.sign * validation[n].mean(0))) for n in range(2)]
    default, auto = (test[n, :, best[n]] for n in range(2))
    apart = auto - default
    error = stats.sem(apart) * stats.t.ppf(0.975, len(apart) - 1)
    low, high = sorted(net.sign * (apart.mean() + side * error) for side in (-1, 1))
    verdict = "better" if low > 0 else "worse" if high < 0 else "no difference seen"
    numbers = f"{default.mean():.3f} | {auto.mean():.3f} | {apart.mean():+.3f} ± {error:.3f}"
    rates = " and ".join(f"{RATES[n]:g}" for n in best)
    return f"| {name} | {net.metric} | {numbers} | {rates} | {verdict} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("nets", nargs="*", help="words of the nets' names; all where left out")
    words = [word.lower() for word in parser.parse_args().nets]
    torch.set_num_threads(1)
    print("| net | metric | default | auto | difference | rates | auto is |\n|---|---|---|---|---|---|---|", flush=True)
    for name, net in NETS.items():
        if not words or any(word in name.lower() for word in words):
            begun = time.perf_counter()
            with sdpa_kernel(SDPBackend.MATH):  # the others have no stacked form
                print(row(name, net), flush=True)
            print(f"  {name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
