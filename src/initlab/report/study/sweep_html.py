"""The page of a sweep: verdict, table and pictures in one HTML file that asks the network for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from initlab.core.files import write_whole
from initlab.report.drawing.markup import Html, definitions, element, join, table, text
from initlab.report.drawing.text import count_of, visible, without_folders
from initlab.report.study.html import page_html
from initlab.report.study.sections import Section, chart, optimizer_text, repeat
from initlab.report.study.sweep_specs import depth_specs, remedies_specs
from initlab.report.study.sweep_tables import NUMBER_HEADINGS, remedy_cells, sweep_notes
from initlab.study.records import RunRecord
from initlab.study.sweep import Sweep, Variant
from initlab.study.sweep_table import SweepTable

DIVERGED = "A run that diverged counts as one that guesses."
DEPTH_ABOUT = f"Mean over the seeds. {DIVERGED}"
ACCURACY_ABOUT = f"Mean over the seeds with its 95 % interval. {DIVERGED}"
RATIO_ABOUT = "First hidden layer, or step, over the last, before training; 1 is ideal. The axis is in powers of ten."


def write_sweep_report(
    path: Path,
    swept: SweepTable,
    *,
    command: str,
    sweep: Sweep | None = None,
    records: Mapping[str, Sequence[RunRecord]] | None = None,
) -> None:
    """The file shows the sweep; what it held before is replaced, as a whole.

    Args:
        path: Where to.
        swept: The numbers.
        command: What was typed; absolute paths are cut to their last part.
        sweep: What was asked, told on the page where it is given.
        records: The runs, whose environment is told where they are given.
    """
    folder = path.resolve().parent.name
    page = sweep_html(swept, command=command, folder=folder, sweep=sweep, records=records)
    write_whole(path, page.encode("utf-8"))


def sweep_html(
    swept: SweepTable,
    *,
    command: str,
    folder: str = "",
    sweep: Sweep | None = None,
    records: Mapping[str, Sequence[RunRecord]] | None = None,
) -> str:
    """The page as one string of HTML; every name in it is escaped.

    Args:
        swept: The numbers.
        command: What was typed.
        folder: Name of the folder that holds the records.
        sweep: As in ``write_sweep_report``.
        records: As in ``write_sweep_report``.
    """
    said = [element("h2", text("The answer")), *(element("p", text(sentence)) for sentence in swept.verdict)]
    pictures = _remedy_charts(swept) if swept.has_remedies else _depth_charts(swept)
    runs = [record for found in (records or {}).values() for record in found]
    shown = [
        *([_question(sweep)] if sweep is not None else []),
        Section("pictures", "Before training and after", pictures),
        Section("table", "Every cell", join([_table(swept), element("p", text(sweep_notes(swept)), class_="note")])),
        repeat(runs, command=without_folders(command), folder=folder),
    ]
    return page_html(swept.title, shown, lead=element("section", *said, class_="answer", id="answer"))


def _question(sweep: Sweep) -> Section:
    """Seeds, and data, network, optimiser and budget of every group, by its first variant."""
    first = {variant.group: variant for variant in reversed(sweep.variants)}
    seeds = max(variant.design.seeds for variant in sweep.variants)
    told = [
        ("sweep", f"{sweep.name}: {count_of(len(sweep.variants), 'network')} × {count_of(seeds, 'seed')}"),
        *((group, _group(first[group], sweep)) for group in sweep.groups),
    ]
    return Section("asked", "What was asked", definitions(told))


def _group(variant: Variant, sweep: Sweep) -> str:
    design = variant.design
    depths = sorted({v.depth for v in sweep.variants if v.group == variant.group})
    size = ", ".join(str(depth) for depth in depths)
    if design.steps:
        network = f"recurrent over {size} steps, {design.hidden[0]} wide"
    else:
        network = f"{size} hidden {'layer' if depths == [1] else 'layers'} of {design.hidden[0]}"
    budget = f"{count_of(design.budget.epochs, 'epoch')}, batches of {design.budget.batch_size} rows"
    return f"{design.task}; {network}, {design.activation}; {optimizer_text(design.optimizer)}; {budget}"


def _depth_charts(swept: SweepTable) -> Html:
    accuracy, ratio = depth_specs(swept)
    fitting = {"columns": str(len(swept.groups)), "least": "260"}
    return join(
        [
            chart("accuracy", "Accuracy by depth", accuracy, about=DEPTH_ABOUT, **fitting),
            chart("ratio", "Gradient ratio by depth", ratio, about=RATIO_ABOUT, **fitting),
        ]
    )


def _remedy_charts(swept: SweepTable) -> Html:
    pairs = []
    for place, group in enumerate(swept.groups):
        accuracy, ratio = remedies_specs(swept, group)
        pair = [
            chart(f"accuracy-{place}", f"{visible(group)}: accuracy", accuracy, about=ACCURACY_ABOUT),
            chart(f"ratio-{place}", f"{visible(group)}: gradient ratio", ratio, about=RATIO_ABOUT),
        ]
        pairs.append(element("div", *pair, class_="pair"))
    return join(pairs)


def _table(swept: SweepTable) -> Html:
    """A row a cell, bold where the network trains."""
    named = ("remedy", "network") if swept.has_remedies else ("scheme", "network", "depth")
    rows = []
    for row in swept.rows:
        label, *numbers = (cell.replace("\n", ", ") for cell in remedy_cells(row))
        place = (label, row.group) if swept.has_remedies else (row.scheme, row.group, f"{row.depth}")
        rows.append((*place, *numbers))
    return table((*named, *NUMBER_HEADINGS), rows, strong=[i for i, row in enumerate(swept.rows) if row.trains])
