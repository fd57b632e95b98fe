"""``initlab list``: everything in a registry, a line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import typer


def _schemes() -> Mapping[str, str]:
    from initlab.schemes import SCHEMES

    return {name: SCHEMES[name].formula or SCHEMES[name].summary for name in SCHEMES}


def _studies() -> Mapping[str, str]:
    from initlab.study.design import list_studies, load_study
    from initlab.study.sweep import list_sweeps, load_sweep

    studies = {name: load_study(name).title for name in list_studies()}
    return dict(sorted({**studies, **{name: load_sweep(name).title for name in list_sweeps()}}.items()))


def _tasks() -> Mapping[str, str]:
    from initlab.tasks import TASKS

    return {name: TASKS[name].title for name in TASKS}


def _activations() -> Mapping[str, str]:
    from initlab.theory import ACTIVATIONS

    return {name: ACTIVATIONS[name].formula for name in ACTIVATIONS}


LISTS: dict[str, Callable[[], Mapping[str, str]]] = {
    "schemes": _schemes,
    "studies": _studies,
    "tasks": _tasks,
    "activations": _activations,
}


def _kinds(incomplete: str) -> list[str]:
    """What the shell offers for the word behind ``initlab list``."""
    return [kind for kind in LISTS if kind.startswith(incomplete)]


def list_items(
    kind: Annotated[str, typer.Argument(help="schemes, studies, tasks or activations.", autocompletion=_kinds)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """List the schemes, studies, tasks or activations."""
    from initlab.cli.output import print_json, print_pairs
    from initlab.core.errors import UnknownNameError

    if kind not in LISTS:
        raise UnknownNameError("list", kind, LISTS)
    items = LISTS[kind]()
    if as_json:
        print_json(dict(items))
    else:
        print_pairs(f"{len(items)} {kind}", items)
