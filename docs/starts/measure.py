"""Trains every net from every start and writes ``docs/starts.csv``.

python docs/starts/measure.py      # about four minutes of one core

As ``compare`` does: each start has its own rate, chosen of three on two seeds of their own and on a fifth of the
training rows; six other seeds train at that rate on all of them, on the same batches. They train at 0.001 as well.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

import initlab
from initlab.tasks import load_task
from starts.metainit import gradinit, metainit
from starts.nets import NETS, Vit, chain, loss_of, mimetic, residual, selected, sinusoids

TABLE = Path(__file__).parents[1] / "starts.csv"
SEEDS, TUNING, FIRST_TUNING = 6, 2, 1_000_000
RATES, COMMON, STEPS, BATCH = (0.001, 0.003, 0.01), 0.001, 80, 64
DEAD, DEAD_NETS = "normal(std=0.01)", ("ReLU x 6",)
LARGER: dict[str, Callable[[], nn.Module]] = {
    "ReLU x 6": lambda: chain(nn.ReLU, 6, 128),
    "residual x 4, no norm": lambda: residual(128),
}

Rows = tuple[Tensor, Tensor]
Start = Callable[[nn.Module, int, Rows], None]


def batches(rows: Rows, seed: int) -> Iterator[Rows]:
    """Batches without end, in an order that the seed alone decides."""
    order, n = np.random.default_rng(seed), len(rows[0])
    while True:
        for at in np.array_split(order.permutation(n), n // BATCH):
            yield rows[0][at], rows[1][at]


def named(scheme: str) -> Start:
    """A scheme of initlab's, with a batch of training rows for those that look at one."""

    def start(model: nn.Module, seed: int, rows: Rows) -> None:
        initlab.initialize(model, scheme, seed=seed, example=next(batches(rows, seed))[0])

    return start


def learned(base: str, learn: Callable[..., None]) -> Start:
    """MetaInit or GradInit, from a scheme."""

    def start(model: nn.Module, seed: int, rows: Rows) -> None:
        named(base)(model, seed, rows)
        torch.manual_seed(seed)
        stream = batches(rows, seed)
        learn(model, lambda: next(stream))

    return start


def from_larger(net: str) -> Start:
    """A net of twice the width, trained as long as the small one will be, at rate 0.001; then its parts."""

    def start(model: nn.Module, seed: int, rows: Rows) -> None:
        torch.manual_seed(seed)
        large = LARGER[net]()
        initlab.initialize(large, "he_normal", seed=seed)
        train(large, rows, seed + 500, 0.001)
        selected(model, large)

    return start


def trained_before(model: nn.Module, seed: int, rows: Rows) -> None:
    """The net itself, trained for as long as it will be: what weight selection's data are worth."""
    named("he_normal")(model, seed, rows)
    train(model, rows, seed + 500, 0.001)


def attention(*, table: bool, weights: bool) -> Start:
    """Torch's own start, with the sinusoids, mimetic attention, or both."""

    def start(model: nn.Module, seed: int, rows: Rows) -> None:
        assert isinstance(model, Vit)
        if table:
            sinusoids(model)
        if weights:
            torch.manual_seed(seed)
            mimetic(model)

    return start


def starts(net: str) -> dict[str, Start]:
    """The starts of a net; the first is what the others are compared with."""
    if net == "attention x 1":
        return {
            "torch's own": attention(table=False, weights=False),
            "sinusoids alone": attention(table=True, weights=False),
            "mimetic, with sinusoids": attention(table=True, weights=True),
            "mimetic, without": attention(table=False, weights=True),
            "lsuv": named("lsuv"),
        }
    found = {scheme: named(scheme) for scheme in ("he_normal", "orthogonal", "lsuv", "zero_hadamard")}
    found |= {"MetaInit from He": learned("he_normal", metainit), "GradInit from He": learned("he_normal", gradinit)}
    if net in DEAD_NETS:
        found |= {DEAD: named(DEAD), f"MetaInit from {DEAD}": learned(DEAD, metainit)}
        found |= {f"GradInit from {DEAD}": learned(DEAD, gradinit), "lsuv(base=normal)": named("lsuv(base=normal)")}
    if net in LARGER:
        found |= {"weight selection": from_larger(net), "trained before": trained_before}
    return found


def train(model: nn.Module, rows: Rows, seed: int, rate: float) -> None:
    """Adam on ``STEPS`` batches."""
    rule, stream = torch.optim.Adam(model.parameters(), lr=rate), batches(rows, seed)
    for _ in range(STEPS):
        rule.zero_grad()
        loss_of(model, *next(stream)).backward()
        rule.step()


def score(net: str, start: Start, seed: int, rows: Rows, test: Rows, rates: tuple[float, ...]) -> dict[float, float]:
    """The share of test rows that is right, by rate, from one start."""
    torch.manual_seed(seed)
    model = NETS[net]()
    start(model, seed, rows)
    held = {name: value.clone() for name, value in model.state_dict().items()}
    found = {}
    for rate in rates:
        model.load_state_dict(held)
        train(model, rows, seed, rate)
        with torch.no_grad():
            found[rate] = float((model(test[0]).argmax(1) == test[1]).double().mean())
    return found


def main() -> None:
    """Write the table, a row a net, start and seed."""
    torch.set_num_threads(1)
    data = load_task("digits", preprocess="standardise")
    train_rows = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train.astype(np.int64))
    test = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test.astype(np.int64))
    cut = len(train_rows[0]) * 4 // 5
    part, validation = (train_rows[0][:cut], train_rows[1][:cut]), (train_rows[0][cut:], train_rows[1][cut:])
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["net", "start", "seed", "rate", "tuned", "at 0.001"])
        for net in NETS:
            for name, start in starts(net).items():
                begun = time.process_time()
                tried = [score(net, start, FIRST_TUNING + k, part, validation, RATES) for k in range(TUNING)]
                best = max(RATES, key=lambda rate: sum(one[rate] for one in tried))
                for seed in range(1, SEEDS + 1):
                    found = score(net, start, seed, train_rows, test, tuple({best: 0, COMMON: 0}))
                    table.writerow([net, name, seed, best, f"{found[best]:.4f}", f"{found[COMMON]:.4f}"])
                file.flush()
                print(f"{net}, {name}: rate {best}, {time.process_time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
