"""The numbers, tables and formulas of ``initlab explain``, for the pages of the guide: a group for each topic.

A number ``ratio`` of a topic is quoted as ``ratio`` (three digits), ``ratio-5`` (five) or ``ratio-percent``; ``table``
and ``mathematics`` are blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from computed import facts
from typeset import formula, quantities, source

from initlab.lessons import LESSONS, Lesson, learn
from initlab.lessons.lesson import share
from initlab.report.drawing.text import number


def numbers(lesson: Lesson) -> dict[str, str]:
    """Every number of a lesson as a page may write it."""
    found = {}
    for name, value in lesson.numbers.items():
        found |= {name: quantities(number(value)), f"{name}-5": quantities(f"{value:.5g}")}
        if value == round(value):
            found[f"{name}-count"] = f"{value:,.0f}"
        if 0.0 <= value <= 1.0:
            found[f"{name}-percent"] = quantities(share(value))
    return found


def table(lesson: Lesson) -> str:
    """The lesson's table in Markdown, under its title."""
    lines = [lesson.table.header, ("---",) * len(lesson.table.header), *lesson.table.rows]
    rows = ["| " + " | ".join(formula(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
    return f"*{formula(lesson.table.title)}*\n\n" + "\n".join(rows)


def mathematics(lesson: Lesson) -> str:
    """The lesson's formulas as a list, each with its source."""
    items = [(formula(line.text), source(line.source)) for line in lesson.mathematics]
    return "\n".join(f'- <span class="formula">{text}</span> ({origin})' for text, origin in items)


def command(lesson: Lesson) -> str:
    """What repeats the experiment, as a code block."""
    return f"```console\n{lesson.command}\n```"


def _register(topic: str) -> None:
    def found() -> Mapping[str, str]:
        lesson = learn(topic)
        blocks: dict[str, Callable[[Lesson], str]] = {
            "table": table,
            "mathematics": mathematics,
            "command": command,
            "experiment": lambda item: formula(item.experiment),
        }
        return {**numbers(lesson), **{name: block(lesson) for name, block in blocks.items()}}

    facts(topic)(found)


for _topic in LESSONS:
    _register(_topic)
