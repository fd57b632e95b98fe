"""Synthetic studies for the tests of the report: smooth curves, one run that diverges, zeros that never learn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.arch import Mlp
from initlab.core.training.protocol import Budget, Histogram, Optimizer
from initlab.report.study.facts import DatasetFacts
from initlab.study.records import Analysis, Estimate, Pair, RunRecord, RunSpec, SchemeRow, StudyDesign

# Scheme, final test accuracy, epochs of its time constant, std of the initial weights.
FOUR = (
    ("zeros", 0.30, 0.0, 0.0),
    ("normal(std=0.05)", 0.931, 9.0, 0.05),
    ("glorot_normal", 0.962, 5.0, 0.17),
    ("he_normal", 0.968, 3.5, 0.24),
)
FOURTEEN = (
    ("zeros", 0.1135, 0.0, 0.0),
    ("ones", 0.1135, 1.0, 0.0),
    ("orthogonal", 0.9803, 1.1, 0.06),
    ("identity", 0.9741, 1.6, 0.05),
    ("normal(std=0.05)", 0.9794, 1.2, 0.05),
    ("uniform(low=-0.05, high=0.05)", 0.9788, 1.3, 0.03),
    ("glorot_normal", 0.9801, 1.15, 0.06),
    ("glorot_uniform", 0.9799, 1.16, 0.06),
    ("he_normal", 0.9806, 1.0, 0.09),
    ("he_uniform", 0.9804, 1.05, 0.09),
    ("lecun_normal", 0.9797, 1.2, 0.06),
    ("lecun_uniform", 0.9796, 1.2, 0.06),
    ("normal(std=1)", 0.9312, 4.0, 1.0),
    ("truncated_normal(std=0.01)", 0.9779, 1.6, 0.01),
)
IRIS = DatasetFacts(
    name="iris",
    source="Fisher (1936), UCI Machine Learning Repository, CC BY 4.0",
    digest="6f608b71a7317216319b4d27b4d9bc84e6abd734eda7872b71a458569e2656c0",
    kind="classification",
    rows_train=120,
    rows_test=30,
    features=4,
    outputs=3,
    class_names=("setosa", "versicolor", "virginica"),
    train_counts=(40, 41, 39),
    test_counts=(10, 9, 11),
)
MNIST = DatasetFacts(
    name="mnist",
    source="LeCun, Cortes and Burges (1998)",
    digest="ab" * 32,
    kind="classification",
    rows_train=60000,
    rows_test=10000,
    features=784,
    outputs=10,
    class_names=tuple("0123456789"),
    train_counts=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    test_counts=(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
)


@dataclass(frozen=True)
class Study:
    """All that a report is made from."""

    design: StudyDesign
    records: tuple[RunRecord, ...]
    analysis: Analysis
    facts: DatasetFacts


def small_study(*, seeds: int = 5, epochs: int = 50) -> Study:
    """Four schemes on iris; zeros never learns, and seed 2 of ``normal(std=0.05)`` diverges at step 37."""
    design = StudyDesign(
        name="iris",
        title="Four ways to start a small network",
        task="iris",
        hidden=(64, 32),
        schemes=tuple(name for name, *_ in FOUR),
        optimizer=Optimizer(),
        budget=Budget(epochs, 32),
        output_scheme="glorot_uniform",
        dialect="keras",
        seeds=seeds,
    )
    return _study(design, FOUR, IRIS, diverging=("normal(std=0.05)", 2))


def large_study(*, seeds: int = 3, epochs: int = 20) -> Study:
    """Fourteen schemes on MNIST; zeros never learns, and seed 1 of ``normal(std=1)`` diverges."""
    design = StudyDesign(
        name="mnist",
        task="mnist",
        hidden=(256, 128),
        schemes=tuple(name for name, *_ in FOURTEEN),
        optimizer=Optimizer(),
        budget=Budget(epochs, 128),
        dropout=0.2,
        dialect="keras",
        seeds=seeds,
    )
    return _study(design, FOURTEEN, MNIST, diverging=("normal(std=1)", 1))


def renamed(study: Study, old: str, new: str) -> Study:
    """The same study with one scheme called something else, wherever it is named."""

    def name(text: str) -> str:
        return new if text == old else text

    analysis = study.analysis
    return replace(
        study,
        design=replace(study.design, schemes=tuple(name(s) for s in study.design.schemes)),
        records=tuple(replace(r, spec=replace(r.spec, scheme=name(r.spec.scheme))) for r in study.records),
        analysis=replace(
            analysis,
            rows=tuple(replace(row, scheme=name(row.scheme)) for row in analysis.rows),
            best=None if analysis.best is None else name(analysis.best),
            pairs=tuple(replace(p, first=name(p.first), second=name(p.second)) for p in analysis.pairs),
            conclusion=analysis.conclusion.replace(old, new),
        ),
    )


def _study(
    design: StudyDesign,
    schemes: tuple[tuple[str, float, float, float], ...],
    facts: DatasetFacts,
    *,
    diverging: tuple[str, int],
) -> Study:
    arch = Mlp((facts.features, *design.hidden, facts.outputs), dropout=design.dropout)
    records = tuple(
        _record(design, arch, facts, scheme, seed, diverges=(scheme[0], seed) == diverging)
        for scheme in schemes
        for seed in range(design.seeds)
    )
    return Study(design, records, _analysis(design, records), facts)


def _record(
    design: StudyDesign,
    arch: Mlp,
    facts: DatasetFacts,
    scheme: tuple[str, float, float, float],
    seed: int,
    *,
    diverges: bool,
) -> RunRecord:
    name, top, tau, std = scheme
    spec = RunSpec(
        scheme=name,
        task=design.task,
        data_digest=facts.digest,
        arch=arch,
        optimizer=design.optimizer,
        budget=design.budget,
        seed=seed,
        output_scheme=design.output_scheme,
        dialect=design.dialect,
        histogram_epochs=(0, -1),
    )
    rng = np.random.default_rng([sum(name.encode()), seed])
    stuck = tau == 0.0
    curves = _curves(design.budget.epochs, top, tau, facts.outputs, rng)
    layers = _layers(arch, design.budget.epochs, std, stuck=stuck)
    histograms = _histograms(arch, design.budget.epochs, std, rng, stuck=stuck)
    if diverges:
        for values in (*curves.values(), *layers.values()):
            values[6:] = np.nan
        histograms = [h for h in histograms if h.epoch == 0]
    most_frequent = int(np.argmax(facts.train_counts))
    predictions = np.full(facts.rows_test, most_frequent, np.int32)
    return RunRecord(
        run_id=spec.run_id,
        spec=spec,
        status="diverged" if diverges else "ok",
        reason="loss became nan at step 37 (epoch 6)" if diverges else "",
        diverged_step=37 if diverges else None,
        wall=0.42,
        env={"initlab": "0.1.0", "jax": "0.7.0", "python": "3.11.7", "cpu": "x86-64"},
        curves=curves,
        layers=layers,
        histograms=tuple(histograms),
        predictions=predictions if stuck else None,
    )


def _curves(
    epochs: int, top: float, tau: float, classes: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    t = np.arange(epochs + 1.0)
    chance = 1.0 / classes
    if tau == 0.0:
        accuracy = np.full(epochs + 1, top)
        loss = np.log(classes) + 0.0005 * np.exp(-t)
        return {
            "train_loss": np.r_[np.nan, loss[1:]],
            "train_accuracy": np.r_[np.nan, np.full(epochs, top + 0.03)],
            "test_loss": loss,
            "test_accuracy": accuracy,
        }
    final = top + rng.normal(0.0, 0.2 * (1 - top))
    rise = 1.0 - np.exp(-t / tau)
    noise = rng.normal(0.0, 0.15 * (1 - top), epochs + 1) * rise
    accuracy = np.clip(chance + (final - chance) * rise + noise, 0.0, 1.0)
    loss = np.log(classes) * np.exp(-t / tau) + 2.2 * (1 - top) + 0.02 * np.abs(rng.normal(size=epochs + 1))
    return {
        "train_loss": np.r_[np.nan, loss[1:]],
        "train_accuracy": np.r_[np.nan, np.clip(accuracy[1:] + 0.01, 0.0, 1.0)],
        "test_loss": loss * 1.1,
        "test_accuracy": accuracy,
    }


def _layers(arch: Mlp, epochs: int, std: float, *, stuck: bool) -> dict[str, NDArray[np.float64]]:
    shape = (epochs + 1, arch.depth)
    grown = np.linspace(1.0, 1.4, epochs + 1)[:, None]
    sizes = np.sqrt(np.array([arch.widths[i] * arch.widths[i + 1] for i in range(arch.depth)], float))
    hidden = np.array([*([0.0] * (arch.depth - 1)), 1.0])
    live = hidden if stuck else np.ones(arch.depth)
    gradient = np.zeros(shape) if stuck else 0.3 / (1.0 + np.arange(epochs + 1.0)[:, None]) * np.ones(arch.depth)
    dead = (np.ones((epochs + 1, 1)) if stuck else np.linspace(0.05, 0.15, epochs + 1)[:, None]) * (1.0 - hidden)
    return {
        "weight_mean": np.zeros(shape),
        # Weights that start equal do not stay so.
        "weight_var": (std**2 * grown + (0.0 if std else 0.1 * (grown - 1.0))) * live,
        "weight_norm": max(std, 0.17) * sizes * live * (np.ones_like(grown) if stuck else grown),
        "activation_mean": 0.4 * grown * live,
        "activation_var": 0.3 * grown * live,
        "activation_norm": np.zeros(shape) if stuck else 12.0 * grown * live,
        "gradient_mean": np.zeros(shape),
        "gradient_var": gradient**2,
        "gradient_norm": gradient,
        "dead": dead,
    }


def _histograms(arch: Mlp, epochs: int, std: float, rng: np.random.Generator, *, stuck: bool) -> list[Histogram]:
    out = []
    for epoch, grow in ((0, 1.0), (epochs, 1.5)):
        for layer in range(arch.depth):
            last = layer == arch.depth - 1
            floor = -np.inf if last else 0.0
            values = {
                "weight": np.zeros(500) if stuck and not last else rng.normal(0.0, (std or 0.17) * grow, 2000),
                "activation": np.zeros(500) if stuck else np.maximum(rng.normal(0.0, grow, 2000), floor),
                "gradient": np.zeros(500) if stuck else rng.normal(0.0, 0.01 / grow, 2000),
            }
            for quantity, x in values.items():
                counts, edges = np.histogram(x, bins=64)
                one = Histogram(epoch, str(layer), quantity, float(edges[0]), float(edges[-1]), counts.astype(np.int32))
                out.append(one)
    return out


def _estimate(values: list[float | None]) -> Estimate:
    finite = np.array([v for v in values if v is not None])
    half = 2.0 * finite.std(ddof=1) / np.sqrt(len(finite)) if len(finite) > 1 else np.nan
    mean = float(finite.mean())
    return Estimate(mean, mean - float(half), mean + float(half), tuple(values))


def _analysis(design: StudyDesign, records: tuple[RunRecord, ...]) -> Analysis:
    by_scheme = {s: [r for r in records if r.spec.scheme == s] for s in design.schemes}
    score = {
        s: [r.final("test_accuracy") if r.status == "ok" else 1 / 3 for r in runs] for s, runs in by_scheme.items()
    }
    best = max(design.schemes, key=lambda s: float(np.mean(score[s])))
    target = 0.9 * float(np.mean(score[best]))
    rows = tuple(_row(s, by_scheme[s], score, best, target) for s in design.schemes)
    pairs = tuple(
        Pair(a, b, d := float(np.mean(score[a]) - np.mean(score[b])), d - 0.01, d + 0.01, 0.04, 3, 1, 1)
        for i, a in enumerate(design.schemes)
        for b in design.schemes[i + 1 :]
    )
    worse = rows[0].losses_to_best
    conclusion = (
        f"{best} has the best mean test accuracy, {np.mean(score[best]):.3f}; zeros is lower by 0.667 "
        f"(simultaneous 95 % interval 0.641 to 0.693), worse in {worse} of {design.seeds} seeds. The other differences "
        "may be chance."
    )
    return Analysis(design.name, design.seeds, design.budget.epochs, rows, best, target, pairs, conclusion)


def _row(scheme: str, runs: list[RunRecord], score: dict[str, list[float]], best: str, target: float) -> SchemeRow:
    ok = [r if r.status == "ok" else None for r in runs]
    accuracy = [r.final("test_accuracy") if r else None for r in ok]
    gap = [r.final("train_accuracy") - r.final("test_accuracy") if r else None for r in ok]
    loss = [r.final("train_loss") if r else None for r in ok]
    reached: list[int | None] = []
    for r in runs:
        hits = np.flatnonzero(r.curves["test_accuracy"] >= target)
        reached.append(int(hits[0]) if len(hits) else None)
    return SchemeRow(
        scheme=scheme,
        test_accuracy=_estimate(accuracy),
        gap=_estimate(gap),
        train_loss=_estimate(loss),
        epochs_to_target=tuple(reached),
        runs=len(runs),
        diverged=sum(r.status == "diverged" for r in runs),
        failed=0,
        losses_to_best=sum(a < b for a, b in zip(score[scheme], score[best], strict=True)),
        seeds_vs_best=None if scheme == best else len(runs),
        p_vs_best=None if scheme == best else 0.0004 if accuracy[0] is not None and accuracy[0] < 0.5 else 0.213,
    )
