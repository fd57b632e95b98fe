"""Which kind of runs a path holds, and the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from initlab.core.errors import DataError, OptionError, as_text
from initlab.study.elsewhere.framed import tensorboard_runs, wandb_runs
from initlab.study.elsewhere.mlflow_files import file_runs, is_run_folder, sqlite_runs
from initlab.study.elsewhere.runs import ForeignRun, counted, files_under
from initlab.study.elsewhere.tables import table_runs
from initlab.study.rates import is_tuning
from initlab.study.records import RunRecord
from initlab.study.store import NAME, Store

_TABLES = (".csv", ".tsv", ".parquet")
_EVENTS = "events.out.tfevents."


def read_runs(path: Path, *, by: Sequence[str] = ()) -> tuple[str, list[ForeignRun]]:
    """What the runs were kept by, in words, and the runs, none of which is changed.

    Args:
        path: A CSV or Parquet file; or a folder of event files, of W&B's offline files, of MLflow's or initlab's store,
            or one such file.
        by: Keys of a run's configuration that tell configurations apart; all where left out.

    Raises:
        OptionError: There is nothing of the kind, or of two kinds.
        DataError: What is there is damaged, or larger than anything that is read.
    """
    path = Path(path)
    try:
        return _read(path, by)
    except OSError as error:
        where = as_text(str(error.filename or path))
        raise DataError(f"it cannot be read: {error.strerror}", where=where, fix="see its permissions") from error


def _read(path: Path, by: Sequence[str]) -> tuple[str, list[ForeignRun]]:
    if not path.exists():
        raise OptionError("there is no such file or folder", where=as_text(str(path)), fix="name where the runs lie")
    files = [path] if path.is_file() else list(files_under(path))
    if path.is_file() and path.suffix.lower() in _TABLES:
        return "a table", table_runs(path, by=by)
    records = [file for file in files if file.suffix == ".npz" and NAME.fullmatch(file.stem)]
    kinds = {
        "an initlab store": [file for file in records if file.parent.name != "aside"],
        "TensorBoard event files": [file for file in files if file.name.startswith(_EVENTS)],
        "W&B offline files": [file for file in files if file.suffix == ".wandb"],
        "an MLflow file store": [file for file in files if file.name == "meta.yaml" and is_run_folder(file)],
        "an MLflow database": [file for file in files if file.suffix == ".db"],
    }
    found = [kind for kind, of_kind in kinds.items() if of_kind]
    if len(found) != 1:
        what = f"there are {' and '.join(found)}" if found else "there are no runs of a kind that is known"
        fix = "name the folder of one kind" if found else "CSV, Parquet, TensorBoard, W&B offline, MLflow, initlab"
        raise OptionError(what, where=as_text(str(path)), fix=fix)
    (kind,) = found
    root = path if path.is_dir() else path.parent
    read: dict[str, Callable[[Sequence[Path]], Iterable[ForeignRun]]] = {
        "an initlab store": lambda of_kind: (_own(file) for file in of_kind),
        "TensorBoard event files": lambda of_kind: tensorboard_runs(of_kind, root),
        "W&B offline files": lambda of_kind: wandb_runs(of_kind, root),
        "an MLflow file store": lambda of_kind: file_runs(of_kind, root),
        "an MLflow database": lambda of_kind: (run for file in of_kind for run in sqlite_runs(file)),
    }
    return kind, _chosen(counted(read[kind](kinds[kind]), path), by, path)


def _own(file: Path) -> ForeignRun:
    """A run of initlab's own, whose record is checked as ever; a run that diverged has no last number."""
    record: RunRecord = Store(file.parent).load(file.stem)
    spec = record.spec
    lost = record.status not in ("ok", "diverged")
    why = f"it is {record.status}" if lost else "it chose a learning rate" if is_tuning(record) else ""
    config = {"scheme": spec.scheme, "learning_rate": f"{spec.optimizer.learning_rate:g}", "task": spec.task}
    if spec.is_held:
        config["varied"] = "a part of the seed"
    run = ForeignRun(record.name, config, str(spec.seed), unfinished=why)
    for name, curve in record.curves.items():
        for step, value in enumerate(curve.tolist()):
            run.note(name, value, step)
        if record.status == "diverged":
            run.note(name, float("nan"), len(curve))
    return run


def _chosen(runs: list[ForeignRun], by: Sequence[str], path: Path) -> list[ForeignRun]:
    if not by:
        return runs
    known = {key for run in runs for key in run.config}
    for key in by:
        if key not in known:
            some = ", ".join(sorted(known)[:12])
            raise OptionError(f"no run has '{key}', but {some}", where=as_text(str(path)), fix="name one of them: --by")
    kept = [{key: run.config.get(key, "") for key in by} for run in runs]
    return [ForeignRun(r.name, k, r.seed, r.metrics, r.unfinished) for r, k in zip(runs, kept, strict=True)]


def name_configs(runs: Sequence[ForeignRun]) -> list[str]:
    """A name a run, the same for runs of one configuration: the values of the keys that differ anywhere.

    Example:
        >>> runs = [ForeignRun("a", {"lr": "0.1", "wd": "0"}, "1"), ForeignRun("b", {"lr": "0.2", "wd": "0"}, "1")]
        >>> name_configs(runs), name_configs(runs[:1])
        (['lr=0.1', 'lr=0.2'], ['lr=0.1, wd=0'])
    """
    keys = sorted({key for run in runs for key in run.config})
    apart = [key for key in keys if len({run.config.get(key) for run in runs}) > 1] or keys
    if apart == ["scheme"]:
        return [run.config.get("scheme", "") for run in runs]
    return [", ".join(f"{key}={run.config[key]}" for key in apart if key in run.config) for run in runs]


def check_repeats(names: Sequence[str], runs: Sequence[ForeignRun], path: Path) -> None:
    """Nothing, where no configuration has a seed twice.

    Raises:
        DataError: One has: two runs of one seed are not two repeats.
    """
    seen: dict[tuple[str, str], str] = {}
    for name, run in zip(names, runs, strict=True):
        if run.seed and (before := seen.setdefault((name, run.seed), run.name)) != run.name:
            what = f"{before} and {run.name} are both {name}, seed {run.seed}"
            raise DataError(what, where=as_text(str(path)), fix="delete one, or tell configurations apart with --by")
