"""``initlab list``: everything in a registry, a line each."""

from __future__ import annotations

from typing import Annotated

import typer

from initlab.cli.completion import kinds
from initlab.cli.kinds import KINDS

WORDS = f"{', '.join(list(KINDS)[:-1])} or {list(KINDS)[-1]}"


def list_items(
    kind: Annotated[str, typer.Argument(help=f"{WORDS}.", autocompletion=kinds)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """List what has a name, with what other packages bring: schemes, data sets, layers, checks and more."""
    from initlab.cli.output import print_json, print_pairs
    from initlab.core.errors import UnknownNameError

    if kind not in KINDS:
        raise UnknownNameError("list", kind, KINDS)
    items = KINDS[kind].lines()
    if as_json:
        print_json(dict(items))
    else:
        print_pairs(f"{len(items)} {kind}", items)
