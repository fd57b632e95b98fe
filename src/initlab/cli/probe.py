"""``initlab probe``: theory beside measurement for every layer of a model, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from initlab.cli.plan import FACTORY, INPUT, WEIGHTS
from initlab.core.errors import OptionError

if TYPE_CHECKING:
    from initlab.cli.probe_data import Batch
    from initlab.probing.profile import Profile

SICK = 3  # bad input is 2


def probe(
    factory: Annotated[str | None, typer.Argument(help=FACTORY)] = None,
    data: Annotated[
        str | None, typer.Option(help="The batch: a set of 'initlab list tasks', or an .npz file with x and y.")
    ] = None,
    shapes: Annotated[list[str] | None, typer.Option("--input", help=INPUT)] = None,
    weights: Annotated[Path | None, typer.Option(help=WEIGHTS)] = None,
    seed: Annotated[int | None, typer.Option(help="Seed the generators before the model is built.")] = None,
    limits: Annotated[str | None, typer.Option(help="Other limits of a healthy model, e.g. ratio=100.")] = None,
    strict: Annotated[bool, typer.Option(help="Exit code 3 for a model that is hard to train, too.")] = False,
    table: Annotated[bool, typer.Option(help="Print theory beside measurement for every layer, too.")] = False,
    tried: Annotated[
        str | None, typer.Option("--try", help="Schemes to hold beside the model's own weights, e.g. he_normal,auto.")
    ] = None,
    try_mends: Annotated[
        bool | None,
        typer.Option(help="Try what is offered on the model, and take it back. Left out: for small models."),
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Draw the pictures into this file; .svg gives SVG.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write findings, pictures and tables as one page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Probe a model with one batch: exit code 0 if it is healthy, or hard to train; 3 if it is sick or not judged.

    The batch is what the factory returns beside the model, --data, or made up: of the shape that --input gives, or
    guessed from the first layer, and then the model is never called healthy. Without a model, an example is shown.
    """
    from initlab.api import probing
    from initlab.cli.example import example_model
    from initlab.cli.factory import built_parts, seeding
    from initlab.cli.output import print_json
    from initlab.cli.probe_data import (
        check_files,
        example_batches,
        mended,
        parsed_limits,
        probed,
        probed_without_batch,
    )  # fmt: skip
    from initlab.probing.profile import SideBySide

    chosen = parsed_limits(limits or "")
    if shapes and data:
        raise OptionError("--input and --data are both given", fix="give one of them")
    check_files(png=png, html=None if tried else html)
    if tried and html:
        raise OptionError("--try draws one picture, and no page", where="--html", fix="give --png")
    data = data or ("digits" if factory is None and not shapes else None)

    def built() -> tuple[object, object, object]:
        return (example_model("probe"), None, None) if factory is None else built_parts(factory, weights)

    with nullcontext() if factory is None else seeding(factory, seed):
        model, *given = built()
        counted = bool(png or html or as_json)
        if shapes or (data is None and given[0] is None):
            profile, batch = probed_without_batch(model, shapes or [], histograms=counted)
        else:
            profile, batch = probed(model, example_batches(model, given, data), histograms=counted)
        profile = mended(model, profile, batch, chosen, wanted=try_mends)
    again = nullcontext if factory is None else partial(seeding, factory, seed)
    others = _tried(built, again, tried, batch, seed, histograms=bool(png)) if tried else {}
    command = (
        f"initlab probe {factory}"
        + (f" --data {data}" if data else "")
        + "".join(f" --input {one}" for one in shapes or [])
    )
    diagnosis = profile.diagnose(chosen)
    beside = SideBySide({"own": profile, **others}) if others else None
    if as_json:
        found = {"profile": profile.to_dict(), "diagnosis": diagnosis.to_dict()}
        print_json(found if beside is None else {**found, "tried": beside.to_dict()})
    else:
        told = [diagnosis, *([] if beside is None else [beside]), *([profile] if table else [])]
        typer.echo("\n\n".join(str(part) for part in told))
    for path in (png, html):
        if path is not None and beside is not None:
            probing.picture(beside, path)
        elif path is not None:
            probing.picture(profile, path, limits=chosen, model=model, batch=batch.x, command=command)
    if diagnosis.verdict in ("sick", "not judged", *(["hard"] if strict else [])):
        raise typer.Exit(SICK)


def _tried(
    built: Callable[[], tuple[object, object, object]], seeded: Callable[[], AbstractContextManager[None]],
    schemes: str, batch: Batch, seed: int | None, *, histograms: bool,
) -> dict[str, Profile]:  # fmt: skip
    """The profiles of the factory's model under other schemes, each built anew."""
    from initlab.api.planning import initialize
    from initlab.api.probing import probe
    from initlab.core.calls import split_calls

    found = {}
    for scheme in split_calls(schemes):
        with seeded():
            model = built()[0]
        initialize(model, scheme, seed=seed or 0, example=batch.x, reinit=True)
        found[scheme] = probe(model, batch.x, batch.y, histograms=histograms)
    return found
