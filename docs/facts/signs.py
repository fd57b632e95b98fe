"""One network on 64 rows, from seven scales of its weights: what each sign of a bad start looks like."""

from __future__ import annotations

import math
from functools import cache

from computed import Computed, facts, figure
from typeset import quantities

from facts.lessons import share
from initlab.lessons.nets import deep, drawn, gaussian
from initlab.lessons.training import Descent, Rows, Trained, digits, train
from initlab.report.drawing.charts import Spec, axis, by_layer, chart
from initlab.report.drawing.text import number

DEPTH, UNITS, ROWS = 8, 64, 64
STEPS, RATE = 60, 0.02
SCALES = {"third": 1 / 3, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0}
LABELS = {"third": "1/3 (PyTorch)", "one": "1", "two": "2 (He)", "three": "3", "four": "4", "five": "5"}
FIRST = 10
"""Steps within which a rise counts as one of the start."""


@cache
def runs() -> dict[str, Trained]:
    """The same training from each scale; every epoch is one step, as all rows fit into a batch."""
    data = digits()
    few = Rows(data.x[:ROWS], data.y[:ROWS], data.x_test, data.y_test, data.classes)
    net, how = deep(DEPTH, UNITS, "relu"), Descent(rate=RATE, epochs=STEPS, batch=ROWS)
    return {name: train(net, few, drawn(net, gaussian(scale)), how) for name, scale in SCALES.items()}


def percent(value: float) -> str:
    """A share as a page shows it."""
    return quantities(share(value))


@facts("signs")
def signs() -> Computed:
    """A row for each scale, and its numbers."""
    found = {"steps-count": f"{STEPS}", "rows-count": f"{ROWS}"}
    lines = ["| n Var w | loss before | highest | loss after | right, training | right, test |", "| --- " * 6 + "|"]
    for name, run in runs().items():
        highest = max(loss for loss in run.losses[:FIRST] if math.isfinite(loss))
        lost = bool(run.diverged_at)
        end = f"NaN at step {run.diverged_at}" if lost else number(run.losses[-1])
        train_share, test_share = ("–", "–") if lost else map(percent, (run.accuracy, run.test_accuracy))
        top = "–" if lost else number(highest)
        lines.append(f"| {LABELS[name]} | {number(run.losses[0])} | {top} | {end} | {train_share} | {test_share} |")
        below = next((step for step, loss in enumerate(run.losses) if loss < 1.0), 0)
        found |= {
            f"{name}_start": number(run.losses[0]),
            f"{name}_end": number(run.losses[-1]),
            f"{name}_top": number(highest),
            f"{name}_train-percent": train_share,
            f"{name}_test-percent": test_share,
            f"{name}_below-count": str(below) if below else "never",
            f"{name}_nan-count": str(run.diverged_at),
        }
    title = f"*{DEPTH} hidden ReLU layers of {UNITS} units, {ROWS} digits, {STEPS} steps of {RATE:g} on all of them*"
    return {**found, "table": "\n".join([title, "", *lines])}


@figure("signs")
def signs_figure() -> Spec:
    """The loss by step from five scales."""
    chosen = {name: run for name, run in runs().items() if name != "three"}
    return chart(
        {
            f"n Var w = {LABELS[name]}": by_layer([v for v in run.losses if math.isfinite(v) and v < 1e3], first=0)
            for name, run in chosen.items()
        },
        {},
        x=axis("Step"),
        y=axis("Training loss, nats", log=True),
        title="One knob turned: flat, slow, right, jumping, lost",
        note=f"{DEPTH} hidden ReLU layers of {UNITS} units, {ROWS} digits; a guess costs ln 10 = {math.log(10):.2f}",
    )
