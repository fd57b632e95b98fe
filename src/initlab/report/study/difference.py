"""Two studies side by side: what was asked differently, and which scheme's score changed by more than luck."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import OptionError
from initlab.report.drawing.text import share, visible
from initlab.report.study.saved import design_of, facts_of
from initlab.study.conclusion import SURE
from initlab.study.design import data_options
from initlab.study.records import Pair
from initlab.study.stats import compare_rows
from initlab.study.wording import list_names, p_text

Verdict: TypeAlias = Literal["the same", "more than luck", "may be luck", "too few seeds"]
_TITLES = ("name", "title", "schemes", "seeds")


@dataclass(frozen=True)
class Side:
    """One of two studies.

    Attributes:
        name: Of the study.
        folder: Where it lies, as it says itself.
        seeds: Of every scheme.
    """

    name: str
    folder: str
    seeds: int


@dataclass(frozen=True)
class Change:
    """One scheme in both studies.

    Attributes:
        scheme: The call.
        first: Its mean score, or loss, in the first study; None where no run finished.
        second: In the second.
        pair: The second minus the first, seed by seed.
        diverged: Runs that diverged, in the first and in the second.
    """

    scheme: str
    first: float | None
    second: float | None
    pair: Pair
    diverged: tuple[int, int]

    @property
    def verdict(self) -> Verdict:
        """What can be said of the difference."""
        seeds = self.pair.wins + self.pair.losses + self.pair.ties
        if seeds and self.pair.ties == seeds:
            return "the same"
        if self.pair.p is None:
            return "too few seeds"
        return "more than luck" if self.pair.p <= SURE else "may be luck"


@dataclass(frozen=True)
class Difference:
    """The second study seen from the first.

    Attributes:
        first: One study.
        second: The other.
        asked: What differs of what was asked, of the data and of the environment: key, first value, second value.
        changes: The schemes of both, in the first study's order.
        missing: Schemes of the first alone.
        added: Schemes of the second alone.
        score: What the scores are.
    """

    first: Side
    second: Side
    asked: tuple[tuple[str, str, str], ...]
    changes: tuple[Change, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]
    score: str

    @property
    def conclusion(self) -> str:
        """What changed by more than luck, in a sentence or two."""
        if not self.changes:
            return "The two studies have no scheme in common."
        sure = [change for change in self.changes if change.verdict == "more than luck"]
        same = [visible(change.scheme) for change in self.changes if change.verdict == "the same"]
        few = [visible(change.scheme) for change in self.changes if change.verdict == "too few seeds"]
        said = [f"{len(sure)} of {len(self.changes)} schemes changed by more than luck{_names(sure)}."]
        said += [f"The same in every seed: {list_names(same)}."] if same else []
        said += [f"Too few common seeds to tell: {list_names(few)}."] if few else []
        return " ".join(said)


def _names(sure: Sequence[Change]) -> str:
    """E.g. ``: he_normal by +0.055 [0.030, 0.080], p = 0.031``."""
    told = [f"{visible(c.scheme)} by {share(c.pair.difference, signed=True)}{interval_text(c.pair)}" for c in sure]
    if not told:
        return ""
    largest = max(c.pair.p for c in sure if c.pair.p is not None)
    return f": {list_names(told)} ({p_text(largest)}{' or less' if len(sure) > 1 else ''})"


def interval_text(pair: Pair) -> str:
    """The interval of a difference, led by a space; nothing where there is none."""
    return "" if pair.low is None or pair.high is None else f" [{share(pair.low)}, {share(pair.high)}]"


def difference_of(first: Mapping[str, Any], second: Mapping[str, Any]) -> Difference:
    """Two comparisons, as their ``comparison.json`` has them, scheme by scheme.

    The scores of a scheme are paired by seed, of which the smaller study has the first ones; p values and intervals
    hold for all schemes at once. A run that diverged is worse than every one that finished (``study.stats``); a run
    that failed leaves its seed out.

    Args:
        first: A comparison.
        second: Another.

    Raises:
        OptionError: One tells accuracies and the other losses.
        KeyError: A part is missing.
    """
    kinds = {first["data"]["kind"], second["data"]["kind"]}
    if len(kinds) > 1:
        raise OptionError("classes on one side, numbers on the other", where="--diff", fix="give studies of one kind")
    sides = first, second
    for key in ("splits", "first_seed"):
        asked = [study["design"].get(key, {"splits": 1, "first_seed": 0}[key]) for study in sides]
        if asked[0] != asked[1]:
            told = f"{key} is {asked[0]} on one side and {asked[1]} on the other, so that no runs are pairs"
            raise OptionError(told, where="--diff", fix="give studies of the same seeds and splits")
    rows = [{row["scheme"]: row for row in study["schemes"]} for study in sides]
    both = [scheme for scheme in rows[0] if scheme in rows[1]]
    seeds = min(first["seeds"], second["seeds"])
    scores = [_scores(study, [side[scheme] for scheme in both], seeds) for study, side in zip(sides, rows, strict=True)]
    facts = [facts_of(study["data"]) for study in (first, second)]
    is_classes = kinds == {"classification"}
    resolution = 1 / min(fact.rows_test for fact in facts) if is_classes else 0.0
    pairs = compare_rows(scores[1], scores[0], names=[(name, name) for name in both], resolution=resolution)
    changes = [_change(pair, rows[0][pair.first], rows[1][pair.first]) for pair in pairs]
    return Difference(
        first=_side(first),
        second=_side(second),
        asked=tuple(_differing(first, second)),
        changes=tuple(change if is_classes else _of_losses(change) for change in changes),
        missing=tuple(scheme for scheme in rows[0] if scheme not in rows[1]),
        added=tuple(scheme for scheme in rows[1] if scheme not in rows[0]),
        score="test accuracy" if is_classes else "test loss",
    )


def _side(study: Mapping[str, Any]) -> Side:
    return Side(study["study"], study["folder"], study["seeds"])


def _change(pair: Pair, first: Mapping[str, Any], second: Mapping[str, Any]) -> Change:
    means = first["test_accuracy"]["mean"], second["test_accuracy"]["mean"]
    return Change(pair.first, *means, pair, (first["diverged"], second["diverged"]))


def _of_losses(change: Change) -> Change:
    """The change of a loss, whose score is minus it; what won still won."""
    first, second, *ends = (
        None if value is None else -value for value in (change.first, change.second, change.pair.high, change.pair.low)
    )
    pair = replace(change.pair, difference=-change.pair.difference, low=ends[0], high=ends[1])
    return replace(change, first=first, second=second, pair=pair)


def _scores(study: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], seeds: int) -> NDArray[np.float64]:
    """(schemes, seeds): ``-inf`` where a run diverged, NaN where it failed."""
    status = {(run["scheme"], run["seed"], run["learning_rate"]): run["status"] for run in study["runs"]}
    only, start = study["design"]["optimizer"]["learning_rate"], study["design"].get("first_seed", 0)
    found = [
        [
            _lost(status.get((row["scheme"], seed, row.get("learning_rate", only)))) if score is None else score
            for seed, score in enumerate(row["test_accuracy"]["per_seed"][:seeds], start)
        ]
        for row in rows
    ]
    return np.array(found, dtype=np.float64).reshape(len(rows), seeds)


def _lost(status: str | None) -> float:
    """A run without a score: one that ended, but with an infinite loss, is as one that diverged."""
    return -math.inf if status in ("ok", "diverged") else math.nan


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    parts = [dict(_flat({**_asked(study), "data": study["data"]["digest"]})) for study in (first, second)]
    parts = [{**part, "seeds": f"{s['seeds']}"} for part, s in zip(parts, (first, second), strict=True)]
    environments = [{f"environment: {k}": str(v) for k, v in s["environment"].items()} for s in (first, second)]
    for one, other in (parts, environments):
        for key in dict.fromkeys((*one, *other)):
            if one.get(key) != other.get(key):
                yield key, one.get(key, "–"), other.get(key, "–")


def _asked(study: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, with the word for what is done to the features where it is not told: that of the data set."""
    options = data_options(design_of(study["design"], study["folder"]))
    told = {"preprocess": options.pop("preprocess")} if "preprocess" in options else {}
    return {**study["design"], "task_options": options, **told}


def _flat(parts: Mapping[str, Any], lead: str = "") -> Iterator[tuple[str, str]]:
    for key, value in parts.items():
        if isinstance(value, Mapping):
            if key == "model":
                yield "model", str(value.get("name"))
            else:
                yield from _flat(value, f"{lead}{key}.")
        elif lead or key not in _TITLES:
            yield f"{lead}{key}", ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
