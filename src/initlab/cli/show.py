"""``initlab show``: one scheme, whole: law, formula, source, when to use it and when not."""

from __future__ import annotations

from typing import Annotated

import typer

from initlab.cli.completion import schemes


def show(
    name: Annotated[
        str,
        typer.Argument(help="A scheme of 'initlab list schemes', or one of its aliases.", autocompletion=schemes),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Show a scheme: its law, formula, source, when to use it, when not, and its other names."""
    from initlab.cli.output import print_json, print_pairs
    from initlab.core.calls import format_call
    from initlab.schemes import SCHEMES

    item = SCHEMES[name]
    options = {option: parameter.default for option, parameter in item.options.items()}
    facts = {
        "what": item.summary.replace("``", ""),
        "formula": item.formula,
        "call": format_call(item.name, options),
        "family": item.family,
        "source": item.source,
        "when": item.when,
        "when not": item.avoid,
        "aliases": ", ".join(item.aliases),
    }
    if as_json:
        print_json({"name": item.name, **facts, "aliases": list(item.aliases), "options": options})
    else:
        print_pairs(item.name, {key: value for key, value in facts.items() if value})
