"""``initlab compare``: train one network under many schemes and seeds, and say which is better and how sure that is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def compare(
    study: Annotated[str, typer.Argument(help="A study of 'initlab list studies', or the path of a study's TOML.")],
    schemes: Annotated[
        str | None, typer.Option(help='Schemes to compare, e.g. "zeros,normal(std=0.01),he_normal(mode=fan_out)".')
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, each scheme on the same ones.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training data.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; one a core where left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; runs/STUDY where left out.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder or file of the data set.")] = None,
    framework: Annotated[
        str | None, typer.Option(help="What trains: jax (initlab's own engine), torch or keras.")
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="Trackers to give every run to: tensorboard, wandb, csv, separated by commas.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Train one network under many schemes and seeds; say which is better and how sure that is."""
    from initlab.api import comparison
    from initlab.cli.output import print_json, run_progress
    from initlab.core.calls import split_calls

    with run_progress() as progress:
        result = comparison.compare(
            study,
            schemes=None if schemes is None else split_calls(schemes),
            seeds=seeds,
            epochs=epochs,
            jobs=jobs,
            out=out,
            data=data,
            framework=framework,
            track=() if track is None else split_calls(track),
            progress=progress,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        result.print()
    for tracker, outcome in result.logging.items():
        if outcome != "ok":
            print(f"initlab: notice: the tracker {tracker} is {outcome}", file=sys.stderr)
    if result.failed:
        raise typer.Exit(code=3)
