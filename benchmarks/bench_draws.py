"""Draws of a 4096 x 4096 float32 tensor beside PyTorch's initialisers: ratios of medians, the two in turn.

Both write into memory that is there already; the last rows make a new tensor each time, through the public call.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import torch

from initlab import draw
from initlab.core.draws import fast
from initlab.core.draws.streams import stream
from initlab.core.laws import Normal, TruncatedNormal, Uniform

SIDE = 4096
ROUNDS = 9
SLOW_ROUNDS = 3  # trunc_normal_ takes a second or more


@dataclass(frozen=True)
class Row:
    """One line of the table; the ratio is PyTorch's time by ours, so more is better."""

    what: str
    threads: int
    ours_ms: float
    torch_ms: float
    aim: float | None

    @property
    def ratio(self) -> float:
        """How many of ours fit into one of PyTorch's."""
        return self.torch_ms / self.ours_ms


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def compare(
    what: str, ours: Callable[[], object], theirs: Callable[[], object], threads: int, aim: float | None
) -> Row:
    os.environ[fast.THREADS] = str(threads)
    torch.set_num_threads(threads)
    ours()
    slow = seconds(theirs) > 0.5
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(SLOW_ROUNDS if slow else ROUNDS)]
    medians = [1e3 * median(column) for column in zip(*pairs, strict=True)]
    return Row(what, threads, medians[0], medians[1], aim)


def run() -> list[Row]:
    source, out = stream(0, "weight"), np.empty(SIDE * SIDE, np.float32)
    weight = torch.empty(SIDE, SIDE)
    init = torch.nn.init

    def fill(law: Normal | TruncatedNormal | Uniform) -> Callable[[], object]:
        return lambda: fast.fill(law.formula, source, 0, out)

    def new(law: Normal | Uniform) -> Callable[[], object]:
        return lambda: draw(law, (SIDE, SIDE), seed=0)

    normal, uniform = Normal(0.02), Uniform(-0.05, 0.05)
    rows = []
    for threads, aim in ((1, 1 / 1.15), (2, 1.6)):
        rows.append(compare("normal", fill(normal), lambda: init.normal_(weight, std=0.02), threads, aim))
        rows.append(compare("uniform", fill(uniform), lambda: init.uniform_(weight, -0.05, 0.05), threads, 2.0))
    cut = TruncatedNormal(0.02)
    torch_cut = lambda: init.trunc_normal_(weight, std=0.02, a=-0.04, b=0.04)  # noqa: E731
    rows.append(compare("truncated normal", fill(cut), torch_cut, 1, 12.0))
    rows.append(compare("normal, new", new(normal), lambda: init.normal_(torch.empty(SIDE, SIDE)), 2, None))
    rows.append(compare("uniform, new", new(uniform), lambda: init.uniform_(torch.empty(SIDE, SIDE)), 2, None))
    return rows


def main() -> None:
    print(f"{'law':18}{'threads':>8}{'initlab ms':>12}{'torch ms':>10}{'torch / initlab':>17}{'aim':>8}")
    for row in run():
        aim = f"{row.aim:.2f}" if row.aim else "-"
        print(f"{row.what:18}{row.threads:8}{row.ours_ms:12.1f}{row.torch_ms:10.1f}{row.ratio:17.2f}{aim:>8}")


if __name__ == "__main__":
    main()
