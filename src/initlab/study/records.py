"""What a study asks, what a run is, and what came of it: frozen records, and their canonical JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.facts.user_model import OwnModel
from initlab.core.identity.walk import NO_CODE, Code
from initlab.core.training.dataset import Preprocess
from initlab.core.training.protocol import Budget, Histogram, LossName, Optimizer

Status = Literal["ok", "diverged", "failed", "timeout", "skipped"]
Dialect = Literal["torch", "keras", "jax"]
Vary = Literal["init", "data", "both"]
FORMAT = 1
FIRST_HELD_SEED = 2_000_000


@dataclass(frozen=True)
class StudyDesign:
    """One comparison: the same network and data under many schemes and seeds. A TOML file of a study is this, 1:1.

    Attributes:
        name: The study's name.
        title: One line for people.
        task: A data set of ``initlab list tasks``.
        task_options: Options of the data set, e.g. ``{"scale": "signed"}``.
        hidden: Widths of the hidden layers; input and output widths come from the data.
        schemes: The schemes compared, as calls such as ``"normal(std=0.05)"``.
        output_scheme: The scheme of the output layer where it is the same for all; None: the compared scheme.
        bias_scheme: The scheme of the biases; ``"zeros"``, or ``"native"`` for a scheme's own rule for its biases.
        dialect: The framework whose truncation and fans the schemes follow; None for initlab's own.
        seeds: Number of seeds; they are 0, 1, 2, ... Fewer than 6 can never reach p = 5 %.
        framework: What trains: ``jax`` (initlab's own engine), ``torch`` or ``keras``.
        steps: Where a row is a sequence of that many steps: a recurrent net of ``hidden[0]`` units reads it, and the
            compared scheme rules the weight from state to state, ``output_scheme`` the two others. None: dense layers.
        model: The user's own model, of that framework; None trains the network that ``hidden`` and the fields beside
            it describe. It comes from ``compare(build=...)``, never from a file.
        learning_rates: A grid, of which each scheme gets its own best by runs of their own (``study.rates``); empty:
            the optimiser's for all.
        preprocess: What is done to the features; None: what the data set does where it is not told.
        splits: Splits of the rows into training and test rows, each with ``seeds`` fresh seeds; 1: the data set's own.
        first_seed: The seeds are this one and the next: another first seed is a fresh replication.
        vary: What differs from seed to seed: the weights (``init``), batches, dropout and split (``data``), or all of
            it. What does not has the seed ``held_seed``; each run has a companion in which all differs, so that the
            share of the variance that comes from the weights can be told (``study.shares``).
        held_seed: None: one beyond all that runs have.
    """

    name: str
    task: str
    hidden: tuple[int, ...]
    schemes: tuple[str, ...]
    optimizer: Optimizer
    budget: Budget
    title: str = ""
    task_options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    activation: str = "relu"
    dropout: float = 0.0
    norm: Literal["none", "layer", "batch"] = "none"
    residual: bool = False
    bias: bool = True
    loss: LossName = "cross_entropy"
    output_scheme: str | None = None
    bias_scheme: str = "zeros"
    dialect: Dialect | None = None
    seeds: int = 6
    histogram_epochs: tuple[int, ...] = (0, -1)
    framework: str = "jax"
    steps: int | None = None
    model: OwnModel | None = None
    learning_rates: tuple[float, ...] = ()
    preprocess: Preprocess | None = None
    splits: int = 1
    first_seed: int = 0
    vary: Vary = "both"
    held_seed: int | None = None

    @property
    def held(self) -> int:
        """The seed of what does not vary, which is none of the runs' own."""
        return FIRST_HELD_SEED + self.first_seed if self.held_seed is None else self.held_seed

    @property
    def runs(self) -> int:
        """Runs of a scheme, over all splits, at one learning rate."""
        return self.splits * self.seeds

    @property
    def all_seeds(self) -> range:
        """The seeds of a scheme, split by split."""
        return range(self.first_seed, self.first_seed + self.runs)


@dataclass(frozen=True)
class RunSpec:
    """One training run, complete: equal specs give equal results, and one ``run_id``.

    Attributes:
        scheme: The scheme under test, as a canonical call.
        output_scheme: As in StudyDesign.
        task: Data set with its options as a canonical call, e.g. ``"mnist(scale=signed)"``.
        data_digest: sha256 of the raw data.
        seed: Seed of weights, batches and dropout.
        init_seed: Seed of the weights where it is another; None: ``seed``.
        data_seed: Seed of batches and dropout where it is another; None: ``seed``.
    """

    scheme: str
    task: str
    data_digest: str
    arch: Mlp | Recurrent | OwnModel
    optimizer: Optimizer
    budget: Budget
    seed: int
    loss: LossName = "cross_entropy"
    output_scheme: str | None = None
    bias_scheme: str = "zeros"
    dialect: Dialect | None = None
    histogram_epochs: tuple[int, ...] = ()
    framework: str = "jax"
    dtype: str = "float32"
    init_seed: int | None = None
    data_seed: int | None = None

    @property
    def weight_seed(self) -> int:
        """The seed that weights are drawn from."""
        return self.seed if self.init_seed is None else self.init_seed

    @property
    def order_seed(self) -> int:
        """The seed that batches and dropout are drawn from."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def is_held(self) -> bool:
        """Whether something of the run has another seed than its own."""
        return self.init_seed is not None or self.data_seed is not None

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces; seeds that are not apart are left out."""
        parts = {"format": FORMAT, **asdict(self)}
        for key in ("init_seed", "data_seed"):
            if parts[key] is None:
                del parts[key]
        if isinstance(self.arch, OwnModel):
            parts["arch"] = self.arch.to_dict()
        return json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def run_id(self) -> str:
        """The question: 24 hex digits of the sha256 of ``to_json()``, where of an own model only the shapes count.

        All else of it comes from its code, which is told by ``code_id``.
        """
        if not isinstance(self.arch, OwnModel):
            return self.full_id
        parts, arch = json.loads(self.to_json()), self.arch
        shapes = [(p.path, p.shape) for p in arch.params]
        parts["arch"] = [arch.framework, arch.name, shapes, arch.outputs, arch.row_shape, arch.row_kind]
        return _digits(json.dumps(parts, sort_keys=True, separators=(",", ":")))

    @property
    def full_id(self) -> str:
        """24 hex digits of the sha256 of ``to_json()``, which older records of own models are named by."""
        return _digits(self.to_json())


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True, eq=False)
class RunRecord:
    """What one run gave; immutable once committed.

    Attributes:
        run_id: The spec's.
        spec: The run's spec.
        status: ``ok``, ``diverged``, ``failed`` (an exception or a killed worker), ``timeout`` or ``skipped``.
        reason: In words; empty for ``ok``.
        diverged_step: Counted from 1; None unless diverged.
        wall: Seconds of training.
        env: Versions and machine facts, e.g. ``{"initlab": "0.1.0", "jax": "0.7.0", "python": "3.11.7"}``.
        curves: As in ``Trained.curves``; empty where nothing was trained.
        layers: As in ``Trained.layers``.
        histograms: As in ``Trained.histograms``.
        predictions: As in ``Trained.predictions``.
        first_weights: As in ``Trained.first_weights``.
        code: The user's code that had a part in it.
        changed: What of that, or of ``env``, was another when the study last asked; a record's file does not hold it.
    """

    run_id: str
    spec: RunSpec
    status: Status
    reason: str = ""
    diverged_step: int | None = None
    wall: float = 0.0
    env: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    layers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    histograms: Sequence[Histogram] = ()
    predictions: NDArray[Any] | None = None
    first_weights: NDArray[np.float32] | None = None
    code: Code = NO_CODE
    changed: str = ""

    @property
    def name(self) -> str:
        """What the record is stored under: ``run_id``, and the code's where the user has a part in it."""
        return record_name(self.run_id, self.code.id)

    def final(self, curve: str) -> float:
        """The last value of a curve; NaN where the run did not get there."""
        values = self.curves.get(curve)
        return float(values[-1]) if values is not None and len(values) else float("nan")


def record_name(run_id: str, code_id: str) -> str:
    """The name of the record of a question and the user's code.

    Example:
        >>> record_name("0a" * 12, ""), record_name("0a" * 12, "1b" * 8)
        ('0a0a0a0a0a0a0a0a0a0a0a0a', '0a0a0a0a0a0a0a0a0a0a0a0a-1b1b1b1b1b1b1b1b')
    """
    return f"{run_id}-{code_id}" if code_id else run_id


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % confidence interval, and the value of every seed (None: no finite value).

    ``mean``, ``low`` and ``high`` are over the finite values; None where there are none (interval: fewer than two).
    """

    mean: float | None
    low: float | None
    high: float | None
    per_seed: tuple[float | None, ...]

    def negated(self) -> Estimate:
        """The same of minus the value: of a loss, whose score is minus it.

        Example:
            >>> Estimate(-2.0, -3.0, -1.5, (-2.0, None)).negated()
            Estimate(mean=2.0, low=1.5, high=3.0, per_seed=(2.0, None))
        """
        mean, low, high, *per_seed = (
            None if value is None else -value for value in (self.mean, self.high, self.low, *self.per_seed)
        )
        return Estimate(mean, low, high, tuple(per_seed))


@dataclass(frozen=True)
class Pair:
    """Two schemes compared on the same seeds, by a score where more is better.

    Attributes:
        first: A scheme.
        second: Another.
        difference: Mean of ``score(first) - score(second)`` over the seeds where both finished; NaN where none did.
        low: Lower end of the simultaneous 95 % interval (over all pairs); None where it cannot be had, as where a run
            diverged.
        high: Its upper end.
        p: Adjusted over all pairs; None where that many seeds cannot reach 5 %.
        wins: Seeds where first is better; a run that finished is better than one that diverged.
        losses: Seeds where second is better.
        ties: Seeds where both are equal; two runs that diverged are.
        diverged: Seeds, of all these, where a run diverged: the pair is tested by signed ranks, and they are not in
            ``difference``.
        ahead: 1 where the test sees first ahead, -1 where second, 0 for neither.
    """

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    wins: int
    losses: int
    ties: int
    diverged: int = 0
    ahead: Literal[-1, 0, 1] = 0

    @property
    def seeds(self) -> int:
        """Seeds of which both runs have an outcome: they finished, or diverged."""
        return self.wins + self.losses + self.ties


@dataclass(frozen=True)
class SchemeRow:
    """One row of a study's table.

    Attributes:
        scheme: The call, e.g. ``"normal(std=0.05)"``.
        test_accuracy: At the last epoch (for regression: minus the test loss), over the runs that finished; None in
            ``per_seed`` for the others.
        gap: Train minus test accuracy at the last epoch.
        train_loss: At the last epoch.
        epochs_to_target: By seed, the first epoch whose test accuracy reaches 90 % of the best scheme's; None: never.
        runs: Planned.
        diverged: Of those; a run that ended with an infinite test loss is one of them.
        failed: Failed, timed out or skipped, of those.
        losses_to_best: Seeds where the scheme is worse than the best scheme.
        p_vs_best: Adjusted p of the pair with the best; None for the best itself or where seeds are too few.
        learning_rate: The scheme's own of a grid; None where the study has none.
        seeds_vs_best: Seeds on which ``losses_to_best`` is counted: those where neither run failed; None for the best,
            and where no scheme is best.
        changed: Runs that were made with other code, or with numerics that round otherwise.
    """

    scheme: str
    test_accuracy: Estimate
    gap: Estimate
    train_loss: Estimate
    epochs_to_target: tuple[int | None, ...]
    runs: int
    diverged: int
    failed: int
    losses_to_best: int
    p_vs_best: float | None
    learning_rate: float | None = None
    seeds_vs_best: int | None = None
    changed: int = 0


@dataclass(frozen=True)
class Analysis:
    """What a study says, ready to print.

    Attributes:
        study: Its name.
        seeds: Number of seeds.
        epochs: Epochs a run was given.
        rows: A row a scheme, in the study's order.
        best: The best scheme, by ``study.conclusion.best_of``; None where none finished in half of its seeds.
        target: The accuracy that ``epochs_to_target`` waits for.
        pairs: All pairs of schemes.
        conclusion: One or two sentences: the effect, its simultaneous interval, worse in n of n seeds, how sure.
        data: What it was measured on, in words: test rows, what one is worth, what was done to the features.
        splits: Splits of the rows; ``seeds`` counts the runs of a scheme on all of them.
    """

    study: str
    seeds: int
    epochs: int
    rows: tuple[SchemeRow, ...]
    best: str | None
    target: float
    pairs: tuple[Pair, ...]
    conclusion: str
    data: str = ""
    splits: int = 1
