"""A study carried out: finished runs are taken from the store, the rest is trained and committed as it comes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import OptionError, ShapeError
from initlab.core.factories import dotted_name
from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import RECURRENT_WEIGHT, Recurrent
from initlab.core.facts.user_model import OwnModel
from initlab.core.files import make_folder, write_whole
from initlab.core.identity.walk import NO_CODE, Code
from initlab.core.laws import Constant
from initlab.core.plans.plan import Plan, Rule, make_plan
from initlab.core.training.dataset import Dataset
from initlab.core.training.live import Epoch
from initlab.core.training.protocol import Start, Trained, UserTrainingSetup
from initlab.frameworks import FRAMEWORKS
from initlab.schemes import scheme
from initlab.schemes.rules import make_rules
from initlab.study.calibration import calibrated_plan, check_calibrated
from initlab.study.design import check_whole, expand
from initlab.study.environment import environment, usable_cores
from initlab.study.identity import BuildCode, activation_code, codes_of, is_ours
from initlab.study.inline import train_here
from initlab.study.process import IN_WORKER
from initlab.study.records import Dialect, RunRecord, RunSpec, StudyDesign, record_name
from initlab.study.resuming import Changed, done_already
from initlab.study.same_code import told_code
from initlab.study.store import RECORDS, Store
from initlab.study.supervise import Failure, Results, sigterm_interrupts, supervise
from initlab.study.trainers import TrainerName
from initlab.study.wire import setup_for, setup_message, user_setup_for
from initlab.theory.activations import registered_function

LOGS = "logs"


class Progress(Protocol):
    """Told how far a study is: once before training, with what the store had, and after every chunk."""

    def __call__(self, *, done: int, total: int, diverged: int, failed: int) -> None:
        """Take the numbers of runs so far; ``done`` counts every run with an outcome, ``failed`` timeouts too."""
        ...


class Watcher(Protocol):
    """Is told of runs while they train and when they end; every method returns at once.

    Attributes:
        wants_variables: Whether epochs come with what the models hold.
    """

    wants_variables: bool

    def begin(self, env: Mapping[str, str], names: Iterable[str]) -> None:
        """Take what runs are made with, and the records that are made anew."""
        ...

    def epoch(self, specs: Sequence[RunSpec], names: Sequence[str], epoch: Epoch) -> None:
        """Take an epoch of runs that train together, and what their records will be stored under."""
        ...

    def record(self, record: RunRecord) -> None:
        """Take a run that has ended."""
        ...


def run_study(
    design: StudyDesign,
    dataset: Dataset,
    folder: str | Path,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    timeout: float | None = None,
    trainer: str | None = None,
    chunk: int | None = None,
    build: Callable[[], object] | None = None,
    code: Code | None = None,
    changed: Changed = "refuse",
    store: str | Path | None = None,
    watcher: Watcher | None = None,
) -> list[RunRecord]:
    """A record for every run of a study, in the order of ``expand``; finished ones are taken from the folder.

    Each run is committed to ``folder/records`` as soon as its chunk is done, so a study that was killed resumes where
    it stopped. ``ok`` and ``diverged`` are final. ``failed`` and ``timeout`` say something about the machine too:
    they are in the list that is returned, are not committed, and are tried again by the next call.

    Args:
        design: A checked design.
        dataset: Its data.
        folder: The study's folder; made when the first run is to be trained.
        jobs: Worker processes, 1 or more; None: one a core, as far as there are chunks for them.
        progress: Is told how far it is.
        timeout: Seconds that one training call may take, a chunk or a run alone; None waits for ever.
        trainer: A trainer of one's own, as ``package.module:function``; None: that of the design's framework.
        chunk: Runs that train together; None asks the framework.
        build: What builds the user's own model, for a design that has one. Where another process can import it, and an
            own activation, runs go to workers; else they are trained in this process, where a timeout stops Python code
            alone. How many of them train at a time is in each record's ``env``.
        code: The code of what builds it, as read before its first call; None reads it.
        changed: What becomes of finished runs that were made with other code, or with numerics that round otherwise:
            they are refused, taken with a mark, or set aside, and all runs are made anew.
        store: The folder of the records, which any number of studies may share; None: ``folder/records``.
        watcher: Is told of runs that train.

    Raises:
        OptionError: Finished runs were made with other code and are refused, ``jobs``, ``chunk`` or ``timeout`` below
            its range, a folder that cannot be written to, an own model without what builds it, or a call that a worker
            makes while it imports the user's module.
        ShapeError: A scheme cannot take the shape of a weight; nothing is written.
        StoreError: A record that would be taken is damaged.
        ResourceError: The disk is full, or workers do not start.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was committed stays.
    """
    _check_limits(jobs=jobs, chunk=chunk, timeout=timeout)
    if IN_WORKER in os.environ:
        raise OptionError(
            "a worker that imports the model's module started a study of its own",
            fix='call compare under if __name__ == "__main__"',
        )
    if (design.model is None) != (build is None):
        raise OptionError("an own model needs what builds it, and the other way round", fix="call compare(build=...)")
    specs = expand(design, dataset)
    for spec in specs:
        check_calibrated(spec, _accept(plan_of(spec)))
    records_in = Store(Path(folder) / RECORDS if store is None else Path(store))
    code = BuildCode(build).code if code is None and build is not None else code
    codes = codes_of(specs, build=code)
    env = environment(design.framework, here=design.model is not None)
    records = done_already(specs, codes, records_in, env, changed=changed)
    missing = [i for i in range(len(specs)) if i not in records]
    _tell(progress, records, len(specs))
    if missing:
        records_in.clean()
        chunking = _chunking(specs[0], dataset, build, trainer, chunk)
        live = None
        if watcher is not None:
            names = [record_name(spec.run_id, code.id) for spec, code in zip(specs, codes, strict=True)]
            watcher.begin({**env, **chunking.told}, [names[i] for i in missing] if changed == "fresh" else ())
            live = _Live(specs, names, watcher)
        results = _results(specs, missing, dataset, build, chunking, jobs=jobs, timeout=timeout, live=live, code=code)
        with sigterm_interrupts(), closing(results):
            for finished in results:
                new = {
                    run: _record(specs[run], result, codes[run], {**env, **chunking.told})
                    for run, result in finished.items()
                }
                _keep_logs(Path(folder) / LOGS, new, finished)
                records_in.commit(*(record for record in new.values() if record.status in ("ok", "diverged")))
                records |= new
                if watcher is not None:
                    for record in new.values():
                        watcher.record(record)
                _tell(progress, records, len(specs))
    return [records[i] for i in range(len(specs))]


def _check_limits(*, jobs: int | None, chunk: int | None, timeout: float | None) -> None:
    for name, value in (("jobs", jobs), ("chunk", chunk)):
        if value is not None:
            check_whole(name, value)
    if timeout is not None and not timeout > 0:
        raise OptionError(f"timeout must be above 0 seconds, got {timeout!r}")


@dataclass(frozen=True)
class _Chunking:
    """The trainer of a study, and how many runs it is given at a time.

    Attributes:
        trainer: The trainer.
        size: Runs in a chunk.
        own: Of the user's own model, what all runs share.
        told: What every record's ``env`` says of it.
    """

    trainer: TrainerName
    size: int
    own: UserTrainingSetup | None = None
    told: dict[str, str] = field(default_factory=dict)


def _chunking(
    spec: RunSpec, dataset: Dataset, build: Callable[[], object] | None, trainer: str | None, chunk: int | None
) -> _Chunking:
    """That of one's own trainer is one own model at a time, but for ``chunk``."""
    own = None if build is None else user_setup_for(spec, dataset, build)
    name = TrainerName(spec.framework, own=own is not None, function=trainer)
    if trainer is not None and own is not None:
        return _Chunking(name, chunk or 1, own)
    size, reason = FRAMEWORKS[spec.framework].together(own or setup_for(spec, dataset))
    if own is None or (size, reason) == (1, ""):
        return _Chunking(name, chunk or size, own)
    return _Chunking(name, chunk or size, own, {"models_at_a_time": f"{size}: {reason}" if reason else str(size)})


def _results(
    specs: Sequence[RunSpec],
    missing: Sequence[int],
    dataset: Dataset,
    build: Callable[[], object] | None,
    chunking: _Chunking,
    *,
    jobs: int | None,
    timeout: float | None,
    live: _Live | None,
    code: Code | None,
) -> Generator[Results, None, None]:
    """What training the missing runs gives, as it comes: from workers, or from this process where only it can build."""
    spec = specs[0]

    def start(run: int) -> Start:
        spec = specs[run]
        return Start(spec.order_seed, initial_weights(spec, dataset, build), spec.weight_seed)

    chunks, wants = _chunks(specs, missing, chunking.size), live is not None and live.watcher.wants_variables
    name = None if build is None else dotted_name(build)
    activation = _own_activation(spec)
    if activation is None or (build is not None and name is None):
        setup = chunking.own or setup_for(spec, dataset)
        return train_here(
            chunks, start, setup, trainer=chunking.trainer, timeout=timeout, live=live, wants_variables=wants
        )
    return supervise(
        chunks,
        start,
        setup_message(
            spec,
            dataset,
            build=name,
            activation=activation,
            code=told_code(code, NO_CODE if isinstance(spec.arch, OwnModel) else activation_code(spec.arch.activation)),
            live=None if live is None else wants,
        ),
        trainer=chunking.trainer,
        jobs=min(jobs or usable_cores(), len(chunks)),
        timeout=timeout,
        kinds={run: specs[run].scheme for run in missing},
        live=live,
    )


@dataclass(frozen=True)
class _Live:
    """Tells a watcher of epochs, by what their runs are."""

    specs: Sequence[RunSpec]
    names: Sequence[str]
    watcher: Watcher

    def __call__(self, runs: Sequence[int], epoch: Epoch) -> None:
        self.watcher.epoch([self.specs[run] for run in runs], [self.names[run] for run in runs], epoch)


def _own_activation(spec: RunSpec) -> str | None:
    """The name of an own activation's function for a worker; None where no other process can import it, "" for ours."""
    if isinstance(spec.arch, OwnModel):
        return ""
    function = registered_function(spec.arch.activation)
    return "" if function.__module__.partition(".")[0] == "initlab" else dotted_name(function)


def _chunks(specs: Sequence[RunSpec], missing: Sequence[int], size: int) -> list[list[int]]:
    """Runs that train together, seed by seed: a study stopped half-way has the same seeds of every scheme."""
    by_seed = sorted(missing, key=lambda i: specs[i].seed)
    return [by_seed[k : k + size] for k in range(0, len(by_seed), size)]


def _keep_logs(folder: Path, records: Mapping[int, RunRecord], finished: Results) -> None:
    """What the workers of failed runs printed last is in ``logs/NAME.txt``; a run that ends well leaves none behind."""
    for run, result in finished.items():
        file = folder / f"{records[run].name}.txt"
        if isinstance(result, Failure) and result.log:
            make_folder(folder)
            write_whole(file, result.log.encode("utf-8", "replace"))
        else:
            file.unlink(missing_ok=True)


def initial_weights(
    spec: RunSpec, dataset: Dataset | None = None, build: Callable[[], object] | None = None
) -> dict[str, NDArray[np.float32]]:
    """Every parameter of a run before training, by canonical path and in canonical layout.

    Weights follow the run's scheme, those of the output layer ``output_scheme`` where it is given; biases are zero,
    but for ``bias_scheme="native"`` and a scheme that rules its biases; norm layers start at scale 1 and bias 0.

    Args:
        spec: The run.
        dataset: Its data, whose training rows a data-driven scheme looks at.
        build: What builds the user's own model, for such a scheme.

    Raises:
        ShapeError: The scheme cannot take the shape of a weight.
        OptionError: A data-driven scheme without data, or with data that give it no scale.

    Example:
        >>> from initlab.core.training.protocol import Budget, Optimizer
        >>> spec = RunSpec("ones", "iris", "", Mlp((2, 3)), Optimizer(), Budget(1, 32), seed=0)
        >>> initial_weights(spec)["0/weight"].sum(), initial_weights(spec)["0/bias"].sum()
        (np.float32(6.0), np.float32(0.0))
    """
    plan = _accept(plan_of(spec))
    return (plan if dataset is None else calibrated_plan(spec, plan, dataset, build)).draw(spec.weight_seed)


def plan_of(spec: RunSpec) -> Plan:
    """Law and reason of every parameter of a run; the same for all of its seeds."""
    known = all(is_ours(call) for call in (spec.scheme, spec.output_scheme) if call is not None)
    plan = _plan if known else _plan.__wrapped__  # what code of the user's says may change while a process runs
    return plan(spec.arch, spec.scheme, spec.output_scheme, spec.bias_scheme, spec.dialect)


@lru_cache(maxsize=256)
def _plan(
    arch: Mlp | Recurrent | OwnModel, call: str, output_call: str | None, bias_scheme: str, dialect: Dialect | None
) -> Plan:
    if isinstance(arch, Recurrent) and output_call is not None:
        (around, tested), _ = make_rules(arch.spec(), {"*": output_call, RECURRENT_WEIGHT: call}, dialect=dialect)
        return make_plan(arch.spec(), [replace(around, with_biases=False), tested])
    native = bias_scheme == "native"
    (tested,), _ = make_rules(arch.spec(), call, dialect=dialect)
    rules = [replace(tested, with_biases=native and tested.with_biases)]
    if output_call is not None and isinstance(arch, Mlp):
        output, last = scheme(output_call, dialect=dialect), arch.depth - 1
        rules.append(Rule(f"{last}/weight", output, output.label))
        if rules[0].with_biases and arch.bias:
            bias = output if output.scheme.with_biases else lambda p: Constant(0.0)
            rules.append(Rule(f"{last}/bias", bias, output.label))
    return make_plan(arch.spec(), rules)


def _accept(plan: Plan) -> Plan:
    for entry in plan:
        if entry.action == "refuse":
            raise ShapeError(entry.why, where=entry.param.path, fix="leave this scheme out, or change the layer")
    return plan


def _record(spec: RunSpec, result: Trained | Failure, code: Code, env: dict[str, str]) -> RunRecord:
    if isinstance(result, Failure):
        return RunRecord(spec.run_id, spec, result.status, result.reason, env=env, code=code)
    return RunRecord(
        run_id=spec.run_id,
        spec=spec,
        status=result.status,
        reason=result.reason,
        diverged_step=result.diverged_step,
        wall=result.wall,
        env=env,
        curves=result.curves,
        layers=result.layers,
        histograms=result.histograms,
        predictions=result.predictions,
        first_weights=result.first_weights,
        code=code,
    )


def _tell(progress: Progress | None, records: dict[int, RunRecord], total: int) -> None:
    if progress is not None:
        counts = Counter(record.status for record in records.values())
        failed = counts["failed"] + counts["timeout"] + counts["skipped"]
        progress(done=len(records), total=total, diverged=counts["diverged"], failed=failed)
