"""``initlab paper``: landmark claims at desk size, the paper's number beside ours, and a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from initlab.cli.completion import papers

if TYPE_CHECKING:
    from initlab.papers import PaperResult

NOT_AS_RECORDED = 3


def paper(
    name: Annotated[
        str,
        typer.Argument(help="A row, e.g. he2015-30-layers; without one all are listed.", autocompletion=papers),
    ] = "",
    run_all: Annotated[bool, typer.Option("--all", help="Run every row.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Another value of a constant, NAME=VALUE, to see the verdict fall.", show_default=False
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(help="Draw the figure into this file, .svg gives SVG; with --all a folder, a file a row."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Run a landmark paper's claim at desk size; without a name list all rows.

    Exit code 3 where a verdict is not the one that is recorded.
    """
    from initlab.cli.output import print_json
    from initlab.papers import PAPERS
    from initlab.papers.text import list_data, list_text

    _check(name, run_all=run_all, change=change, png=png)
    if run_all:
        _run_all(seed, png, as_json=as_json)
    elif name:
        _run_one(PAPERS.canonical(name), seed, change or [], png, as_json=as_json)
    elif as_json:
        print_json(list_data())
    else:
        typer.echo(list_text())


def _check(name: str, *, run_all: bool, change: list[str] | None, png: Path | None) -> None:
    """Refuse what does not go together, before anything runs.

    Raises:
        OptionError: It does not.
    """
    from initlab.core.errors import OptionError
    from initlab.core.files import PICTURES, check_folder, check_target

    if name and run_all:
        raise OptionError(f"'{name}' and --all", fix="give one of them")
    if change and not name:
        raise OptionError("a constant is a row's", where="--set", fix="name the row")
    if png is not None and run_all:
        check_folder(png, option="--png")
    elif png is not None and name:
        check_target(png, PICTURES, option="--png")
    elif png is not None:
        raise OptionError("a list has no figure", where="--png", fix="name a row, or give --all")


def _run_one(name: str, seed: int, change: list[str], png: Path | None, *, as_json: bool) -> None:
    from initlab.cli.output import print_json
    from initlab.papers import paper as run

    result = run(name, seed=seed, constants=_constants(change))
    if png is not None:
        result.picture(png)
    if as_json:
        print_json(result.to_dict())
    else:
        typer.echo(str(result))
    _exit([result])


def _run_all(seed: int, png: Path | None, *, as_json: bool) -> None:
    from initlab.cli.output import print_json
    from initlab.core.files import make_folder
    from initlab.papers import PAPERS
    from initlab.papers import paper as run
    from initlab.papers.text import row_text, total_text

    results = []
    if png is not None:
        make_folder(png)
    for name in PAPERS:
        results.append(run(name, seed=seed))
        if png is not None:
            results[-1].picture(png / f"{name}.png")
        if not as_json:
            typer.echo(row_text(results[-1]))
    if as_json:
        print_json([result.to_dict() for result in results])
    else:
        typer.echo("\n" + total_text(results))
    _exit(results)


def _exit(results: list[PaperResult]) -> None:
    if not all(result.as_recorded for result in results):
        raise typer.Exit(NOT_AS_RECORDED)


def _constants(change: list[str]) -> dict[str, float]:
    """The constants of ``--set``.

    Raises:
        OptionError: One is not NAME=VALUE with a finite number.
    """
    from math import isfinite

    from initlab.core.errors import OptionError

    found = {}
    for words in change:
        key, _, value = words.partition("=")
        try:
            found[key.strip()] = float(value)
        except ValueError:
            found[key.strip()] = float("nan")
        if not key.strip() or not isfinite(found[key.strip()]):
            raise OptionError(f"'{words}' is not NAME=VALUE", where="--set", fix="e.g. --set gain=1.5")
    return found
