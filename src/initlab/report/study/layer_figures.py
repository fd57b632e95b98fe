"""The numbers of the layers: signal and gradient before the first step beside theory, and their course over epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from initlab.core.errors import InitlabError
from initlab.core.facts.arch import Mlp
from initlab.core.training.protocol import Quantity
from initlab.report.drawing.text import evenly, round_to
from initlab.report.study.facts import DatasetFacts, measured_layers
from initlab.report.study.summary import Floats, Numbers, band, finite_mean, runs_of, shown_layers
from initlab.study.records import RunRecord, RunSpec, StudyDesign
from initlab.study.run import plan_of
from initlab.study.start_gradients import chain_of
from initlab.theory import activation
from initlab.theory.chain import chain_signals
from initlab.theory.expectations import value_moments

LABELS: Mapping[Quantity, str] = {
    "weight": "Std of the weights",
    "activation": "RMS of the activations",
    "gradient": "RMS of the gradient by a weight",
}
AXES: Mapping[Quantity, str] = {"weight": "Std", "activation": "RMS", "gradient": "RMS"}
"""What stands beside the small axes."""

MOST_EPOCHS = 40


@dataclass(frozen=True)
class StartCurve:
    """One scheme's layers before the first step.

    Attributes:
        scheme: The call.
        mean: By layer, over the seeds.
        low: The seeds' 10th percentile.
        high: Their 90th.
        theory: What mean-field theory says; None where it says nothing.
    """

    scheme: str
    mean: Numbers
    low: Numbers
    high: Numbers
    theory: Numbers


@dataclass(frozen=True)
class StartFigure:
    """One quantity of every layer before the first step, a curve a scheme in the study's order."""

    label: str
    axis: str
    layers: tuple[str, ...]
    curves: tuple[StartCurve, ...]

    @property
    def has_theory(self) -> bool:
        """Whether theory says anything above zero of any layer of any scheme."""
        return any(value is not None and value > 0 for curve in self.curves for value in curve.theory)


@dataclass(frozen=True)
class CourseLine:
    """One layer's quantity over the epochs under one scheme, as a mean over the seeds that have a finite value."""

    scheme: str
    layer: str
    epochs: tuple[int, ...]
    mean: Numbers


@dataclass(frozen=True)
class CourseFigure:
    """One quantity over the epochs, a line a scheme and layer."""

    label: str
    axis: str
    layers: tuple[str, ...]
    lines: tuple[CourseLine, ...]


def signal_figure(design: StudyDesign, records: Sequence[RunRecord], facts: DatasetFacts) -> StartFigure:
    """The mean square of every layer's output on the probe batch before training, and what theory says of it."""

    def theory(spec: RunSpec) -> Numbers:
        found = () if facts.mean_square is None else predicted_signal(spec, facts.mean_square)
        return tuple(round_to(value) for value in found)

    labels = "mean square of a layer's output", "E[a²]"
    return _start_figure(design, records, "activation", labels, _mean_square("activation"), theory)


def gradient_figure(design: StudyDesign, records: Sequence[RunRecord]) -> StartFigure:
    """The root mean square of the gradient by every layer's weights on the probe batch before training."""

    def rms(run: RunRecord) -> Floats:
        return np.sqrt(_mean_square("gradient")(run))

    labels = LABELS["gradient"], AXES["gradient"]
    return _start_figure(design, records, "gradient", labels, rms, lambda spec: ())


def predicted_signal(spec: RunSpec, mean_square: float) -> tuple[float | None, ...]:
    """What mean-field theory says of E[a²] in every layer, from the laws of the weights alone.

    Args:
        spec: A run.
        mean_square: E[x^2] of its input.

    Returns:
        A value a layer, of the last layer that of its logits; None where the signal leaves the range of theory. Empty
        where theory says nothing: residual and recurrent nets, own models, weights whose mean is not zero, and schemes
        that are not registered.

    Example:
        >>> from initlab.core.training.protocol import Budget, Optimizer
        >>> spec = RunSpec("he_normal", "", "", Mlp((8, 8, 8, 4)), Optimizer(), Budget(1, 1), seed=0)
        >>> [round(square, 9) for square in predicted_signal(spec, 1.0)]   # E[z^2] = 2, 2, 2; a ReLU keeps half of it
        [1.0, 1.0, 2.0]
    """
    arch = spec.arch
    if not isinstance(arch, Mlp) or any(arch.has_skip(i) for i in range(arch.depth)):
        return ()
    try:
        plan = plan_of(spec)
        layers = chain_of(arch, plan, mean_square)
        if layers is None:
            return ()
        act = activation(arch.activation)
        found: list[float | None] = [value_moments(act, signal.q).second for signal in chain_signals(layers)]
    except InitlabError:
        return ()
    found += [None] * (len(layers) - len(found))
    before = found[-1] if found else mean_square
    laws = {entry.param.path: entry.law for entry in plan}
    shape = arch.widths[-1], arch.widths[-2]
    law, bias = laws[f"{arch.depth - 1}/weight"], laws.get(f"{arch.depth - 1}/bias")
    if before is None or law is None or law.mean(shape) != 0.0:
        return (*found, None)
    offset = 0.0 if bias is None else bias.std(shape[:1]) ** 2
    return (*found, law.std(shape) ** 2 * shape[1] * before + offset)


def _mean_square(quantity: Quantity) -> Callable[[RunRecord], Floats]:
    def at_start(run: RunRecord) -> Floats:
        square: Floats = run.layers[f"{quantity}_mean"][0] ** 2 + run.layers[f"{quantity}_var"][0]
        return square

    return at_start


def _start_figure(
    design: StudyDesign,
    records: Sequence[RunRecord],
    quantity: Quantity,
    labels: tuple[str, str],
    value: Callable[[RunRecord], Floats],
    theory: Callable[[RunSpec], Numbers],
) -> StartFigure:
    curves = []
    depth = 0
    for scheme in design.schemes:
        runs = [run for run in runs_of(records, scheme) if f"{quantity}_mean" in run.layers]
        if not runs:
            continue
        values = np.array([value(run) for run in runs])
        depth = values.shape[1]
        curves.append(StartCurve(scheme, *band(values), theory(runs[0].spec) or (None,) * depth))
    return StartFigure(*labels, measured_layers(design, depth) if curves else (), tuple(curves))


def course_figure(design: StudyDesign, records: Sequence[RunRecord], quantity: Quantity) -> CourseFigure:
    """One quantity of every layer over the epochs; of many layers ``MOST_LAYERS`` evenly spread ones."""
    lines = []
    names: tuple[str, ...] = ()
    for scheme in design.schemes:
        runs = [run.layers for run in runs_of(records, scheme) if f"{quantity}_mean" in run.layers]
        if not runs:
            continue
        values = np.array([_size(layers, quantity) for layers in runs])
        every = measured_layers(design, values.shape[2])
        shown = shown_layers(len(every))
        names = tuple(every[i] for i in shown)
        epochs = evenly(values.shape[1], MOST_EPOCHS)
        for i in shown:
            means = tuple(finite_mean(values[:, epoch, i], digits=4) for epoch in epochs)
            lines.append(CourseLine(scheme, every[i], epochs, means))
    return CourseFigure(LABELS[quantity], AXES[quantity], names, tuple(lines))


def _size(layers: Mapping[str, Floats], quantity: Quantity) -> Floats:
    """(epochs + 1, layers): of weights the std, of activations and gradients the root mean square."""
    mean, var = layers[f"{quantity}_mean"], layers[f"{quantity}_var"]
    size: Floats = np.sqrt(var if quantity == "weight" else mean**2 + var)
    return size
