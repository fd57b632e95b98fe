"""``initlab audit``: does every parameter of a model hold what was declared?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from initlab.cli.plan import FACTORY, WEIGHTS

WRONG = 3  # bad input is 2


def audit(
    factory: Annotated[str, typer.Argument(help=FACTORY)],
    recipe: Annotated[str | None, typer.Option(help='A published model, e.g. gpt2 or "siren(omega=10)".')] = None,
    scheme: Annotated[str | None, typer.Option(help='One scheme for all weights, e.g. "normal(std=0.02)".')] = None,
    lock: Annotated[Path | None, typer.Option(help="A file that 'initlab lock' wrote.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Hold to the lock's numbers, not to their laws.")] = False,
    seed: Annotated[int | None, typer.Option(help="Hold to the draw of this seed, number by number.")] = None,
    weights: Annotated[Path | None, typer.Option(help=WEIGHTS)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Hold a model to a recipe, a scheme or a lock file; exit code 3 if a parameter is wrong."""
    from initlab.api import auditing
    from initlab.cli.factory import built_model
    from initlab.cli.output import print_json
    from initlab.core.calls import parse_call
    from initlab.core.errors import OptionError
    from initlab.recipes.book import RECIPES
    from initlab.schemes import SCHEMES

    if recipe is not None:
        RECIPES.canonical(parse_call(recipe)[0])
    if scheme is not None and parse_call(scheme)[0] in RECIPES and parse_call(scheme)[0] not in SCHEMES:
        raise OptionError(f"'{scheme}' is a recipe and no scheme", where="--scheme", fix=f"--recipe {scheme}")
    given = [one for one in (recipe, scheme and {"*": scheme}, lock) if one is not None]
    if len(given) != 1:
        raise OptionError(f"{len(given)} declarations", fix="give one of --recipe, --scheme and --lock")
    model, example = built_model(factory, weights)
    found = auditing.audit(model, given[0], example=example, seed=seed, exact=exact)
    if as_json:
        print_json(found.to_dict())
    else:
        typer.echo(str(found))
    if not found.ok:
        raise typer.Exit(WRONG)
