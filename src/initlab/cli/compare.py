"""``initlab compare``: train one network under many schemes and seeds, and say which is better and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from initlab.cli.completion import scheme_lists, studies
from initlab.cli.plan import FACTORY

if TYPE_CHECKING:
    from initlab.core.training.dataset import Preprocess
    from initlab.core.training.protocol import LossName, OptimizerName
    from initlab.study.records import Vary


def compare(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study of 'initlab list studies', the path of a study's TOML, or your CSV file.",
            autocompletion=studies,
        ),
    ] = None,
    build: Annotated[str | None, typer.Option(help=f"In place of a study, your own model. {FACTORY}")] = None,
    schemes: Annotated[
        str | None,
        typer.Option(
            help='Schemes to compare, e.g. "zeros,normal(std=0.01),he_normal(mode=fan_out)".',
            autocompletion=scheme_lists,
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, each scheme on the same ones.")] = None,
    splits: Annotated[
        int | None, typer.Option(help="Splits into training and test rows, each with its own seeds: 3 or more.")
    ] = None,
    first_seed: Annotated[
        int | None, typer.Option(help="The first of the seeds: another is a fresh replication.")
    ] = None,
    vary: Annotated[
        str | None, typer.Option(help="What a seed changes: init (weights), data (batches, dropout, split) or both.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training data.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the optimiser.")] = None,
    learning_rates: Annotated[
        str | None, typer.Option(help="A grid, e.g. 1e-3,1e-2: each scheme gets its own best, by runs of their own.")
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="Of your own model or CSV file: adam where left out, sgd, momentum or adamw.")
    ] = None,
    loss: Annotated[str | None, typer.Option(help="Of your own model or CSV file: cross_entropy or mse.")] = None,
    target: Annotated[str | None, typer.Option(help="Of a CSV file: the column to be told from the others.")] = None,
    preprocess: Annotated[
        str | None, typer.Option(help="Features: none, standardise, unit (0 to 1) or signed (-1 to 1).")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; one a core where left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; runs/STUDY where left out.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Folder or file of the data set; for your own model a data set's name, or a CSV file."),
    ] = None,
    framework: Annotated[
        str | None, typer.Option(help="What trains: jax (initlab's own engine), torch or keras.")
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="Trackers to give every run to: tensorboard, wandb, csv, separated by commas.")
    ] = None,
    histograms_every: Annotated[
        int | None, typer.Option(help="Histograms at epochs 0, K, 2 K, ... and the last; else as the study says.")
    ] = None,
    remedies: Annotated[
        bool, typer.Option("--remedies", help="Of depth: what mends networks that are too deep.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that one training call may take; alone, twice, and it is given up.")
    ] = None,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Take finished runs of other code too; the table marks them.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Make all runs anew; finished ones are set aside in records/aside.")
    ] = False,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of the records, which comparisons may share; OUT/records where left out."),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            help="In place of a study, runs made elsewhere: a CSV or Parquet file, or a folder of TensorBoard, W&B "
            "(offline), MLflow or initlab."
        ),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Of --runs: what is compared, by its last step.")] = None,
    better: Annotated[
        str | None, typer.Option(help="Of --runs: higher or lower, where the name leaves it open.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Of --runs: the configuration to hold the best against; the most repeated one.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Of --runs: columns or keys that tell configurations apart, with commas.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Train one network under many schemes and seeds; say which is better and how sure; without a study, on iris."""
    from initlab.cli.elsewhere import check_options, compare_elsewhere

    check_options(context, elsewhere=runs is not None)
    if runs is not None:
        return compare_elsewhere(runs, metric=metric, better=better, baseline=baseline, by=by, as_json=as_json)
    from initlab.api import comparison
    from initlab.cli.example import told
    from initlab.cli.factory import named_here
    from initlab.cli.output import numbers, print_json, run_progress, tracker_notices
    from initlab.cli.sweeping import compare_sweep, is_sweep
    from initlab.core.calls import split_calls
    from initlab.core.factory_files import dotted_of_file

    if is_sweep(study, remedies=remedies):
        others = {
            "--build": build,
            "--learning-rates": learning_rates,
            "--optimizer": optimizer,
            "--loss": loss,
            "--target": target,
            "--preprocess": preprocess,
            "--splits": splits,
            "--first-seed": first_seed,
            "--vary": vary,
            "--data": data,
            "--framework": framework,
            "--track": track,
            "--histograms-every": histograms_every,
        }
        return compare_sweep(
            "depth-remedies" if remedies else str(study),
            schemes=schemes,
            seeds=seeds,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            jobs=jobs,
            out=out,
            timeout=timeout,
            allow_changed=allow_changed,
            fresh=fresh,
            store=store,
            others=others,
            as_json=as_json,
        )
    if study is None and build is None and data is None:
        told("four initializations on iris", yours="initlab compare --build train.py:build --data digits")
        study = "iris"
    if build is not None:
        named_here(build)
        build = dotted_of_file(build)
    with run_progress() as progress:
        result = comparison.compare(
            study,
            build=build,
            schemes=None if schemes is None else split_calls(schemes),
            seeds=seeds,
            splits=splits,
            first_seed=first_seed,
            vary=cast("Vary | None", vary),
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rates=None if learning_rates is None else numbers("--learning-rates", learning_rates),
            optimizer=cast("OptimizerName | None", optimizer),
            loss=cast("LossName | None", loss),
            target=target,
            preprocess=cast("Preprocess | None", preprocess),
            jobs=jobs,
            out=out,
            data=data,
            framework=framework,
            track=() if track is None else split_calls(track),
            histograms_every=histograms_every,
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
    tracker_notices(result.logging)
    if result.gave_out:
        raise typer.Exit(code=5)
    if result.failed:
        raise typer.Exit(code=3)
