"""What ``starts.md`` quotes of ``starts.csv``: each start beside the first of its net, by the statistics of a study."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from computed import facts

from initlab.study.records import Pair
from initlab.study.stats import compare_rows

SCORES = Path(__file__).parents[1] / "starts.csv"
TEST_ROWS = 360


class Scores(NamedTuple):
    """One start of one net.

    Attributes:
        rate: The rate that its tuning chose.
        tuned: Shares of test rows that are right, by seed, at that rate.
        common: The same at 0.001.
    """

    rate: str
    tuned: list[float]
    common: list[float]


@facts("starts")
def starts_page() -> dict[str, str]:
    """A table, and the starts that differ from the first by kind."""
    nets = scores()
    lines = [
        "| net, start | rate | accuracy | difference | p | at 0.001 | p | says |",
        "|---|---|---|---|---|---|---|---|",
    ]
    found: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS}
    for net, held in nets.items():
        first, *others = held
        tuned, common = (judged(held, column) for column in ("tuned", "common"))
        one = held[first]
        lines.append(
            f"| **{net}**, {first} | {one.rate} | {np.mean(one.tuned):.3f} | | | {np.mean(one.common):.3f} | | |"
        )
        for name, at_best, at_one in zip(others, tuned, common, strict=True):
            verdict = verdict_of(at_best, at_one)
            found[verdict].append(f"{name} ({net})")
            cells = [told(at_best), f"{np.mean(held[name].tuned) - np.mean(one.tuned):+.3f}"]
            other = np.mean(held[name].common) - np.mean(one.common)
            lines.append(
                f"| {name} | {held[name].rate} | {np.mean(held[name].tuned):.3f} | {cells[1]} | {cells[0]} |"
                f" {other:+.3f} | {told(at_one)} | {verdict} |"
            )
    return {"table": "\n".join(lines), **{key: listed(found[verdict]) for verdict, key in VERDICTS.items()}}


VERDICTS = {"better": "better", "worse": "worse", "only at 0.001": "only", "no difference seen": "none"}


def verdict_of(tuned: Pair, common: Pair) -> str:
    """What five chances in a hundred say, at each start's own rate; and what the common rate alone seems to."""
    if is_seen(tuned):
        return "better" if tuned.difference > 0 else "worse"
    return "only at 0.001" if is_seen(common) else "no difference seen"


def is_seen(pair: Pair) -> bool:
    """Whether a difference is told from chance, over all starts of its net."""
    return pair.p is not None and pair.p <= 0.05


def told(pair: Pair) -> str:
    """A p value."""
    return "–" if pair.p is None else f"{pair.p:.2f}"


def judged(held: dict[str, Scores], column: str) -> tuple[Pair, ...]:
    """Each start against the first of its net, corrected over them all."""
    first, *others = ([*getattr(one, column)] for one in held.values())
    rows, base = np.array(others), np.array([first] * len(others))
    names = [(name, next(iter(held))) for name in list(held)[1:]]
    return compare_rows(rows, base, names=names, resolution=1 / TEST_ROWS)


def listed(names: list[str]) -> str:
    """Names in a sentence."""
    return ", ".join(names) or "none"


def scores() -> dict[str, dict[str, Scores]]:
    """The table, by net and start."""
    nets: dict[str, dict[str, Scores]] = {}
    with SCORES.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            one = nets.setdefault(row["net"], {}).setdefault(row["start"], Scores(row["rate"], [], []))
            one.tuned.append(float(row["tuned"]))
            one.common.append(float(row["at 0.001"]))
    return nets
