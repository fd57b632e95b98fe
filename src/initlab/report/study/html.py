"""The report: one HTML file with all it shows inside it, which asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from initlab._version import __version__
from initlab.core.files import write_whole
from initlab.core.training.dataset import Dataset
from initlab.report.drawing.markup import Html, element, json_block, lines, text
from initlab.report.drawing.text import without_folders
from initlab.report.drawing.theme import page_config
from initlab.report.study import class_sections, layer_sections, rate_sections, sections
from initlab.report.study.facts import DatasetFacts
from initlab.study.rates import at_chosen_rates
from initlab.study.records import Analysis, RunRecord, StudyDesign

VENDORED = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")


def write_report(
    path: str | Path,
    design: StudyDesign,
    records: Sequence[RunRecord],
    analysis: Analysis,
    facts: DatasetFacts,
    command: str,
    *,
    dataset: Dataset | None = None,
    logging: Mapping[str, str] | None = None,
) -> Path:
    """The file shows the study: what was asked, the answer, table, curves, histograms, and how to repeat it.

    Args:
        path: Where to; what it held before is replaced, as a whole.
        design: What was asked.
        records: All runs, the unfinished ones too.
        analysis: What the study says.
        facts: The data set in numbers.
        command: What was typed; absolute paths are cut to their last part.
        dataset: The data themselves, for confusion matrices and pictures; without them these are left out.
        logging: By tracker ``ok``, or ``degraded`` and why.

    Returns:
        The path.
    """
    target = Path(path)
    folder = target.resolve().parent.name
    page = report_html(
        design, records, analysis, facts, command=command, folder=folder, dataset=dataset, logging=logging
    )
    write_whole(target, page.encode("utf-8"))
    return target


def report_html(
    design: StudyDesign,
    records: Sequence[RunRecord],
    analysis: Analysis,
    facts: DatasetFacts,
    *,
    command: str,
    folder: str = "",
    dataset: Dataset | None = None,
    logging: Mapping[str, str] | None = None,
) -> str:
    """The report as one string of HTML; every name in it is escaped.

    Args:
        design: What was asked.
        records: All runs.
        analysis: What the study says.
        facts: The data set in numbers.
        command: What was typed.
        folder: Name of the folder that holds the records.
        dataset: As in ``write_report``.
        logging: As in ``write_report``.
    """
    title = design.title or design.name
    every, records = records, at_chosen_rates(design, records)
    shown = [
        sections.question(design, facts),
        sections.network_summary(design, facts),
        sections.results(analysis),
        sections.learning(design, records),
        sections.final(analysis, records),
        sections.speed_and_gap(analysis, records),
        rate_sections.rates(design, every),
        sections.unable(design, records, facts),
        sections.incomplete(design, every),
        sections.trackers(logging or {}),
        class_sections.predictions(design, records, analysis, dataset),
        layer_sections.start(design, records, facts),
        layer_sections.course(design, records),
        layer_sections.distributions(design, records),
        layer_sections.dead_units(design, records),
        class_sections.first_layer(records, analysis, dataset),
        sections.repeat(every, command=without_folders(command), folder=folder),
    ]
    there = [section for section in shown if section is not None]
    return page_html(title, there, lead=sections.answer(analysis))


def page_html(title: str, shown: Sequence[sections.Section], *, lead: Html) -> str:
    """A page of sections, with a list of them at its head, as one string of HTML that holds all it needs.

    Args:
        title: The page's heading.
        shown: The sections, in order.
        lead: What comes before them.
    """
    body = element(
        "body",
        element("header", element("h1", text(title)), _contents(shown)),
        lead,
        element("main", *(section.html() for section in shown)),
        _footer(),
        json_block(page_config(), id="chart-config"),
        *(element("script", Html(script)) for script in _scripts()),
    )
    return f"<!DOCTYPE html>\n{element('html', _head(title), body, lang='en')}\n"


def _contents(shown: Sequence[sections.Section]) -> Html:
    return element("nav", *(element("a", text(section.title), href=f"#{section.name}") for section in shown))


def _head(title: str) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy()),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", text(f"{title} – initlab")),
        element("style", Html(_resource("page.css"))),
    )


def _footer() -> Html:
    licences = element(
        "details",
        element("summary", text("Licences of the drawing library in this file")),
        lines(_resource("vendor", "LICENSES.md")),
    )
    return element("footer", element("p", text(f"Made by initlab {__version__}.")), licences)


@cache
def _resource(*place: str) -> str:
    return files("initlab.report").joinpath(*place).read_text(encoding="utf-8")


@cache
def _scripts() -> tuple[str, ...]:
    """The vendored scripts and the page's own; without the comment by which a debugger would ask for a source map."""
    vendored = (_resource("vendor", name).split("\n//# sourceMappingURL=")[0] for name in VENDORED)
    return (*vendored, _resource("page.js"))


@cache
def _policy() -> str:
    """Only the scripts above run, nothing is fetched, nothing is evaluated.

    Vega sets style attributes and vega-embed adds a style element, hence the one ``unsafe-inline``.
    """
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in _scripts()]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {allowed}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
