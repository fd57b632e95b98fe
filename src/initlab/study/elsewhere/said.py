"""The answer about foreign runs in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from initlab.study.elsewhere.judging import Floor, Trial, Worth
from initlab.study.records import Pair
from initlab.study.wording import list_names, p_text

SURE = 0.05


def conclude_runs(
    trials: Sequence[Trial],
    pairs: Sequence[Pair],
    floor: Floor | None,
    worth: Worth | None,
    *,
    sign: int,
    paired: bool,
) -> str:
    """What may be said of the runs, with effect, interval and p; what a winner of many is worth; how it was tested.

    Args:
        trials: All configurations.
        pairs: Those that were tested.
        floor: The noise floor.
        worth: Of the best over the baseline.
        sign: -1 where less of the metric is better.
        paired: Whether equal seeds were paired.
    """
    parts = [_verdict(trials, pairs, sign=sign, paired=paired)]
    if floor is not None:
        of = f"{floor.repeats} repeats of {_configurations(floor.configurations)}"
        parts.append(f"The noise floor is {digits(floor.std)}: the spread of one run, from {of}.")
    if worth is not None:
        parts.append(_worth(worth, sign))
    elif floor is not None and len(trials) > 1:
        parts.append("Name the configuration that all began with, --baseline, to see what the best of them is worth.")
    return " ".join(parts)


def _configurations(count: int) -> str:
    return "1 configuration" if count == 1 else f"{count} configurations"


def _verdict(trials: Sequence[Trial], pairs: Sequence[Pair], *, sign: int, paired: bool) -> str:
    if not any(len(trial.scores) > 1 for trial in trials):
        return "One run a configuration: no claim. Run the ones that matter again, on 6 seeds or more."
    if not pairs:
        return "Only one configuration has repeats: no claim about any other."
    tested = [pair for pair in pairs if pair.p is not None]
    if not tested:
        need = "6 seeds that both have" if paired else "4 runs of each"
        return f"Too few runs to tell a difference from chance: it takes {need}, or more."
    sure = [pair for pair in tested if pair.p is not None and pair.p <= SURE]
    how = "paired by seed, sign flips" if paired else "no common seeds, so two samples, studentised, labels exchanged"
    if not sure:
        least = min(pair.p or 0.0 for pair in tested)
        return f"No two configurations can be told apart ({len(tested)} pairs; smallest {p_text(least)}; {how})."
    told = sorted(sure, key=lambda pair: (pair.p or 0.0, -abs(pair.difference)))[:3]
    more = f" {len(sure) - len(told)} more pairs differ." if len(sure) > len(told) else ""
    return " ".join(_pair(pair, sign, paired) for pair in told) + more + f" ({len(tested)} pairs; {how}.)"


def _pair(pair: Pair, sign: int, paired: bool) -> str:
    turned = pair.ahead < 0
    winner, loser = (pair.second, pair.first) if turned else (pair.first, pair.second)
    gap = -pair.difference if turned else pair.difference
    ends = ""
    if pair.low is not None and pair.high is not None:
        low, high = (-pair.high, -pair.low) if turned else (pair.low, pair.high)
        ends = f" [{digits(low)}, {digits(high)}]"
    won, of = (pair.losses if turned else pair.wins), pair.seeds
    where = f"{won} of {of} seeds" if paired else f"{won} of {of} pairs of runs"
    lost = f", {pair.diverged} diverged" if pair.diverged else ""
    by = "" if math.isnan(gap) else f" by {digits(gap)}{ends}"
    return f"{winner} is better than {loser}{by}, in {where}{lost} ({p_text(pair.p or 0.0)})."


def _worth(worth: Worth, sign: int) -> str:
    if worth.lead <= 0:
        return f"None of the {worth.trials} others has a better mean than {worth.over}."
    beyond = "above" if sign > 0 else "below"
    text = (
        f"The best of {worth.trials}, {worth.best}, is {digits(worth.lead)} {beyond} {worth.over}: repeats "
        f"alone do that in {percent(worth.share)}."
    )
    return text if worth.claimed else text + " That is no claim: run it and the baseline again on fresh seeds."


def percent(share: float) -> str:
    """A share in per cent, never rounded to none or all.

    Example:
        >>> percent(0.691), percent(0.0312), percent(0.0001)
        ('69 %', '3.1 %', 'less than 0.1 %')
    """
    if share < 0.001:
        return "less than 0.1 %"
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"


def digits(value: float) -> str:
    """A number to three digits.

    Example:
        >>> digits(0.30001), digits(-0.0)
        ('0.3', '0')
    """
    return f"{value + 0.0:.3g}"


def caveats(
    trials: Sequence[Trial], *, steps: Sequence[int], unfinished: Sequence[str], without: int, peaks: str
) -> list[str]:
    """What a reader must know of how the runs were made: peeking, runs left out, runs that ended early.

    Args:
        trials: All configurations.
        steps: Of the last value of each run.
        unfinished: Why each run that is left out is.
        without: Runs that do not have the metric.
        peaks: The configuration that would be best by the best step of each run, where it is another; else empty.
    """
    notes = []
    if unfinished:
        reasons = list_names(sorted(set(unfinished)))
        notes.append(f"{len(unfinished)} runs are left out: {reasons}.")
    if without:
        notes.append(f"{without} runs do not have the metric and are left out.")
    counts = sorted({len(trial.scores) for trial in trials if len(trial.scores) > 1})
    if len(counts) > 1:
        notes.append(
            f"Peeking: configurations have {counts[0]} to {counts[-1]} runs. Where runs were added after a look at the "
            "results, p is too small."
        )
    if peaks:
        notes.append(
            f"Peeking: by the best step of each run {peaks} would be best. The last step is compared: a best step is "
            "chosen by what it is judged by."
        )
    if steps and min(steps) < max(steps):
        usual = max(set(steps), key=steps.count)
        other = sum(step != usual for step in steps)
        notes.append(f"{other} of {len(steps)} runs end at another step than {usual:,}.")
    return notes
