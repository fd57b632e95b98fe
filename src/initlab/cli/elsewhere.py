"""What ``initlab compare --runs`` does: runs that were made elsewhere, in place of a study."""

from __future__ import annotations

from pathlib import Path

import typer

_OWN = frozenset({"runs", "metric", "better", "baseline", "by", "as_json"})


def check_options(context: typer.Context, *, elsewhere: bool) -> None:
    """Nothing, where every option that was given belongs to what is done.

    Args:
        context: Of the command.
        elsewhere: Whether runs were made elsewhere, which takes ``--metric`` and the like and nothing that trains.

    Raises:
        OptionError: One does not.
    """
    from initlab.core.errors import OptionError

    given = [name for name in context.params if _is_typed(context, name)]
    strange = [name for name in given if (name not in _OWN if elsewhere else name in _OWN - {"as_json"})]
    if strange:
        name = f"--{strange[0].replace('_', '-')}" if strange[0] != "study" else "STUDY"
        if elsewhere:
            raise OptionError("runs that were made elsewhere are not trained here", where=name, fix=f"leave {name} out")
        raise OptionError("it belongs to runs that were made elsewhere", where=name, fix="name them: --runs FOLDER")


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def compare_elsewhere(
    path: Path, *, metric: str | None, better: str | None, baseline: str | None, by: str | None, as_json: bool
) -> None:
    """Print what the runs say.

    Args:
        path: As in ``compare_runs``.
        metric: As in ``compare_runs``.
        better: As in ``compare_runs``.
        baseline: As in ``compare_runs``.
        by: As typed, with commas.
        as_json: Whether to print JSON alone.

    Raises:
        OptionError: As ``compare_runs``.
        DataError: As ``compare_runs``.
    """
    from initlab.api.runs_elsewhere import compare_runs
    from initlab.cli.output import print_json

    keys = () if by is None else [key.strip() for key in by.split(",") if key.strip()]
    result = compare_runs(path, metric=metric, better=better, baseline=baseline, by=keys)
    if as_json:
        print_json(result.to_dict())
    else:
        result.print()
