"""``initlab store``: the finished runs of comparisons checked, cleaned, packed into one file, and put together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from initlab.study.stores import Taken

DAMAGED = 4
FOLDER = typer.Argument(help="A folder of 'initlab compare', or of records.", metavar="FOLDER")
JSON = typer.Option("--json", help="Print JSON on standard output, and nothing else.")

store = typer.Typer(help="The finished runs of comparisons: check, clean, pack, and put together.")


@store.command("verify")
def verify(folder: Annotated[Path, FOLDER], as_json: Annotated[bool, JSON] = False) -> None:
    """Check every record; exit code 4 if one is damaged."""
    from initlab.cli.output import print_json
    from initlab.study.stores import stores_in
    from initlab.study.stores import verify as checked

    found = checked(stores_in(folder))
    if as_json:
        print_json({"records": found.records, "damaged": list(found.damaged)})
    else:
        typer.echo(f"{found.records:,} records are whole, {len(found.damaged):,} damaged")
        for error in found.damaged:
            typer.echo(f"  {error}")
    if found.damaged:
        raise typer.Exit(DAMAGED)


@store.command("gc")
def gc(folder: Annotated[Path, FOLDER]) -> None:
    """Remove records that --fresh set aside, and what killed processes left."""
    from initlab.study.stores import collect_garbage, stores_in

    files, size = collect_garbage(stores_in(folder))
    typer.echo(f"{files:,} files removed, {size / 1e6:,.1f} MB")


@store.command("export")
def export(folder: Annotated[Path, FOLDER], out: Annotated[Path, typer.Option(help="The ZIP file to write.")]) -> None:
    """Write all records to one file."""
    from initlab.core.files import check_target
    from initlab.study.stores import export as packed
    from initlab.study.stores import stores_in

    check_target(out, (".zip",), option="--out")
    typer.echo(f"{out}: {packed(stores_in(folder), out):,} records")


@store.command("import")
def import_records(
    file: Annotated[Path, typer.Argument(help="What 'initlab store export' wrote.", metavar="FILE")],
    folder: Annotated[Path, FOLDER],
) -> None:
    """Add the records of an exported file to a folder."""
    from initlab.core.errors import OptionError
    from initlab.study.stores import store_for, unpack

    if not os.path.isfile(file):
        raise OptionError(f"there is no file '{file}'", where="FILE", fix="name what initlab store export wrote")
    _told(unpack(file, store_for(folder)))


@store.command("merge")
def merge(
    source: Annotated[Path, typer.Argument(help="The folder whose records are added.", metavar="SOURCE")],
    folder: Annotated[Path, FOLDER],
) -> None:
    """Add the records of a folder to another."""
    from initlab.study.stores import merge as merged
    from initlab.study.stores import store_for, stores_in

    _told(merged(stores_in(source), store_for(folder)))


def _told(taken: Taken) -> None:
    typer.echo(f"{taken.new:,} records added, {taken.same:,} were there")
    if taken.other:
        typer.echo(
            f"{len(taken.other):,} were there with other numbers and stay as they were: {', '.join(taken.other)}"
        )
        raise typer.Exit(3)
