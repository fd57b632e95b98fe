"""``initlab lock``: what every parameter of a model holds, as a file that ``initlab audit --lock`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from initlab.cli.plan import FACTORY, WEIGHTS


def lock(
    factory: Annotated[str, typer.Argument(help=FACTORY)],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("initlab.lock.json"),
    weights: Annotated[Path | None, typer.Option(help=WEIGHTS)] = None,
) -> None:
    """Write family, std and digest of every parameter of a model to a file."""
    from initlab.api import auditing
    from initlab.cli.factory import built_model
    from initlab.core.files import check_target

    check_target(out, option="--out")
    model, example = built_model(factory, weights)
    typer.echo(f"{out}: {auditing.lock(model, out, example=example)}")
