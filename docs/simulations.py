"""Studies whose truth is known, judged by the code that judges real ones: the numbers of ``docs/statistics.md``.

python docs/simulations.py                # every table
python docs/simulations.py divergence     # one of them
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from initlab.study.signflips import sign_patterns
from initlab.study.stats import signed_ranks

Scores = NDArray[np.float64]
STUDIES, PATTERNS = 500, 2048


def diverging(rng: np.random.Generator, *, schemes: int, seeds: int, shares: dict[int, float]) -> Scores:
    """Equal schemes on common seeds, half of the variance the seed's; each loses its share of runs to divergence."""
    scores = 0.9 + 0.02 * (rng.normal(size=seeds) + rng.normal(size=(schemes, seeds))) / np.sqrt(2)
    for scheme, share in shares.items():
        scores[scheme, rng.random(seeds) < share] = -np.inf
    return scores


def dropped(scores: Scores) -> Scores:
    """The same with diverged runs left out, as if they had failed."""
    left: Scores = np.where(np.isneginf(scores), np.nan, scores)
    return left


def adjusted_p(tests: Scores) -> Scores:
    """The max-T p of each row by sign flips, as ``study.signflips`` has it, by at most 2,048 patterns."""
    signs = sign_patterns(tests.shape[1])[:PATTERNS].astype(np.float64)
    norms = np.sqrt(np.nansum(tests**2, axis=1))
    known = np.nan_to_num(tests) / np.where(norms > 0, norms, 1.0)[:, None]
    largest = np.abs(known @ signs.T).max(axis=0)
    p: Scores = np.mean(largest[None, :] >= np.abs(known.sum(axis=1))[:, None] - 1e-9, axis=1)
    return p


def _differences(scores: Scores) -> Scores:
    first, second = np.triu_indices(len(scores), 1)
    with np.errstate(invalid="ignore"):
        found = scores[first] - scores[second]
    return np.where(np.isneginf(scores[first]) & np.isneginf(scores[second]), 0.0, found)


def _judged(scores: Scores) -> tuple[Scores, Scores]:
    """The rows that are tested, and their p: signed ranks where a run of the pair diverged."""
    found = _differences(scores)
    lost = np.isneginf(scores[np.stack(np.triu_indices(len(scores), 1))]).any(axis=0)
    rows = np.where(np.any(lost, axis=1, keepdims=True), signed_ranks(found), found)
    return rows, adjusted_p(rows)


def divergence() -> None:
    """Level and power of signed ranks where runs diverge, and what leaving such seeds out would do."""
    print("false alarms, %: schemes are equal, and each diverges in the same share of its runs")
    print(f"{'schemes':>8} {'seeds':>6} {'10 %':>6} {'30 %':>6} {'60 %':>6}")
    for schemes in (2, 4, 12):
        for seeds in (6, 10, 20, 30):
            cells = []
            for share in (0.1, 0.3, 0.6):
                rng, alarms = np.random.default_rng([schemes, seeds, int(100 * share)]), 0
                for _ in range(STUDIES):
                    scores = diverging(rng, schemes=schemes, seeds=seeds, shares=dict.fromkeys(range(schemes), share))
                    alarms += bool((_judged(scores)[1] <= 0.05).any())
                cells.append(100 * alarms / STUDIES)
            print(f"{schemes:>8} {seeds:>6} " + " ".join(f"{cell:>6.1f}" for cell in cells))
    print()
    rng, lost, won = np.random.default_rng(7), 0, 0
    for _ in range(STUDIES):
        scores = diverging(rng, schemes=2, seeds=20, shares={1: 0.6})
        scores[1] += 0.025
        rows, p = _judged(scores)
        lost += bool(p[0] <= 0.05 and rows[0].sum() > 0)
        kept = _differences(dropped(scores))
        won += bool(np.isfinite(kept).sum() >= 6 and adjusted_p(kept)[0] <= 0.05 and np.nansum(kept) < 0)
    print("a scheme that is 2.5 points better where it finishes, and diverges in 60 % of 20 runs: in % of studies")
    print(f"it loses {100 * lost / STUDIES:.0f}; with its seeds left out it would win {100 * won / STUDIES:.0f}")


TABLES: dict[str, Callable[[], None]] = {"divergence": divergence}


def main() -> None:
    """Print the tables that are asked for."""
    for name in sys.argv[1:] or TABLES:
        TABLES[name]()
        print()


if __name__ == "__main__":
    main()
