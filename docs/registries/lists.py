"""Studies, sweeps, data sets, recipes, checks, trackers and the museum: a row an item."""

from __future__ import annotations

import csv
import inspect
from pathlib import Path

from typeset import formula, source

from initlab.core.calls import format_call
from initlab.museum.exhibits import DEPOT, EXHIBITS, Exhibit
from initlab.probing.checks.book import checks_in_order
from initlab.recipes.book import RECIPES, Recipe
from initlab.study.design import list_studies, load_study
from initlab.study.records import StudyDesign
from initlab.study.sweep import Variant, list_sweeps, load_sweep
from initlab.study.trackers import TRACKERS
from initlab.tasks import TASKS
from initlab.tasks.preprocess import WORDS
from initlab.tasks.registry import Task
from registries.markdown import MADE, first_line, page, table


def studies() -> str:
    """Every ready-made study, sweep and data set."""
    found = [load_study(name) for name in list_studies()]
    return page(
        "Studies and data sets",
        f"{MADE}; `initlab list studies` and `initlab list tasks` print them.",
        "## Studies\n\n`initlab compare NAME` carries one out.\n",
        table(["study", "what", "features", "network", "training", "schemes"], [study_row(s) for s in found]),
        *map(sweep_section, list_sweeps()),
        "## Data sets\n",
        table(
            ["name", "what", "rows", "options", "licence", "source"], [task_row(TASKS[name]) for name in sorted(TASKS)]
        ),
    )


def study_row(s: StudyDesign) -> list[str]:
    """One study."""
    rate = f"{s.optimizer.name} {s.optimizer.learning_rate:g}, batch {s.budget.batch_size}, {s.budget.epochs} epochs"
    net = " → ".join(["in", *map(str, s.hidden), "out"]) + f", {s.activation}"
    return [f"`{s.name}`", s.title, f"{features(s)} (`{s.preprocess}`)", net, rate, schemes(s)]


def features(s: StudyDesign) -> str:
    """What is done to the features of a study."""
    return WORDS[s.preprocess or "none"].removeprefix("features ")


def schemes(s: StudyDesign) -> str:
    """The schemes of a study."""
    return ", ".join(f"`{call}`" for call in s.schemes)


def sweep_section(name: str) -> str:
    """One sweep: a row a variant."""
    sweep = load_sweep(name)
    study, _, option = name.partition("-")
    command = f"initlab compare {study}" + (f" --{option}" if option else "")
    rows = [variant_row(variant) for variant in sweep.variants]
    head = ["group", "variant", "layers or steps", "schemes"]
    return f"## Sweep: {name}\n\n{sweep.title}. `{command}` carries it out.\n\n{table(head, rows)}"


def variant_row(variant: Variant) -> list[str]:
    """One variant."""
    return [variant.group, variant.label, str(variant.depth), schemes(variant.design)]


def task_row(task: Task) -> list[str]:
    """One data set."""
    rows = "" if task.rows is None else f"{task.rows:,}"
    options = [
        f"`{name}={p.default!r}`" for name, p in inspect.signature(task.load).parameters.items() if name != "data"
    ]
    return [f"`{task.name}`", task.title, rows, ", ".join(options), task.license, source(task.source)]


def recipes() -> str:
    """Every recipe: what a public implementation does with every parameter."""
    said = (
        f"{MADE}. A recipe is what a public implementation does with every parameter of its model, to draw by,"
        ' `initlab.initialize(model, "gpt2")`, and to hold a model to, `initlab.audit(model, "gpt2")`.'
    )
    rows = [recipe_row(RECIPES[name]) for name in RECIPES]
    return page("Recipes", said, table(["recipe", "what it declares", "whose constants"], rows))


def recipe_row(recipe: Recipe) -> list[str]:
    """One recipe."""
    options = {option: p.default for option, p in recipe.options.items()}
    return [f"`{format_call(recipe.name, options)}`", formula(first_line(recipe.function)), source(recipe.source)]


def museum() -> str:
    """Every exhibit with its story."""
    said = (
        f"{MADE}; `initlab museum show N` tells of one, `initlab museum check N` whether your copy is mended. Each is a"
        " small model with a real bug of practice, and has a healthy twin in which the probe finds nothing."
    )
    return page("The museum of broken networks", said, *map(plate, EXHIBITS), "## Depot\n", *map(plate, DEPOT))


def plate(exhibit: Exhibit) -> str:
    """One exhibit."""
    rows = [
        ["what to do", formula(exhibit.mend)],
        ["frameworks", "PyTorch and Keras" if exhibit.keras else "PyTorch"],
    ]
    told = table(["found", ", ".join(exhibit.finds)], rows)
    return f"### {exhibit.number}. {exhibit.title}\n\n{formula(exhibit.story)}\n\n{told}"


def checks() -> str:
    """Every check of the diagnosis, in the order in which they are asked."""
    said = (
        f"{MADE}; `initlab list checks` prints them. A check looks at one probed model and yields what it finds; the"
        " findings of an earlier stage are causes of those of a later one. [What the probe finds](../probe.md) says"
        " what each finding means."
    )
    rows = [[check.stage, f"`{check.name}`", formula(check.summary)] for check in checks_in_order()]
    return page("Checks", said, table(["stage", "check", "what it finds"], rows))


ENTRIES = Path(__file__).parents[1] / "tracker_entries.csv"
"""What ``docs/tracker_entries.py`` found."""


def trackers() -> str:
    """Every tracker of a comparison, and what they write beside Keras' own callbacks."""
    said = (
        f"{MADE}; `initlab list trackers` prints them. A tracker is told of every epoch of a comparison as it ends,"
        " in a thread that training does not wait for; a run that was cut off goes on where it was:"
        ' `initlab.compare("iris", track=["csv"])`.'
    )
    rows = [[f"`{name}`", formula(first_line(TRACKERS[name]))] for name in TRACKERS]
    beside = (
        "## Beside Keras' callbacks\n\nOne fit of 3 epochs and 3 steps each, a convolution, a batch norm and a dense"
        " layer, by `TensorBoard(histogram_freq=1, write_images=True)` and `WandbMetricsLogger`, and by `compare` with"
        " `--track tensorboard,wandb --histograms-every 1`: what `docs/tracker_entries.py` reads back of each.\n\n**A"
        " step here is Keras' step and one:** step 0 is the initialization, and Keras' step 0 is the end of the first"
        " epoch. Evaluations are counted by iterations in both. An image here shows signs (red above zero, blue below)"
        " and has a tile for each pair of channels, where Keras' cuts off what is below zero and leaves out most"
        " kernels of several input channels.\n"
    )
    with open(ENTRIES, newline="", encoding="utf-8") as file:
        head, *found = csv.reader(file)
    entries = [[where, f"`{name}`", *others] for where, name, *others in found]
    return page("Trackers", said, table(["tracker", "what it writes"], rows), beside, table(head, entries))


PAGES = {
    "studies.md": studies,
    "recipes.md": recipes,
    "museum.md": museum,
    "checks.md": checks,
    "trackers.md": trackers,
}
