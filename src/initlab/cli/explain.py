"""``initlab explain``: a short lesson on one topic, with numbers from a run made now."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from initlab.cli.completion import topics

# Bold and dim carry no meaning that the words do not; NO_COLOR and a pipe switch colours off in rich itself.
STYLES: Mapping[str, str] = {
    "title": "bold",
    "heading": "bold cyan",
    "header": "bold",
    "bars": "cyan",
    "source": "dim",
    "command": "green",
}
WIDEST = 100


def explain(
    topic: Annotated[
        str,
        typer.Argument(help="A topic, e.g. vanishing-gradients; without one all are listed.", autocompletion=topics),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Explain a topic of initialization: plain words, a run, the mathematics; without a topic list all."""
    from initlab.cli.output import print_json, print_pairs
    from initlab.lessons import LESSONS, learn

    if topic and (chosen := LESSONS.canonical(topic)) != topic:
        print(f"initlab: notice: '{topic}' is told under '{chosen}': {LESSONS[chosen].title}", file=sys.stderr)
    if not topic:
        titles = {name: LESSONS[name].title for name in LESSONS}
        if as_json:
            print_json(titles)
        else:
            print_pairs("Topics of initlab explain", titles)
    elif as_json:
        print_json(learn(topic).to_dict())
    else:
        _print_lesson(topic)


def _print_lesson(topic: str) -> None:
    from rich.console import Console
    from rich.text import Text

    from initlab.lessons import learn
    from initlab.lessons.text import lesson_lines

    console = Console(highlight=False)
    for line in lesson_lines(learn(topic), width=min(console.width, WIDEST)):
        console.print(Text(line.text.rstrip(), style=STYLES.get(line.style, "")), soft_wrap=True)
