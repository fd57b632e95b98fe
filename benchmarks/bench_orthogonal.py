"""Square orthogonal matrices, float64 with their draws, beside `torch.nn.init.orthogonal_` in float32, on one thread.

The numbers come from a process of its own, in which BLAS has one thread and picks its kernels by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median
from time import perf_counter

SIDES = {1024: 9, 4096: 3}  # side: rounds
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "INITLAB_NUM_THREADS": "1"}
CHILD = "--in-this-process"


def run() -> list[tuple[int, float, float, float]]:
    """Side, our milliseconds, PyTorch's, and the largest error of ``Q^T Q = I``."""
    import numpy as np
    import torch

    from initlab.core.draws.householder import stiefel
    from initlab.core.draws.streams import stream

    torch.set_num_threads(1)
    rows = []
    for side, rounds in SIDES.items():
        source, weight = stream(0, "weight"), torch.empty(side, side)
        q = stiefel(side, side, source)
        torch.nn.init.orthogonal_(weight)
        times: list[tuple[float, float]] = []
        for _ in range(rounds):
            start = perf_counter()
            stiefel(side, side, source)
            middle = perf_counter()
            torch.nn.init.orthogonal_(weight)
            times.append((middle - start, perf_counter() - middle))
        ours, theirs = (1e3 * median(column) for column in zip(*times, strict=True))
        rows.append((side, ours, theirs, float(np.abs(q.T @ q - np.eye(side)).max())))
    return rows


def main() -> None:
    if CHILD not in sys.argv:
        chosen = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
        subprocess.run([sys.executable, __file__, CHILD], env={**chosen, **ONE_THREAD}, check=True)
        return
    print(f"{'side':>6}{'initlab ms':>12}{'torch ms':>10}{'torch / initlab':>17}{'aim':>6}{'error':>10}")
    for side, ours, theirs, error in run():
        print(f"{side:6}{ours:12.0f}{theirs:10.0f}{theirs / ours:17.2f}{1.0:6.1f}{error:10.1e}")


if __name__ == "__main__":
    main()
