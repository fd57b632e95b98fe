"""``initlab plan``: what would be done with every parameter of a model, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from initlab.cli.completion import schemes

FACTORY = "What makes the model: package.module:build, train.py:build, train.py:Net(64, 10); or model.keras."
WEIGHTS = "A safetensors file that holds the model's weights."
INPUT = "The shape of a sample, as in 3,224,224; once for each input."
DIFF = "In place of --scheme, two schemes or recipes: print the parameters that they treat otherwise."
STRICT = "Refuse, with exit code 2, where over 1 % of the trainable numbers stay unasked."


def plan(
    factory: Annotated[str | None, typer.Argument(help=FACTORY)] = None,
    scheme: Annotated[
        str, typer.Option(help='E.g. auto, he_normal or "normal(std=0.01)".', autocompletion=schemes)
    ] = "auto",
    diff: Annotated[tuple[str, str] | None, typer.Option(metavar="A B", help=DIFF)] = None,
    include: Annotated[list[str] | None, typer.Option(help="Initialise these too, frozen or not; a glob.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Keep these; a glob.")] = None,
    reinit: Annotated[bool, typer.Option("--reinit", help="Initialise all that is meant to stay.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT)] = False,
    weights: Annotated[Path | None, typer.Option(help=WEIGHTS)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Print what would be done with every parameter of a model: law, std, and why; without a model, an example."""
    from initlab.api import planning
    from initlab.cli.example import example_model
    from initlab.cli.factory import built_model
    from initlab.cli.output import print_json
    from initlab.core.errors import OptionError

    if diff is not None and scheme != "auto":
        raise OptionError("--diff names its own two", where="--scheme", fix="give one of the two options")
    model, example = (example_model("plan"), None) if factory is None else built_model(factory, weights)
    made, *other = (
        planning.plan(model, one, example=example, include=include, exclude=exclude, reinit=reinit, strict=strict)
        for one in diff or (scheme,)
    )
    if other and diff is not None:
        lines = made.diff(other[0])
        if as_json:
            print_json({"a": diff[0], "b": diff[1], "diff": lines})
        else:
            typer.echo("\n".join(lines) or f"no parameter is treated otherwise by {diff[1]} than by {diff[0]}")
    elif as_json:
        print_json(made.to_dict())
    else:
        typer.echo(str(made))
