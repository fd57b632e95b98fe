"""``initlab museum``: small broken networks, each with a real bug; look at them, mend them, have the copy checked."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

NOT_MENDED = 3
NUMBER = typer.Argument(help="The exhibit's number in 'initlab museum list'.")
JSON = typer.Option("--json", help="Print JSON on standard output, and nothing else.")

museum = typer.Typer(help="Small broken networks, each with a real bug: look at them, mend them, check the copy.")


@museum.command("list")
def list_exhibits(as_json: Annotated[bool, JSON] = False) -> None:
    """List the exhibits: number, and what is broken."""
    from initlab.cli.output import print_json
    from initlab.museum.exhibits import EXHIBITS

    if as_json:
        print_json([{"number": e.number, "name": e.name, "title": e.title, "finds": list(e.finds)} for e in EXHIBITS])
        return
    for e in EXHIBITS:
        typer.echo(f"{e.number:>2}  {e.title}")
    typer.echo("\nOne of them:       initlab museum show 4")
    typer.echo("Your mended copy:  initlab museum check 4 package.module:build")


@museum.command("show")
def show_exhibit(number: Annotated[int, NUMBER], as_json: Annotated[bool, JSON] = False) -> None:
    """Show an exhibit: story, code, what the probe says, the mend."""
    from initlab.api.probing import probe
    from initlab.cli.output import print_json
    from initlab.museum.exhibits import exhibit
    from initlab.museum.visit import built_twin, source_of

    e = exhibit(number)
    source, diagnosis = source_of(e), probe(built_twin(e, "broken"), *e.batch()).diagnose()
    if as_json:
        told = {"number": e.number, "title": e.title, "story": e.story, "source": source, "mend": e.mend}
        print_json({**told, "diagnosis": diagnosis.to_dict()})
        return
    story = textwrap.fill(e.story, 80)
    for part in (f"{e.number}. {e.title}", story, source, str(diagnosis), f"How to mend it: {e.mend}."):
        typer.echo(part + "\n")


@museum.command("check")
def check_exhibit(
    number: Annotated[int, NUMBER],
    factory: Annotated[
        str, typer.Argument(help="Your mended copy: package.module:function, called without arguments.")
    ],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Check that your copy is mended; exit code 3 if it is not."""
    from initlab.api.probing import probe
    from initlab.cli.factory import built_model
    from initlab.cli.output import print_json
    from initlab.museum.exhibits import exhibit
    from initlab.museum.visit import judged

    e = exhibit(number)
    verdict = judged(e, probe(built_model(factory)[0], *e.batch()).diagnose())
    if as_json:
        print_json(verdict.to_dict())
    else:
        typer.echo(str(verdict))
    if not verdict.mended:
        raise typer.Exit(NOT_MENDED)
