"""Studies whose truth is known, judged by the code that judges real ones: the numbers of ``docs/statistics.md``.

python docs/simulations.py                # every table
python docs/simulations.py divergence     # one of them
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import stdtrit

from initlab.study.elsewhere.judging import Trial, compare_trials, noise_floor, worth_of
from initlab.study.signflips import sign_patterns
from initlab.study.splits import spread_of
from initlab.study.stats import signed_ranks

Scores = NDArray[np.float64]
STUDIES, PATTERNS = 500, 2048


def diverging(rng: Generator, *, schemes: int, seeds: int, shares: dict[int, float]) -> Scores:
    """Equal schemes on common seeds, half of the variance the seed's; each loses its share of runs to divergence."""
    scores: Scores = 0.9 + 0.02 * (rng.normal(size=seeds) + rng.normal(size=(schemes, seeds))) / np.sqrt(2)
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


ROWS, TESTED = 150, 30
ROW, TRAINED = 0.11, 0.05
"""Std of a row's effect, which is 2 points in the mean of 30; of what a row does when it is trained on."""


def split_scores(rng: Generator, *, schemes: int, splits: int, seeds: int, effect: float, noise: float) -> Scores:
    """(studies, schemes, splits, seeds): 150 rows a study, split again and again; scheme 0 is better by the effect.

    The truth is the difference that is expected over such data sets: the effect.
    """
    hardness = rng.normal(size=(STUDIES, schemes, ROWS)) * ROW
    taught = rng.normal(size=(STUDIES, schemes, ROWS)) * TRAINED
    order = rng.random((STUDIES, splits, ROWS)).argsort(axis=-1)
    is_test = order < TESTED
    told = np.einsum("akr,asr->aks", hardness, is_test) / TESTED
    told += np.einsum("akr,asr->aks", taught, ~is_test) / (ROWS - TESTED)
    scores: Scores = told[..., None] + noise * rng.normal(size=(STUDIES, schemes, splits, seeds))
    scores[:, 0] += effect
    return scores


def errors(found: Scores, ratio: float) -> dict[str, Scores]:
    """Standard errors of the mean over the last two axes, splits and seeds, by four formulas."""
    splits, seeds = found.shape[-2:]
    between, within = found.mean(-1).var(-1, ddof=1), found.var(-1, ddof=1).mean(-1)
    whole = found.reshape(*found.shape[:-2], -1).var(-1, ddof=1)
    return {
        "this one": np.sqrt(between * (1 / splits + ratio)),
        "less seeds": np.sqrt(between / splits + ratio * np.maximum(0, between - within / seeds)),
        "naive t": np.sqrt(between / splits),
        "all runs alike": np.sqrt(whole / (splits * seeds)),
    }


def splits() -> None:
    """Coverage, false alarms and power of the answer about other data of the same size."""
    ratio = TESTED / (ROWS - TESTED)
    print("150 rows, 30 of them tested; of studies, %; all pairs at once; width: half an interval, points")
    print(f"{'schemes':>7} {'splits':>6} {'seeds':>5} {'noise':>5}  {'formula':<14} {'cover':>6} {'alarms':>6}", end="")
    print(f" {'power':>6} {'width':>6}")
    shapes = ((2, 5, 3), (2, 5, 10), (2, 5, 30), (2, 10, 3), (4, 5, 3), (4, 10, 3), (12, 5, 3), (12, 10, 3))
    for schemes, count, seeds in shapes:
        for noise in (0.02, 0.06):
            told = {effect: _told(schemes, count, seeds, effect, ratio, noise) for effect in (0.0, 0.06)}
            for name in told[0.0]:
                held, alarms, _, width = told[0.0][name]
                planted, _, power, _ = told[0.06][name]
                lead = f"{schemes:>7} {count:>6} {seeds:>5} {100 * noise:>5.0f}  {name:<14} "
                print(lead + f"{(held + planted) / 2:>6.1f} {alarms:>6.1f} {power:>6.1f} {width:>6.1f}")
    one = split_scores(np.random.default_rng(3), schemes=2, splits=5, seeds=4, effect=0.0, noise=0.02)[0]
    assert np.isclose(errors(one[0] - one[1], ratio)["this one"], spread_of(one[0] - one[1], ratio).error)


def _told(
    schemes: int, count: int, seeds: int, effect: float, ratio: float, noise: float
) -> dict[str, tuple[float, ...]]:
    """By formula: all intervals hold the truth, an equal pair is called, a planted one is called, half a width."""
    rng = np.random.default_rng([schemes, count, seeds, int(1000 * effect), int(1000 * noise)])
    scores = split_scores(rng, schemes=schemes, splits=count, seeds=seeds, effect=effect, noise=noise)
    first, second = np.triu_indices(schemes, 1)
    found = scores[:, first] - scores[:, second]
    truth = np.where(first == 0, effect, 0.0)
    told = {}
    for name, error in errors(found, ratio).items():
        free = count * seeds - 1 if name == "all runs alike" else count - 1
        half = stdtrit(free, 1 - 0.025 / len(first)) * error
        mean = found.mean((-2, -1))
        held = (np.abs(mean - truth) <= half).all(-1).mean()
        called = np.abs(mean) > half
        alarms, power = called[:, truth == 0].any(-1).mean(), called[:, first == 0].mean()
        told[name] = tuple(100 * float(x) for x in (held, alarms, power, half.mean()))
    return told


RATES, TUNED = 10, 5
"""Learning rates of a grid; seeds of a scheme that choose one."""
NOISY, QUIET, ROWS_NOISE = 0.06, 0.01, 0.01
"""Std over seeds of the scheme whose runs are noisy, of the others; of what other rows than the test's say of a run."""


def tuned_scores(rng: Generator, *, schemes: int, seeds: int, by: str, effect: float) -> Scores:
    """(studies, schemes, seeds): each scheme at the rate of 10 that was chosen; scheme 0 is noisy.

    All schemes are equal at all rates, but for the effect, by which the last one is better at one rate.

    Args:
        rng: Draws the studies.
        schemes: How many.
        seeds: Of a scheme that are reported.
        by: What chooses: ``reported seeds`` by their own validation rows, or ``other seeds`` by theirs.
        effect: The planted difference.
    """
    spread = np.full((schemes, 1, 1), QUIET)
    spread[0] = NOISY

    def runs(count: int) -> Scores:
        found: Scores = 0.9 + spread * rng.normal(size=(STUDIES, schemes, RATES, count))
        found[:, -1, 3] += effect
        return found

    reported = runs(seeds)
    tuning = reported if by == "reported seeds" else runs(min(seeds, TUNED))
    seen = (tuning + ROWS_NOISE * rng.normal(size=tuning.shape)).mean(-1)
    at: Scores = np.take_along_axis(reported, seen.argmax(-1)[:, :, None, None], 2)[:, :, 0]
    return at


def tuning() -> None:
    """False alarms and power where each scheme gets its own best of 10 learning rates."""
    print("10 learning rates, one scheme with noisy runs; of studies, %")
    print(f"{'schemes':>7} {'seeds':>5}  {'chosen on':<14} {'alarms':>6} {'power':>6}")
    for schemes in (2, 4):
        first, second = np.triu_indices(schemes, 1)
        for seeds in (6, 10, 20, 30):
            signs = sign_patterns(seeds)[:PATTERNS].astype(np.float64).T
            for by in ("reported seeds", "other seeds"):
                told = []
                for effect in (0.0, 0.02):
                    rng = np.random.default_rng([schemes, seeds, int(1000 * effect), len(by)])
                    scores = tuned_scores(rng, schemes=schemes, seeds=seeds, by=by, effect=effect)
                    rows = scores[:, first] - scores[:, second]
                    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
                    largest = np.abs(rows @ signs).max(1)
                    p = np.mean(largest[:, None] >= np.abs(rows.sum(-1))[..., None] - 1e-9, axis=-1)
                    is_planted = (second == schemes - 1) & (first != 0)
                    told.append((p <= 0.05)[:, is_planted if effect and schemes > 2 else slice(None)].any(-1).mean())
                print(f"{schemes:>7} {seeds:>5}  {by:<14} {100 * told[0]:>6.1f} {100 * told[1]:>6.1f}")


HUNTS = 2000


def hunts() -> None:
    """Hunts for a gain where there is none: how often the best of many tries is called better than the baseline."""
    print(f"of {HUNTS:,} hunts without any gain, %: the best of the tries is called better than the baseline")
    print("tries runs baseline seeds    greedy luck <= 5 % claimed")
    for plan in ((12, 1, 6, False), (4, 6, 6, True)):
        rng = np.random.default_rng([*plan, 6])
        greedy, luck, claimed = 100 * np.mean([_hunt(rng, *plan) for _ in range(HUNTS)], axis=0)
        tries, runs, repeats, paired = plan
        seeds = "common" if paired else "none"
        print(f"{tries:>5} {runs:>4} {repeats:>8} {seeds:<8} {greedy:>6.1f} {luck:>11.1f} {claimed:>7.1f}")


def _hunt(rng: Generator, tries: int, runs: int, repeats: int, paired: bool) -> tuple[bool, bool, bool]:
    """Whether a hunt without a gain finds one: by the mean alone, by luck of 5 % at most, by the claim."""
    common = rng.normal(size=repeats) if paired else np.zeros(repeats)
    named = [str(k) for k in range(repeats)] if paired else [""] * repeats
    trials = [Trial("baseline", tuple((common + rng.normal(size=repeats)).tolist()), tuple(named))]
    for k in range(tries):
        trials.append(Trial(f"try {k}", tuple((common[:runs] + rng.normal(size=runs)).tolist()), tuple(named[:runs])))
    pairs = compare_trials(trials, baseline="baseline", paired=paired)
    worth = worth_of(trials, noise_floor(trials), pairs, baseline="baseline")
    return (
        (worth is not None and worth.lead > 0),
        (worth is not None and worth.share <= 0.05),
        any(pair.p is not None and pair.p <= 0.05 and pair.ahead < 0 for pair in pairs if pair.first == "baseline"),
    )


TABLES: dict[str, Callable[[], None]] = {
    "divergence": divergence,
    "splits": splits,
    "tuning": tuning,
    "hunts": hunts,
}


def main() -> None:
    """Print the tables that are asked for."""
    for name in sys.argv[1:] or TABLES:
        TABLES[name]()
        print()


if __name__ == "__main__":
    main()
