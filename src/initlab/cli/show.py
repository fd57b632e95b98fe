"""``initlab show``: one named thing, whole; of a scheme law, formula, source, when to use it and when not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from initlab.cli.completion import everything


def show(
    name: Annotated[
        str,
        typer.Argument(help="A name of 'initlab list', or another name of the same.", autocompletion=everything),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Show what has a name: of a scheme its law, formula, source, when to use it, when not, and its other names."""
    from initlab.cli.kinds import KINDS, names
    from initlab.cli.output import print_json, print_pairs
    from initlab.core.errors import UnknownNameError

    for kind in KINDS.values():
        found = kind.find(name)
        if found is not None:
            facts = kind.facts(found)
            if as_json:
                print_json({"name": found, "kind": kind.noun, **facts})
            else:
                print_pairs(f"{found} ({kind.noun})", _texts(facts))
            return
    raise UnknownNameError("name", name, names(), listing="initlab list schemes, initlab list tasks, ...")


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts as they are printed; options stand in the call."""
    shown = {key: value for key, value in facts.items() if key != "options" or "call" not in facts}
    return {key: text for key, value in shown.items() if (text := _text(value))}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
