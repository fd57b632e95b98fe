"""``initlab probe``: theory beside measurement for every layer of a model, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SICK = 3  # bad input is 2
FACTORY = "package.module:build, which returns the model, or a tuple: model, example and, if wanted, targets."


def probe(
    factory: Annotated[str, typer.Argument(help=FACTORY)],
    data: Annotated[
        str | None, typer.Option(help="The batch: a set of 'initlab list tasks', or an .npz file with x and y.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed the generators before the model is built.")] = None,
    limits: Annotated[str | None, typer.Option(help="Other limits of a healthy model, e.g. ratio=100.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw the pictures into this file; .svg gives SVG.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write findings, pictures and tables as one page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Probe a model with one batch: exit code 0 if it is healthy, 3 if there is an alarm."""
    from initlab.api import probing
    from initlab.cli.factory import built_parts, seeding
    from initlab.cli.output import print_json
    from initlab.cli.probe_data import check_files, example_batches, parsed_limits, probed

    chosen = parsed_limits(limits or "")
    check_files(png=png, html=html)
    with seeding(factory, seed):
        model, *given = built_parts(factory)
        profile, batch = probed(model, example_batches(factory, model, given, data), histograms=bool(png or html))
    command = f"initlab probe {factory}" + (f" --data {data}" if data else "")
    diagnosis = profile.diagnose(chosen)
    if as_json:
        print_json({"profile": profile.to_dict(), "diagnosis": diagnosis.to_dict()})
    else:
        typer.echo(f"{profile}\n\n{diagnosis}")
    for path in (png, html):
        if path is not None:
            probing.picture(profile, path, limits=chosen, model=model, batch=batch.x, command=command)
    if not diagnosis.healthy:
        raise typer.Exit(SICK)
