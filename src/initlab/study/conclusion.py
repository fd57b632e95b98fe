"""What a study says, in one or two sentences that always give the effect, its interval and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from initlab.study.records import Estimate, Pair
from initlab.study.stats import fewest_seeds, smallest_p
from initlab.study.wording import Metric, Scale, listed, p_text, scale_for, seeds_text

SURE = 0.05


@dataclass(frozen=True)
class Findings:
    """All that a conclusion is drawn from.

    Attributes:
        scores: By scheme, in the study's order, the scores that were compared, where more is better: accuracies in
            [0, 1], or losses with their sign turned.
        pairs: All pairs of these schemes.
        metric: What the scores are.
        planned: Runs planned.
        diverged: Runs that diverged.
        failed: Runs that failed, timed out or were skipped.
        stand_in: The score that a diverged run was given.
    """

    scores: Mapping[str, Estimate]
    pairs: Sequence[Pair]
    metric: Metric
    planned: int
    diverged: int
    failed: int
    stand_in: float


@dataclass(frozen=True)
class _Contest:
    """A pair seen from the best scheme: ``gap`` is best minus rival, ``worse`` the seeds where the rival is behind."""

    rival: str
    gap: float
    interval: tuple[float, float] | None
    p: float | None
    worse: int
    seeds: int


def best_of(scores: Mapping[str, Estimate]) -> str:
    """The scheme with the highest mean; the first of them where several share it.

    Example:
        >>> best_of({"zeros": Estimate(0.3, None, None, (0.3,)), "he_normal": Estimate(0.9, None, None, (0.9,))})
        'he_normal'
    """
    return max(scores, key=lambda name: _mean(scores[name]))


def conclude(findings: Findings) -> str:
    """The study's answer in plain English.

    Args:
        findings: Scores, pairs and counts of runs.

    Returns:
        The answer, and a further sentence where runs diverged or did not finish.

    Example:
        >>> high, low = Estimate(0.9, 0.85, 0.95, (0.9,) * 20), Estimate(0.3, 0.3, 0.3, (0.3,) * 20)
        >>> pair = Pair("he_normal", "zeros", difference=0.6, low=0.55, high=0.65, p=2**-15, wins=20, losses=0, ties=0)
        >>> scores = {"he_normal": high, "zeros": low}
        >>> print(conclude(Findings(scores, (pair,), "test_accuracy", planned=40, diverged=0, failed=0, stand_in=0.3)))
        he_normal is best (90.0 %): 60.0 points above zeros [55.0, 65.0], which is worse in 20 of 20 seeds
        (p < 0.001).
    """
    if findings.diverged + findings.failed >= findings.planned:
        return _nothing_finished(findings)
    best = best_of(findings.scores)
    contests = _contests(findings.pairs, best)
    if not contests:
        text = _single(findings, best)
    elif all(contest.p is None for contest in contests):
        text = _too_few(findings, best, contests[0])
    elif all(pair.wins == pair.losses == 0 for pair in findings.pairs):
        text = _all_equal(findings, best, contests[0])
    else:
        text = _ranking(findings, best, contests)
    return text + _incomplete(findings)


def _mean(score: Estimate) -> float:
    return -math.inf if score.mean is None else score.mean


def _contests(pairs: Sequence[Pair], best: str) -> list[_Contest]:
    """The best scheme's pairs, its closest rival first, rivals that share no finished seed last."""
    contests = []
    for pair in pairs:
        seeds = pair.wins + pair.losses + pair.ties
        ends = None if pair.low is None or pair.high is None else (pair.low, pair.high)
        if pair.first == best:
            contests.append(_Contest(pair.second, pair.difference, ends, pair.p, pair.wins, seeds))
        elif pair.second == best:
            turned = None if ends is None else (-ends[1], -ends[0])
            contests.append(_Contest(pair.first, -pair.difference, turned, pair.p, pair.losses, seeds))
    return sorted(contests, key=lambda contest: (math.isnan(contest.gap), contest.gap))


def _ranking(findings: Findings, best: str, contests: Sequence[_Contest]) -> str:
    """Some difference was seen: who is ahead of whom, and by the closest rival that is behind, how far."""
    beaten = [c for c in contests if c.p is not None and c.p <= SURE and c.gap > 0]
    level = [c for c in contests if c.p is not None and c not in beaten]
    untested = [c.rival for c in contests if c.p is None]
    nearest = (beaten or level)[0]
    value, effect = _scale(findings, nearest).value(_mean(findings.scores[best])), _effect(findings, nearest)
    if not beaten:
        text = f"No clear winner: {best} has the best mean ({value}), {effect}."
    elif level or untested:
        text = f"{best} has the best mean ({value}): {effect}."
    else:
        over = f", ahead of each of the {len(beaten)} others" if len(beaten) > 1 else ""
        text = f"{best} is best ({value}){over}: {effect}."
    if beaten and level:
        text += f" It cannot be told from {_with_p(level)}."
    elif level[1:]:
        text += f" Nor can it be told from {_with_p(level[1:])}."
    return text + (f" Too few runs of {listed(untested)} finished to tell." if untested else "")


def _all_equal(findings: Findings, best: str, contest: _Contest) -> str:
    schemes = "Both" if len(findings.scores) == 2 else f"All {len(findings.scores)}"
    scale = _scale(findings, contest)
    value, ends = scale.value(_mean(findings.scores[best])), scale.ends(contest.interval)
    return (
        f"{schemes} schemes did the same in every seed ({value}): the best is {scale.gap(0.0)} the others{ends}, "
        f"which are worse in 0 of {seeds_text(contest.seeds)} ({p_text(1.0)})."
    )


def _too_few(findings: Findings, best: str, contest: _Contest) -> str:
    if not contest.seeds:
        return f"Nothing to compare: no seed finished under both {best} and another scheme."
    scale = _scale(findings, contest)
    return (
        f"{seeds_text(contest.seeds)} cannot tell a difference from chance: {best} has the best mean "
        f"({scale.value(_mean(findings.scores[best]))}), {scale.gap(contest.gap)} {contest.rival}, which is worse in "
        f"{contest.worse} of {contest.seeds}. Even the same winner in every seed would have "
        f"{p_text(smallest_p(contest.seeds))} and no 95 % interval; it takes {fewest_seeds()} seeds or more."
    )


def _single(findings: Findings, best: str) -> str:
    score = findings.scores[best]
    ends = None if score.low is None or score.high is None else (score.low, score.high)
    scale = scale_for(findings.metric, _mean(score) if ends is None else (ends[1] - ends[0]) / 2)
    if ends is not None and findings.metric == "test_loss":
        ends = -ends[1], -ends[0]
    value = f"{scale.value(_mean(score))}{scale.ends(ends)}"
    seeds = seeds_text(sum(kept is not None for kept in score.per_seed))
    return f"Only {best} was run ({value}, {seeds}): a comparison takes a second scheme."


def _nothing_finished(findings: Findings) -> str:
    if not findings.failed:
        return f"Nothing to compare: all {findings.planned} runs diverged."
    if not findings.diverged:
        return f"Nothing to compare: none of the {findings.planned} runs finished."
    return f"Nothing to compare: of {findings.planned} runs {findings.diverged} diverged and the others did not finish."


def _incomplete(findings: Findings) -> str:
    text = ""
    if findings.diverged:
        stand_in = scale_for(findings.metric, findings.stand_in).value(findings.stand_in)
        count = "counts" if findings.diverged == 1 else "count"
        text += f" {findings.diverged} of {findings.planned} runs diverged and {count} as {stand_in}."
    if findings.failed:
        are = "is" if findings.failed == 1 else "are"
        text += f" {findings.failed} of {findings.planned} runs did not finish and {are} left out."
    return text


def _effect(findings: Findings, contest: _Contest) -> str:
    """E.g. ``2.1 points above zeros [0.4, 3.8], which is worse in 17 of 20 seeds (p = 0.003)``."""
    scale = _scale(findings, contest)
    p = "" if contest.p is None else p_text(contest.p)
    tested = sum(pair.p is not None for pair in findings.pairs)
    corrected = f", corrected for all {tested} pairs" if tested > 1 else ""
    return (
        f"{scale.gap(contest.gap)} {contest.rival}{scale.ends(contest.interval)}, which is worse in "
        f"{contest.worse} of {seeds_text(contest.seeds)} ({p}{corrected})"
    )


def _scale(findings: Findings, contest: _Contest) -> Scale:
    ends = contest.interval
    return scale_for(findings.metric, contest.gap if ends is None else (ends[1] - ends[0]) / 2)


def _with_p(contests: Sequence[_Contest]) -> str:
    """Rivals and the smallest of their p values: ``zeros and ones (p = 0.11 or more)``."""
    smallest = p_text(min(c.p for c in contests if c.p is not None))
    return f"{listed([c.rival for c in contests])} ({smallest}{' or more' if len(contests) > 1 else ''})"
