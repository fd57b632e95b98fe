"""``initlab init``: the initial weights of a model, as a safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypedDict

import typer

from initlab.cli.completion import schemes
from initlab.cli.plan import FACTORY, STRICT


def init(
    factory: Annotated[str, typer.Argument(help=FACTORY)],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
    scheme: Annotated[
        str | None,
        typer.Option(help='E.g. auto, he_normal or "normal(std=0.01)"; auto if left out.', autocompletion=schemes),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A safetensors file; what it holds is taken, not drawn.")
    ] = None,
    missing: Annotated[
        str | None, typer.Option(help="The scheme for what --from lacks; else that is refused.", autocompletion=schemes)
    ] = None,
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
    from initlab.cli.weights import read_weights, write_weights
    from initlab.core.errors import OptionError
    from initlab.core.files import check_target

    check_target(out, option="--out")
    if source is not None and scheme is not None:
        raise OptionError("--from and --scheme are both given", fix="--missing names the scheme for what --from lacks")
    if source is None and missing is not None:
        raise OptionError("nothing is missing without --from", where="--missing", fix="give --scheme")
    consent: _Consent = {"include": include, "exclude": exclude, "reinit": reinit, "strict": strict}
    held = None if source is None else read_weights(source)
    model, example = built_model(factory)
    if source is None or held is None:
        call = scheme or "auto"
        made = planning.plan(model, call, example=example, **consent)
        about, told = {"scheme": call}, f"scheme {call}"
    else:
        made = planning.plan_around(model, held, source.name, missing=missing, example=example, **consent)
        typer.echo(str(made))
        about, told = {"from": source.name, "missing": missing or ""}, f"{len(held)} of them from {source}"
    arrays, used = planning.initial_state(made, seed)
    write_weights(out, arrays, {**about, "seed": str(used), "initlab": __version__})
    typer.echo(f"{out}: {len(arrays)} tensors, {told}, seed {used}")


class _Consent(TypedDict):
    """What is written though it is meant to stay, and what is not."""

    include: list[str] | None
    exclude: list[str] | None
    reinit: bool
    strict: bool
