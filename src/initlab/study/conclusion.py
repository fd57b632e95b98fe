"""What a study says, in one or two sentences that always give the effect, its interval and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from initlab.study.records import Estimate, Pair
from initlab.study.stats import fewest_seeds, smallest_p
from initlab.study.wording import Metric, Scale, list_names, p_text, scale_for, seeds_text

SURE = 0.05


@dataclass(frozen=True)
class Findings:
    """All that a conclusion is drawn from.

    Attributes:
        scores: By scheme, in the study's order, the scores that were compared, where more is better: accuracies in
            [0, 1], or losses with their sign turned.
        pairs: All pairs of these schemes.
        metric: What the scores are.
        seeds: Runs planned of each scheme.
        diverged: By scheme, its runs that diverged; schemes without are left out.
        failed: By scheme, its runs that failed, timed out or were skipped.
        splits: Splits of the rows.
    """

    scores: Mapping[str, Estimate]
    pairs: Sequence[Pair]
    metric: Metric
    seeds: int
    diverged: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    splits: int = 1

    def counted(self, runs: int) -> str:
        """So many seeds, or where there are several splits runs."""
        return seeds_text(runs) if self.splits == 1 else f"{runs} runs"

    def lost(self, scheme: str) -> int:
        """Runs of a scheme that have no score."""
        return self.diverged.get(scheme, 0) + self.failed.get(scheme, 0)


@dataclass(frozen=True)
class _Contest:
    """A pair seen from the best scheme.

    Attributes:
        rival: The other scheme.
        gap: Best minus rival, over the seeds where both finished; NaN where none did.
        interval: Of the gap.
        p: Of the pair.
        worse: Seeds where the rival is behind.
        better: Seeds where it is ahead.
        seeds: Of which both runs have an outcome.
        diverged: Of those, seeds where one diverged.
        ahead: 1 where the test sees the best ahead, -1 where the rival.
    """

    rival: str
    gap: float
    interval: tuple[float, float] | None
    p: float | None
    worse: int
    better: int
    seeds: int
    diverged: int
    ahead: int

    @property
    def is_sure(self) -> bool:
        """Whether the best is ahead by more than luck."""
        return self.p is not None and self.p <= SURE and self.ahead > 0

    @property
    def is_lost(self) -> bool:
        """Whether the rival is ahead by more than luck."""
        return self.p is not None and self.p <= SURE and self.ahead < 0


def best_of(findings: Findings) -> str | None:
    """The scheme that is behind in the fewest pairs, and of those the one with the highest mean.

    Without divergence and failure that is the one with the highest mean; the first of them where several share it. A
    scheme that lost more than half of its runs cannot be best, and does not count as ahead of one that can.

    Returns:
        The scheme; None where every scheme lost more than half of its runs.

    Example:
        >>> zeros, he = Estimate(0.3, None, None, (0.3,)), Estimate(0.9, None, None, (0.9,))
        >>> best_of(Findings({"zeros": zeros, "he_normal": he}, (), "test_accuracy", seeds=1))
        'he_normal'
        >>> best_of(Findings({"zeros": zeros, "wild": he}, (), "test_accuracy", seeds=3, diverged={"wild": 2}))
        'zeros'
    """
    able = [name for name in findings.scores if 2 * findings.lost(name) <= findings.seeds]
    pairs = [pair for pair in findings.pairs if pair.first in able and pair.second in able]
    behind = Counter(pair.second if pair.ahead > 0 else pair.first for pair in pairs if pair.ahead)
    return max(able, key=lambda name: (-behind[name], _mean(findings.scores[name])), default=None)


def conclude(findings: Findings) -> str:
    """The study's answer in plain English.

    Args:
        findings: Scores, pairs and counts of runs.

    Returns:
        The answer, and a further sentence where runs diverged or did not finish.

    Example:
        >>> high, low = Estimate(0.9, 0.85, 0.95, (0.9,) * 20), Estimate(0.3, 0.3, 0.3, (0.3,) * 20)
        >>> ends, p = {"low": 0.55, "high": 0.65}, 2**-15
        >>> pair = Pair("he_normal", "zeros", difference=0.6, **ends, p=p, wins=20, losses=0, ties=0, ahead=1)
        >>> print(conclude(Findings({"he_normal": high, "zeros": low}, (pair,), "test_accuracy", seeds=20)))
        he_normal is best (90.0 %): 60.0 points above zeros [55.0, 65.0], which is worse in 20 of 20 seeds
        (p < 0.001).
    """
    if all(score.mean is None for score in findings.scores.values()):
        return _no_results(findings)
    best = best_of(findings)
    if best is None:
        return "No scheme is best: each lost more than half of its runs." + _incomplete(findings)
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
        ends = None if pair.low is None or pair.high is None else (pair.low, pair.high)
        told = pair.p, pair.wins, pair.losses, pair.seeds, pair.diverged, pair.ahead
        if pair.first == best:
            contests.append(_Contest(pair.second, pair.difference, ends, *told))
        elif pair.second == best:
            turned = None if ends is None else (-ends[1], -ends[0])
            told = pair.p, pair.losses, pair.wins, pair.seeds, pair.diverged, -pair.ahead
            contests.append(_Contest(pair.first, -pair.difference, turned, *told))
    return sorted(contests, key=lambda contest: (math.isnan(contest.gap), contest.gap))


def _ranking(findings: Findings, best: str, contests: Sequence[_Contest]) -> str:
    """Some difference was seen: who is ahead of whom, and by the closest rival that is behind, how far."""
    beaten = [c for c in contests if c.is_sure]
    above = [c for c in contests if c.is_lost]
    level = [c for c in contests if c.p is not None and c not in (*beaten, *above)]
    untested = [c.rival for c in contests if c.p is None]
    nearest = (beaten or level or above)[0]
    value, effect = _value(findings, best, nearest), _effect(findings, nearest)
    has_best = "has the best mean" if _has_highest_mean(findings, best) else "has the best standing"
    if not beaten:
        text = f"No clear winner: {best} {has_best} ({value}), {effect}."
    elif level or untested or above:
        text = f"{best} {has_best} ({value}): {effect}."
    else:
        over = f", ahead of each of the {len(beaten)} others" if len(beaten) > 1 else ""
        text = f"{best} is best ({value}){over}: {effect}."
    if beaten and level:
        text += f" It cannot be told from {_with_p(level)}."
    elif level[1:]:
        text += f" Nor can it be told from {_with_p(level[1:])}."
    text += "".join(_ahead_of_it(findings, c, told=c is nearest) for c in above)
    return text + (f" Too few runs of {list_names(untested)} finished to tell." if untested else "")


def _has_highest_mean(findings: Findings, best: str) -> bool:
    return _mean(findings.scores[best]) >= max(_mean(score) for score in findings.scores.values())


def _value(findings: Findings, best: str, contest: _Contest) -> str:
    """The best scheme's mean, and of how many runs it is where some are lost."""
    value = _scale(findings, contest).value(_mean(findings.scores[best]))
    return value + _mean_of(findings, best)


def _mean_of(findings: Findings, scheme: str) -> str:
    lost = findings.lost(scheme)
    return f", mean of the {findings.seeds - lost} of {findings.seeds} runs that finished" if lost else ""


def _ahead_of_it(findings: Findings, contest: _Contest, *, told: bool) -> str:
    """A scheme that is surely ahead of the best, and why it is not best; ``told``: by how far is said already."""
    lost, text = findings.lost(contest.rival), ""
    if not told:
        in_seeds = f"{contest.better} of {findings.counted(contest.seeds)}"
        text += f" {contest.rival} is ahead of it in {in_seeds} ({p_text(contest.p or 0.0)})."
    if 2 * lost > findings.seeds:
        finished = f"{findings.seeds - lost} of {findings.seeds}"
        text += f" {contest.rival} finished only {finished} runs, so it cannot be best."
    return text


def _all_equal(findings: Findings, best: str, contest: _Contest) -> str:
    schemes = "Both" if len(findings.scores) == 2 else f"All {len(findings.scores)}"
    scale = _scale(findings, contest)
    value, ends = _value(findings, best, contest), scale.ends(contest.interval)
    return (
        f"{schemes} schemes did the same in every seed ({value}): the best is {scale.gap(0.0)} the others{ends}, "
        f"which are worse in 0 of {findings.counted(contest.seeds)} ({p_text(1.0)})."
    )


def _too_few(findings: Findings, best: str, contest: _Contest) -> str:
    if not contest.seeds:
        return f"Nothing to compare: no seed finished under both {best} and another scheme."
    has_best = "has the best mean" if _has_highest_mean(findings, best) else "has the best standing"
    if findings.splits > 1:
        value = _value(findings, best, contest)
        return f"{best} {has_best} ({value}), but too few splits have runs of two schemes to tell a difference."
    return (
        f"{findings.counted(contest.seeds)} cannot tell a difference from chance: {best} {has_best} "
        f"({_value(findings, best, contest)}), {_gap(findings, contest)}, which is worse in "
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
    more = _incomplete(findings)
    seeds = seeds_text(sum(kept is not None for kept in score.per_seed))
    return f"Only {best} was run ({value}, {seeds}): a comparison takes a second scheme.{more}"


def _no_results(findings: Findings) -> str:
    diverged, failed = sum(findings.diverged.values()), sum(findings.failed.values())
    if not failed:
        return f"Nothing to compare: all {diverged} runs diverged."
    if not diverged:
        return f"Nothing to compare: none of the {failed} runs finished."
    return f"Nothing to compare: of {diverged + failed} runs {diverged} diverged and the others did not finish."


def _incomplete(findings: Findings) -> str:
    text = ""
    if findings.diverged:
        told = [f"{scheme} diverged in {n} of {findings.seeds}" for scheme, n in findings.diverged.items()]
        text += f" {list_names(told)}."
    if failed := sum(findings.failed.values()):
        are = "is" if failed == 1 else "are"
        text += f" {failed} of {len(findings.scores) * findings.seeds} runs did not finish and {are} left out."
    return text


def _effect(findings: Findings, contest: _Contest) -> str:
    """E.g. ``2.1 points above zeros [0.4, 3.8], which is worse in 17 of 20 seeds (p = 0.003)``."""
    p = "" if contest.p is None else p_text(contest.p)
    tested = sum(pair.p is not None for pair in findings.pairs)
    corrected = f", corrected for all {tested} pairs" if tested > 1 else ""
    ranked = ", by signed ranks, so there is no interval" if contest.diverged else ""
    return (
        f"{_gap(findings, contest)}, which is worse in "
        f"{contest.worse} of {findings.counted(contest.seeds)} ({p}{corrected}{ranked})"
    )


def _gap(findings: Findings, contest: _Contest) -> str:
    """How far the best is ahead of its rival, and on how many seeds that was measured where runs diverged."""
    if contest.diverged == contest.seeds:
        return f"ahead of {contest.rival}" if contest.ahead >= 0 else f"behind {contest.rival}"
    scale = _scale(findings, contest)
    finished = f" on the {contest.seeds - contest.diverged} of {findings.counted(contest.seeds)} where both finished"
    shown = finished if contest.diverged else ""
    ends = contest.interval
    if ends is not None and contest.gap < 0:  # the words say below, and so do the ends
        ends = -ends[1], -ends[0]
    return f"{scale.gap(contest.gap)} {contest.rival}{scale.ends(ends)}{shown}"


def _scale(findings: Findings, contest: _Contest) -> Scale:
    ends = contest.interval
    size = contest.gap if ends is None else (ends[1] - ends[0]) / 2
    return scale_for(findings.metric, size if math.isfinite(size) else 0.0)


def _with_p(contests: Sequence[_Contest]) -> str:
    """Rivals and the smallest of their p values: ``zeros and ones (p = 0.11 or more)``."""
    smallest = p_text(min(c.p for c in contests if c.p is not None))
    return f"{list_names([c.rival for c in contests])} ({smallest}{' or more' if len(contests) > 1 else ''})"
