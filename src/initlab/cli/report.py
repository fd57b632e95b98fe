"""``initlab report``: the report of a finished comparison, or what differs between two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[Path | None, typer.Argument(help="A folder of 'initlab compare'.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page's file; FOLDER/report.html where left out.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder or file of the data set, for pictures of images.")] = None,
    diff: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Two folders of 'initlab compare', or their comparison.json: print what differs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Write the report of a finished comparison again; with --diff print what differs between two."""
    from initlab.api import reporting
    from initlab.cli.output import print_json, tracker_notices
    from initlab.core.errors import OptionError
    from initlab.report.study.saved import read_comparison

    if (folder is None) == (diff is None):
        raise OptionError("one folder, or --diff and two", where="report", fix="e.g. initlab report runs/iris")
    if folder is not None:
        written = reporting.report(folder, out=out, data=data)
        logging = read_comparison(folder).get("logging", {})
        if as_json:
            print_json({"report": str(written), **({"logging": logging} if logging else {})})
        else:
            typer.echo(f"The report is in {written}")
        tracker_notices(logging)
        return
    assert diff is not None
    _print_difference(diff, out=out, as_json=as_json)


def _print_difference(folders: tuple[Path, Path], *, out: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from initlab.api import reporting
    from initlab.cli.output import print_json
    from initlab.report.study.difference_text import difference_text, write_difference

    found = reporting.difference(*folders)
    if out is not None:
        write_difference(out, found)
    if as_json:
        changes = [{**asdict(change), "verdict": change.verdict} for change in found.changes]
        print_json({**asdict(found), "changes": changes, "conclusion": found.conclusion})
    else:
        typer.echo(difference_text(found))
        if out is not None:
            typer.echo(f"\nThe page is in {out}")
