"""What ``initlab compare depth`` does: a sweep in place of a single study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import typer


def is_sweep(study: str | None, *, remedies: bool) -> bool:
    """Whether the words of a command line name a sweep.

    Raises:
        OptionError: ``--remedies`` for a study that has none.
    """
    from initlab.core.errors import OptionError
    from initlab.study.sweep import list_sweeps

    if remedies and study != "depth":
        raise OptionError("only the sweep depth has remedies", where="--remedies", fix="initlab compare depth")
    return study in list_sweeps()


def compare_sweep(
    name: str,
    *,
    schemes: str | None,
    seeds: int | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    jobs: int | None,
    out: Path | None,
    timeout: float | None,
    allow_changed: bool,
    fresh: bool,
    store: Path | None,
    others: Mapping[str, object],
    as_json: bool,
) -> None:
    """Run a sweep and print it.

    Args:
        name: The sweep.
        schemes: As typed.
        seeds: As in ``sweep``.
        epochs: As in ``sweep``.
        batch_size: As in ``sweep``.
        learning_rate: As in ``sweep``.
        jobs: As in ``sweep``.
        out: As in ``sweep``.
        timeout: As in ``sweep``.
        allow_changed: As in ``sweep``.
        fresh: As in ``sweep``.
        store: As in ``sweep``.
        others: Options of a single study, by name; one that was given is refused.
        as_json: Whether to print JSON alone.

    Raises:
        OptionError: An option that a sweep has not.
    """
    from initlab.api import sweeping
    from initlab.cli.output import print_json, run_progress
    from initlab.core.calls import split_calls
    from initlab.core.errors import OptionError

    for option, value in others.items():
        if value is not None:
            raise OptionError(f"{name} is a sweep of its own data and networks", where=option, fix="leave it out")
    with run_progress() as progress:
        result = sweeping.sweep(
            name,
            schemes=None if schemes is None else split_calls(schemes),
            seeds=seeds,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            jobs=jobs,
            out=out,
            progress=progress,
            timeout=timeout,
            allow_changed=allow_changed,
            fresh=fresh,
            store=store,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        result.print()
    if result.failed:
        raise typer.Exit(code=3)
