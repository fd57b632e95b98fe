"""``initlab blame``: who wrote each parameter of a model while it was built."""

from __future__ import annotations

from typing import Annotated

import typer

from initlab.cli.plan import FACTORY


def blame(
    factory: Annotated[str, typer.Argument(help=FACTORY)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Print who wrote each parameter while the model was built: law, file and line, and what was written over."""
    import shutil

    from initlab.api import blaming
    from initlab.cli.factory import named_here
    from initlab.cli.output import print_json
    from initlab.core.errors import OptionError

    build = named_here(factory)
    if not callable(build):
        raise OptionError(f"'{factory}' is no function", fix="name what builds the model: it is watched while it does")
    found = blaming.blame(build, name=f"'{factory}'")
    if as_json:
        print_json(found.to_dict())
    else:
        typer.echo(found.text(width=shutil.get_terminal_size((80, 24)).columns))
