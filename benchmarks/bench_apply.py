"""Plan and write a torch model of 33.6 million parameters, beside ``nn.init`` on every tensor by hand and anyinit.

Printed are the medians of interleaved runs, their ratios to the work by hand, and the extra memory at its peak.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from torch import nn

import initlab

WIDTH, DEPTH, REPEATS = 2048, 8, 7
PAGE = os.sysconf("SC_PAGE_SIZE")


def build() -> nn.Sequential:
    layers = [layer for _ in range(DEPTH) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def by_hand(model: nn.Sequential) -> None:
    for module in model:
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)


def by_initlab(model: nn.Sequential) -> None:
    initlab.plan(model, "he_normal").apply(0)


def by_anyinit(model: nn.Sequential) -> None:
    import anyinit

    anyinit.initialize(model)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def measured(work: Callable[[nn.Sequential], None], model: nn.Sequential) -> tuple[float, float]:
    """Seconds, and megabytes above the start at the peak."""
    peak, done = resident(), threading.Event()
    before = peak

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = perf_counter()
    work(model)
    seconds = perf_counter() - start
    done.set()
    watcher.join()
    return seconds, (peak - before) / 1e6


def main() -> None:
    model = build()
    works = [by_hand, by_initlab]
    try:
        by_anyinit(model)
        works.append(by_anyinit)
    except ImportError:
        print("anyinit is not installed")
    for work in works:  # numba loads its kernels, torch its threads
        work(model)
    runs = [[measured(work, model) for work in works] for _ in range(REPEATS)]
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters")
    hand = median(seconds for seconds, _ in next(zip(*runs, strict=True)))
    for work, column in zip(works, zip(*runs, strict=True), strict=True):
        seconds = median(seconds for seconds, _ in column)
        extra = max(megabytes for _, megabytes in column)
        print(f"{work.__name__:12}{seconds:8.3f} s{seconds / hand:7.2f}x of by hand{extra:9.1f} MB extra")


if __name__ == "__main__":
    main()
