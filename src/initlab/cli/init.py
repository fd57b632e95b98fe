"""``initlab init``: the initial weights of a model, as a safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from initlab.cli.completion import schemes
from initlab.cli.plan import FACTORY, STRICT


def init(
    factory: Annotated[str, typer.Argument(help=FACTORY)],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
    scheme: Annotated[
        str, typer.Option(help='E.g. auto, he_normal or "normal(std=0.01)".', autocompletion=schemes)
    ] = "auto",
    seed: Annotated[int | None, typer.Option(help="A whole number of 0 or more; the framework's own if left out.")] = (
        None
    ),
    include: Annotated[list[str] | None, typer.Option(help="Initialise these too, frozen or not; a glob.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Keep these; a glob.")] = None,
    reinit: Annotated[bool, typer.Option("--reinit", help="Initialise all that is meant to stay.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT)] = False,
) -> None:
    """Initialise a model and write its weights to a safetensors file, under the framework's own names."""
    from initlab._version import __version__
    from initlab.api import planning
    from initlab.cli.factory import built_model
    from initlab.cli.weights import write_weights
    from initlab.core.files import check_target

    check_target(out, option="--out")
    model, example = built_model(factory)
    made = planning.plan(model, scheme, example=example, include=include, exclude=exclude, reinit=reinit, strict=strict)
    arrays, used = planning.initial_state(made, seed)
    write_weights(out, arrays, {"scheme": scheme, "seed": str(used), "initlab": __version__})
    typer.echo(f"{out}: {len(arrays)} tensors, scheme {scheme}, seed {used}")
