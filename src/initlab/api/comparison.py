"""The verb of many trainings: compare."""

from __future__ import annotations

import json
import os
import shlex
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from initlab.api.own_models import Build, Data, own_study
from initlab.api.tables import is_table, table_study
from initlab.core.errors import DrawingError, MissingDependencyError, OptionError, PictureWarning
from initlab.core.files import check_folder, make_folder, write_whole, writing
from initlab.core.identity.walk import Code
from initlab.core.training.dataset import Dataset, Preprocess
from initlab.core.training.protocol import LossName, Optimizer, OptimizerName
from initlab.report.drawing.markup import element, join, text
from initlab.report.study.facts import DatasetFacts, dataset_facts
from initlab.report.study.figures import loss_figure
from initlab.report.study.html import write_report
from initlab.report.study.notebook import comparison_html
from initlab.report.study.notebook_progress import notebook_progress
from initlab.report.study.pictures import write_curves_png
from initlab.report.study.saved import saved_json
from initlab.report.study.tables import analysis_json, print_table, table_text
from initlab.study.analysis import analyse
from initlab.study.design import data_options, expand, load_study, with_overrides
from initlab.study.export import write_curves
from initlab.study.kept import warn_of_kept
from initlab.study.rate_runs import run_rates
from initlab.study.rates import at_chosen_rates
from initlab.study.records import Analysis, RunRecord, StudyDesign, Vary
from initlab.study.resuming import changed_of
from initlab.study.run import Progress
from initlab.study.split_runs import at_split, run_splits
from initlab.study.trackers import FinishedStudy, Tracking, check_trackers
from initlab.study.trackers.feed import Outcome
from initlab.tasks import load_task

if TYPE_CHECKING:
    import pandas

TOLD = 3
"""Parts of the user's code that are named where they are not seen."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A study that was carried out: its records, what they say, and where everything lies.

    Attributes:
        design: What was asked.
        facts: The data, as counted.
        records: A record a run.
        analysis: The table's numbers, all pairs, and the conclusion.
        folder: Holds the records, ``curves.parquet``, ``curves.png``, ``report.html`` and ``comparison.json``.
        command: The command line that repeats it.
        logging: By tracker ``ok``, or ``degraded`` and why.
        dataset: The data, for pictures and confusion matrices in the report.
        store: The folder of the records; None for ``records`` in the folder.
    """

    design: StudyDesign
    facts: DatasetFacts
    records: Sequence[RunRecord]
    analysis: Analysis
    folder: Path
    command: str
    logging: Mapping[str, str] = field(default_factory=dict)
    dataset: Dataset | None = field(default=None, repr=False)
    store: Path | None = None

    @property
    def failed(self) -> int:
        """Runs that failed, timed out or were skipped; a run that diverged is a result."""
        return sum(record.status not in ("ok", "diverged") for record in self.records)

    @property
    def gave_out(self) -> bool:
        """Whether a tracker found the disk full, read-only or broken; all runs are kept."""
        return any(isinstance(outcome, Outcome) and outcome.gave_out for outcome in self.logging.values())

    def table(self, *, width: int = 80) -> str:
        """The table as plain text."""
        return table_text(self.analysis, width=width, losses=self._losses())

    def _losses(self) -> dict[str, tuple[float | None, ...]]:
        """Each scheme's mean train loss by epoch; epoch 0, before the first batch, has none."""
        figure = loss_figure(self.design, at_chosen_rates(self.design, self.records))
        return {curve.scheme: curve.mean[1:] for curve in figure.curves}

    def __str__(self) -> str:
        said = [self.analysis.conclusion, f"Everything is in {self.folder}", *self._notices()]
        return "\n\n".join([self.table(), *(_fold(one) for one in said)])

    def _notices(self) -> list[str]:
        """A line for what has a part in the user's code and cannot be told, and for each tracker that is degraded."""
        return [*self._unseen(), *(f"The tracker {n} is {said}" for n, said in self.logging.items() if said != "ok")]

    def _unseen(self) -> list[str]:
        unseen = tuple(dict.fromkeys(one for record in self.records for one in record.code.unseen))
        more = f", and {len(unseen) - TOLD} more" if len(unseen) > TOLD else ""
        return [f"Not seen, so no change of it is told: {', '.join(unseen[:TOLD])}{more}"] if unseen else []

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        folder = element(
            "p", text(f"Everything is in {self.folder}: report.html, curves.png, curves.parquet, records/")
        )
        notices = [element("p", text(notice)) for notice in self._notices()]
        return join([comparison_html(self.design, self.records, self.analysis), folder, *notices])

    def print(self) -> None:
        """Print table, conclusion and folder, in the terminal's width and colours."""
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        console.print(print_table(self.analysis, width=console.width, losses=self._losses()))
        console.print()
        console.print(Text(self.analysis.conclusion, style="bold"))
        console.print()
        console.print(Text(f"Everything is in {self.folder}: report.html, curves.png, curves.parquet, records/"))
        for notice in self._unseen():
            console.print(Text(notice, style="dim"))

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready data; the keys are in ``initlab/report/compare.schema.json``."""
        found = analysis_json(self.design, self.analysis, self.folder, environment=self.records[0].env)
        found |= saved_json(self.design, self.facts, self.records, self.command)
        if self.store is not None:
            found["store"] = os.path.relpath(self.store, self.folder)
        return {**found, "logging": dict(self.logging)} if self.logging else found

    def to_pandas(self) -> pandas.DataFrame:
        """One row a run and epoch: scheme, seed, status, epoch, losses and accuracies.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError("to_pandas needs pandas", fix="pip install pandas") from error
        return pandas.read_parquet(self.folder / "curves.parquet")

    def report(self, path: str | Path) -> Path:
        """Write the report, one offline HTML file; returns its path."""
        asked = self.design, self.records, self.analysis, self.facts
        return write_report(path, *asked, self.command, dataset=self.dataset, logging=self.logging)


def compare(
    study: str | Path | StudyDesign | None = None,
    *,
    build: Build | str | None = None,
    schemes: Sequence[str] | None = None,
    seeds: int | None = None,
    splits: int | None = None,
    first_seed: int | None = None,
    vary: Vary | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    learning_rates: Sequence[float] | None = None,
    optimizer: OptimizerName | Optimizer | None = None,
    loss: LossName | None = None,
    test_share: float | None = None,
    target: str | None = None,
    preprocess: Preprocess | None = None,
    jobs: int | None = None,
    out: str | Path | None = None,
    data: Data | None = None,
    framework: str | None = None,
    track: Sequence[str] = (),
    histograms_every: int | None = None,
    progress: Progress | None = None,
    timeout: float | None = None,
    allow_changed: bool = False,
    fresh: bool = False,
    store: str | Path | None = None,
) -> Comparison:
    """Train one network under many schemes and seeds, and say which is better and how sure that is.

    The network is that of a study, or the user's own model: then ``build`` makes it and ``data`` are what it learns.
    Each run builds the model under its own seed, initialises it by its scheme and trains it in its own framework: in
    worker processes of one thread each where they can import ``build``, else in this one. Small PyTorch models train
    32 at a time; where they do not, ``models_at_a_time`` in a record's ``env`` says why.

    Every finished run is kept in the folder: the same call again trains nothing, more seeds train only the new ones,
    and a call that was stopped goes on.

    Args:
        study: A ready-made study (``initlab list studies``), the path of a study's TOML, a design, or the path of a CSV
            file: a dense network of 64 and 32 hidden units is then trained on it, 50 epochs where left out.
        build: In place of a study: a function without arguments that returns a PyTorch or Keras model, or a tuple of
            the model and an example input to trace it on; or the function's name, ``"package.module:function"``.
        schemes: Schemes to compare, e.g. ``["zeros", "normal(std=0.01)"]``; where left out the study's, and for an own
            model ``auto``, ``he_normal``, ``glorot_uniform`` and its framework's default.
        seeds: Number of seeds, 1 or more; each scheme trains on the same ones. An own model gets 6, and 3 a split
            where there are several.
        splits: Splits of the rows into training and test rows, 3 or more, each with 3 or more seeds of its own: the
            answer is then about data of this size, not about these test rows. Where left out the data set's own one,
            and 5 for a CSV file of fewer than 2,000 rows.
        first_seed: The first of the seeds, 0 where left out: another one is a fresh replication.
        vary: What differs from seed to seed: the weights (``init``), batches, dropout and split (``data``), or all
            (``both``, where left out). Of the first two each run gets a companion in which all differs, and the
            conclusion says which share of the variance over seeds comes from what was varied.
        epochs: Passes over the training data, 1 or more. An own model gets 20.
        batch_size: Rows a step, 1 or more. An own model gets 32.
        learning_rate: Above 0. An own model gets 0.001, or 0.01 with ``sgd`` and ``momentum``.
        learning_rates: In its place a grid. Every scheme is tuned at every rate, on at most 5 seeds of their own (from
            1,000,000 on) and without a fifth of the training rows, and gets the rate at which it lost the fewest runs
            and then scores best on that fifth. The reported seeds train at that rate on all training rows.
        optimizer: Of an own model: ``adam`` where left out, ``sgd``, ``momentum``, ``adamw``, or a record with all
            numbers.
        loss: Of an own model: ``cross_entropy`` or ``mse``; as the targets are where left out.
        test_share: Share of the rows of ``(x, y)``, or of a CSV file, that test an own model, 0.2 where left out.
        target: Column of a CSV file that is to be told from the others, the last where left out.
        preprocess: What is done to the features: ``none``, ``standardise`` (mean 0 and variance 1 of each over the
            training rows), ``unit`` (0 to 1) or ``signed`` (-1 to 1). Where left out as the study says; of an own model
            nothing, but for a data set by name what that one does, and for a CSV file ``standardise``.
        jobs: Worker processes, 1 or more; one a core where left out.
        out: Folder of the results; ``runs/STUDY`` where left out.
        data: Of a study: folder or file of the data set, where it does not travel with initlab. Of an own model:
            ``(x, y)``, split in the same way every time, ``(x_train, y_train, x_test, y_test)``, a data set as
            ``from_arrays`` and ``load_task`` give it, the name of one of ``initlab list tasks``, or the path of a CSV
            file whose last column is to be told from the others (``tasks.from_csv``).
        framework: What trains: ``jax`` (initlab's own engine), ``torch`` or ``keras``.
        track: Trackers that are given every run while it trains: ``tensorboard``, ``wandb`` (offline unless
            ``WANDB_MODE`` says otherwise), ``csv``. What becomes of them is in ``Comparison.logging``.
        histograms_every: Epochs from one set of histograms to the next, 1 or more: weights, activations and gradients
            are counted at the epochs 0, that many, twice as many, ..., and at the last. Where left out as the study
            says, and for an own model at the first and the last. Other epochs make other runs.
        progress: Called with the numbers of runs done, planned, diverged and failed; left out, a notebook shows a bar.
        timeout: Seconds that one training call may take, of a chunk of models or of one alone; what takes longer is
            tried once more alone, and ends as ``timeout``. After two of a scheme its other runs are not tried.
        allow_changed: Whether finished runs that were made with other code of yours, or by a release that rounds
            otherwise, are taken; the table marks their schemes. Without it such runs are refused, and what differs
            first is named.
        fresh: Whether all runs are made anew; the old records are set aside in ``records/aside``.
        store: Folder of the records, which any number of comparisons and sweeps may share, at the same time too;
            ``records`` in the folder of the results where left out.

    Returns:
        The comparison; its folder holds the records, curves, picture and report.

    Raises:
        UnknownNameError: An unknown study, scheme, data set, framework or tracker; the nearest is offered.
        OptionError: Finished runs were made with other code, a number is out of its range, ``out`` is a file, both or
            neither of study and build, or a function that returns no model, or another one each time.
        ShapeError: An own model that does not take the rows, or whose outputs do not fit the targets.
        DataError: The data are missing, torn or not what they say they are.
        StoreError: A stored record is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = compare("iris", schemes=["zeros"], seeds=1, jobs=1, out=folder)
        >>> result.analysis.rows[0].test_accuracy.per_seed      # the test set's share of the commonest training class
        (0.3,)
    """
    trackers = check_trackers(track)
    changes: _Changes = {
        "schemes": schemes,
        "seeds": seeds,
        "splits": splits,
        "first_seed": first_seed,
        "vary": vary,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "learning_rates": learning_rates,
        "histograms_every": histograms_every,
        "preprocess": preprocess,
    }
    only_own: _OnlyOwn = {"optimizer": optimizer, "loss": loss, "test_share": test_share, "target": target}
    if build is None and is_table(study):
        asked = _of_table(cast("str | Path", study), data, framework, changes, only_own)
    elif build is None:
        asked = _of_study(study, data, framework, changes, only_own)
    elif study is not None or framework is not None:
        raise OptionError("build comes with a study or a framework of its own", where="compare", fix="give build alone")
    else:
        asked = _of_own_model(build, data, changes, only_own)
    design, dataset = asked.design, asked.dataset
    if trackers and design.splits > 1:
        why = f"trackers take the runs of one split, and there are {design.splits}"
        raise OptionError(why, where="track", fix="give splits=1 (--splits 1), or leave track out")
    folder = Path(out) if out is not None else Path("runs") / design.name
    check_folder(folder, option="out")
    if store is not None:
        check_folder(Path(store), option="store")
    changed = changed_of(allow=allow_changed, fresh=fresh)
    warn_of_kept(expand(design, dataset), stacklevel=2)
    tracking = Tracking(trackers, design.name, dataset, folder) if trackers else None
    with notebook_progress(progress) as told, nullcontext() if tracking is None else tracking:
        run = partial(run_rates, folder=folder, build=asked.build, code=asked.code, changed=changed, store=store)
        carry = partial(run, jobs=jobs, timeout=timeout, watcher=tracking)
        records = run_splits(design, dataset, asked.split, carry, progress=told)
    facts = dataset_facts(dataset)
    analysis = analyse(design, records, ratio=facts.rows_test / facts.rows_train, notes=facts.notes)
    # Pictures of rows are of one split's test rows, which those of the others are not.
    shown = dataset if design.splits == 1 else None
    result = Comparison(design, facts, records, analysis, folder, asked.command, dataset=shown, store=_path(store))
    _write(result)
    if tracking is None:
        return result
    compared, drawn = at_chosen_rates(design, records), folder / "curves.png"
    picture = drawn.read_bytes() if drawn.is_file() else None
    finished = FinishedStudy(compared, analysis, dataset, folder, picture)
    result = replace(result, logging=tracking.finish(finished))
    _write_json(result)
    if any(outcome != "ok" for outcome in result.logging.values()):
        result.report(folder / "report.html")
    return result


class _Changes(TypedDict):
    """What a study and an own model are both told."""

    schemes: Sequence[str] | None
    seeds: int | None
    splits: int | None
    first_seed: int | None
    vary: Vary | None
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    learning_rates: Sequence[float] | None
    histograms_every: int | None
    preprocess: Preprocess | None


class _OnlyOwn(TypedDict):
    """What rows of the user's own are told, with an own model or with initlab's networks."""

    optimizer: OptimizerName | Optimizer | None
    loss: LossName | None
    test_share: float | None
    target: str | None


@dataclass(frozen=True, eq=False)
class _Asked:
    """A design, its data, what builds an own model, and what repeats it all."""

    design: StudyDesign
    dataset: Dataset
    build: Build | None
    command: str
    code: Code | None = None
    split: Callable[[int], Dataset] | None = None


def _of_study(
    study: str | Path | StudyDesign | None,
    data: Data | None,
    framework: str | None,
    changes: _Changes,
    only_own: Mapping[str, object],
) -> _Asked:
    if study is None:
        raise OptionError("nothing to compare", where="compare", fix="name a study, or give build and data")
    for name, value in only_own.items():
        if value is not None:
            raise OptionError(f"{name} belongs to a model of your own", where=name, fix="leave it out, or give build")
    if data is not None and not isinstance(data, str | os.PathLike):
        raise OptionError("a study brings its own data", where="data", fix="give the folder of its files, or build")
    design = study if isinstance(study, StudyDesign) else load_study(study)
    design = with_overrides(design, framework=framework, **changes)
    dataset = load_task(design.task, data=data, **data_options(design))
    command = _command(study, **changes, data=data, framework=framework)

    def split(k: int) -> Dataset:
        return load_task(design.task, data=data, **data_options(at_split(design, k)))

    return _Asked(design, dataset, None, command, split=split)


def _of_table(
    study: str | Path, data: Data | None, framework: str | None, changes: _Changes, only_own: _OnlyOwn
) -> _Asked:
    if data is not None:
        raise OptionError("the table is the data", where="data", fix="leave data out, or give build and data")
    found = table_study(
        study,
        schemes=changes["schemes"],
        seeds=changes["seeds"],
        splits=changes["splits"],
        preprocess=changes["preprocess"],
        **only_own,
    )
    others = {**changes, "splits": None, "seeds": None, "schemes": None, "preprocess": None}
    design = with_overrides(found.design, framework=framework, **cast("_Changes", others))
    told = {**changes, **only_own, "framework": framework}
    return _Asked(design, found.dataset, None, _command(study, **told), split=found.split)


def _of_own_model(
    build: Build | str,
    data: Data | None,
    changes: _Changes,
    only_own: _OnlyOwn,
) -> _Asked:
    found = own_study(
        build,
        data,
        schemes=changes["schemes"],
        seeds=changes["seeds"],
        epochs=changes["epochs"],
        batch_size=changes["batch_size"],
        learning_rate=changes["learning_rate"],
        preprocess=changes["preprocess"],
        splits=changes["splits"],
        **only_own,
    )
    design = with_overrides(
        found.design,
        first_seed=changes["first_seed"],
        vary=changes["vary"],
        learning_rates=changes["learning_rates"],
        histograms_every=changes["histograms_every"],
    )
    command = found.command({**changes, **only_own})
    return _Asked(design, found.dataset, found.build, command, found.code, found.split)


def _path(place: str | Path | None) -> Path | None:
    return None if place is None else Path(place)


def _write(result: Comparison) -> None:
    folder = result.folder
    make_folder(folder)
    _write_json(result)
    write_curves(result.records, folder / "curves.parquet", study=result.design.name)
    result.report(folder / "report.html")
    _draw(result, folder / "curves.png")


def _draw(result: Comparison, file: Path) -> None:
    """The picture of the curves; where none can be drawn a warning, and no older picture in its place."""
    try:
        write_curves_png(file, result.design, at_chosen_rates(result.design, result.records))
    except (DrawingError, MissingDependencyError) as error:
        with writing(file):
            file.unlink(missing_ok=True)
        warnings.warn(f"{file.name} is left out: {error}", PictureWarning, stacklevel=4)


def _write_json(result: Comparison) -> None:
    data = json.dumps(result.to_dict(), indent=2, allow_nan=False).encode()
    write_whole(result.folder / "comparison.json", data)


def _command(study: str | Path | StudyDesign, **options: object) -> str:
    name = study.name if isinstance(study, StudyDesign) else str(study)
    words = ["initlab", "compare", name]
    for option, value in options.items():
        if isinstance(value, list | tuple):
            words += [f"--{option.replace('_', '-')}", ",".join(f"{part}" for part in value)]
        elif value is not None:
            words += [f"--{option.replace('_', '-')}", "DATA" if option == "data" else str(value)]
    return shlex.join(words)


def _fold(line: str) -> str:
    """In 80 columns, with paths and names whole."""
    return textwrap.fill(line, 80, break_long_words=False, break_on_hyphens=False)
