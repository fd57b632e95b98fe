"""The page of a sweep: verdict, table and pictures in one HTML file that asks the network for nothing."""

from __future__ import annotations

from pathlib import Path

from initlab.report.files import write_whole
from initlab.report.html import page_html
from initlab.report.markup import Html, element, joined, lines, table, text
from initlab.report.sections import Section, chart
from initlab.report.sweep_specs import depth_specs, remedies_spec
from initlab.report.sweep_tables import accuracy_text, remedy_cells, sweep_notes
from initlab.report.text import visible, without_folders
from initlab.study.sweep_table import SweepTable, power


def write_sweep_report(path: Path, swept: SweepTable, *, command: str) -> None:
    """The file shows the sweep; what it held before is replaced, as a whole.

    Args:
        path: Where to.
        swept: The numbers.
        command: What was typed; absolute paths are cut to their last part.
    """
    write_whole(path, sweep_html(swept, command=command).encode("utf-8"))


def sweep_html(swept: SweepTable, *, command: str) -> str:
    """The page as one string of HTML; every name in it is escaped.

    Args:
        swept: The numbers.
        command: What was typed.
    """
    said = [element("h2", text("The answer")), *(element("p", text(sentence)) for sentence in swept.verdict)]
    pictures = _remedy_charts(swept) if swept.has_remedies else _depth_charts(swept)
    shown = [
        Section("pictures", "Before training and after", pictures),
        Section("table", "Every cell", joined([_table(swept), element("p", text(sweep_notes(swept)), class_="note")])),
        Section("repeat", "To repeat it", lines(without_folders(command))),
    ]
    return page_html(swept.title, shown, lead=element("section", *said, class_="answer", id="answer"))


def _depth_charts(swept: SweepTable) -> Html:
    accuracy, ratio = depth_specs(swept)
    fitting = {"columns": str(len(swept.groups)), "least": "260"}
    return joined(
        [
            chart("accuracy", "Accuracy by depth", accuracy, **fitting),
            chart("ratio", "Gradient ratio by depth", ratio, about="1 is ideal; the axis is in powers.", **fitting),
        ]
    )


def _remedy_charts(swept: SweepTable) -> Html:
    return joined(
        chart(f"group-{place}", visible(group), remedies_spec(swept, group, width=270))
        for place, group in enumerate(swept.groups)
    )


def _table(swept: SweepTable) -> Html:
    if swept.has_remedies:
        heading = ["remedy", "network", "gradient\nratio", "in\ntheory", "test accuracy", "trains"]
        cells = [[cell.replace("\n", ", ") for cell in remedy_cells(row)] for row in swept.rows]
        return table(heading, [(own[0], row.group, *own[1:]) for row, own in zip(swept.rows, cells, strict=True)])
    heading = ["scheme", "network", "depth", "gradient\nratio", "in\ntheory", "test accuracy", "trains"]
    rows = [
        (
            row.scheme,
            row.group,
            f"{row.depth}",
            power(row.ratio),
            power(row.predicted),
            accuracy_text(row).replace("\n", ", "),
            "yes" if row.trains else "no",
        )
        for row in swept.rows
    ]
    return table(heading, rows)
