"""The numbers of a profile's pictures, ready to draw: rounded, None where there is no finite value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.signals.readings import BINS, Sums
from initlab.probing.measure.metrics import Compared, LayerRow, samples_in
from initlab.probing.measure.weights import mean_square
from initlab.probing.profile import Profile
from initlab.report.drawing.text import count_of, round_to
from initlab.report.theory.figures import PhaseFigure, PhasePoint, phase_figure

Quantity = Literal["signal", "gradient", "cosine"]
Values = Literal["activation", "gradient"]

# Two standard errors, and two standard deviations of nets of this width: about 95 %.
_TIMES = 2.0
_REACH = 5.0  # root mean squares on both sides of zero that a reading's histogram covers
_SHOWN = 3.0  # of the largest root mean square of all layers, on both sides of zero

Edges: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class LayerPoint:
    """One weighted layer: theory beside measurement.

    Attributes:
        layer: Counted from 1, in order of use.
        path: Its name.
        predicted: Theory's value.
        low: Below which 2.5 % of the nets of this width lie.
        high: Above which 2.5 % of them lie.
        measured: What is there.
        error_low: ``measured`` less two standard errors.
        error_high: ``measured`` and two standard errors.
        is_off: Whether they disagree; of a cosine it is not told.
    """

    layer: int
    path: str
    predicted: float | None
    low: float | None
    high: float | None
    measured: float | None
    error_low: float | None
    error_high: float | None
    is_off: bool


@dataclass(frozen=True)
class LayerFigure:
    """One quantity by layer; on a logarithmic axis numbers of 0 are None."""

    quantity: Quantity
    points: tuple[LayerPoint, ...]

    @property
    def is_log(self) -> bool:
        """Whether the axis is logarithmic."""
        return self.quantity != "cosine"


@dataclass(frozen=True)
class ValuePanel:
    """How the entries of one layer are spread.

    Attributes:
        path: The layer, or the activation behind it.
        layer: The weighted layer, counted from 1.
        low: Lower edge of the first bin, the same for all panels of a figure.
        step: The width of a bin, likewise.
        shares: Of the entries in each bin; what lies outside is in none.
    """

    path: str
    layer: int
    low: float
    step: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class ValueFigure:
    """Histograms of every layer, on one axis: a layer whose values have died is a spike there, and no bell."""

    quantity: Values
    panels: tuple[ValuePanel, ...]


@dataclass(frozen=True)
class SingularFigure:
    """Singular values of the Jacobian of the model's output by its input, the largest first.

    Attributes:
        measured: Of the model at one sample, but for those that rounding makes: below 1e-6 of the largest.
        predicted: Medians of nets of the same layers whose weights are drawn anew; empty where theory is silent.
        low: Below which 2.5 % of those lie.
        high: Above which 2.5 % lie.
    """

    measured: tuple[float, ...]
    predicted: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class ProbeFigure:
    """All pictures of a profile.

    Attributes:
        title: Model, framework and batch.
        lines: Signal, gradient and likeness by layer; those without a number are left out.
        values: Histograms; empty where none were counted.
        phases: The layers in the phase diagram; None where the net has not one activation.
        singular: Of the Jacobian; None where it was not asked for, or is zero.
    """

    title: str
    lines: tuple[LayerFigure, ...]
    values: tuple[ValueFigure, ...] = ()
    phases: PhaseFigure | None = None
    singular: SingularFigure | None = None


def probe_figure(profile: Profile, *, singular: SingularFigure | None = None) -> ProbeFigure:
    """The numbers of a profile's pictures."""
    layers, samples = len(profile.rows), samples_in(profile.evidence.reading)
    lines = (
        _lines("signal", profile.rows, lambda row: row.signal),
        _lines("gradient", profile.rows, lambda row: row.gradient),
        _lines("cosine", profile.rows, lambda row: row.cosine),
    )
    values = (_values(profile, "activation"), _values(profile, "gradient"))
    return ProbeFigure(
        title=f"{profile.evidence.model} ({profile.evidence.framework}): "
        f"{count_of(layers, 'weighted layer')}, {count_of(samples, 'sample')}",
        lines=tuple(figure for figure in lines if figure.points),
        values=tuple(figure for figure in values if figure.panels),
        phases=model_phases(profile),
        singular=singular if singular is not None and singular.measured else None,
    )


def _lines(quantity: Quantity, rows: Sequence[LayerRow], of: Callable[[LayerRow], Compared]) -> LayerFigure:
    points = [_point(i, row.path, of(row), log=quantity != "cosine") for i, row in enumerate(rows, start=1)]
    return LayerFigure(quantity, tuple(p for p in points if p.measured is not None or p.predicted is not None))


def _point(layer: int, path: str, number: Compared, *, log: bool) -> LayerPoint:
    def shown(value: float | None) -> float | None:
        return None if value is None or (log and not value > 0.0) else round_to(value)

    predicted, measured = shown(number.predicted), shown(number.measured)
    factor = math.exp(_TIMES * number.scatter) if log else 1.0
    # Around a number that is above zero the error is one of its logarithm.
    error = math.exp(_TIMES * number.stderr / number.measured) if log and measured is not None else math.nan
    known = measured is not None and math.isfinite(error)
    return LayerPoint(
        layer,
        path,
        predicted,
        None if predicted is None else round_to(predicted / factor),
        None if predicted is None else round_to(predicted * factor),
        measured,
        round_to(measured / error) if known and measured is not None else None,
        round_to(measured * error) if known and measured is not None else None,
        log and number.is_off,
    )


def _values(profile: Profile, values: Values) -> ValueFigure:
    counted = list(counted_layers(profile, values))
    edges = common_edges(sums for *_, sums in counted)
    found = [value_panel(layer, path, sums, edges) for layer, path, sums in counted]
    return ValueFigure(values, tuple(found) if len(edges) else ())


def counted_layers(profile: Profile, values: Values) -> Iterator[tuple[int, str, Sums]]:
    """Number, name and sums of every layer whose entries were counted.

    Values stand behind the layer's activation, or are its weighted sums where it has none; gradients are by these.
    """
    reading = profile.evidence.reading
    places = {place.path: i for i, place in enumerate(reading.places)}
    held = reading.forward if values == "activation" else reading.backward
    for layer, row in enumerate(profile.rows, start=1):
        path = (row.activation or row.path) if values == "activation" else row.path
        sums = held.get(places[path])
        if sums is not None and sums.counts.sum() > 0:
            yield layer, path, sums


def common_edges(found: Iterable[Sums]) -> Edges:
    """Edges of bins that all of these layers share; none where all of them are zero."""
    largest = max((math.sqrt(sums.square) for sums in found if math.isfinite(sums.square)), default=0.0)
    return np.linspace(-_SHOWN * largest, _SHOWN * largest, BINS + 1) if largest > 0.0 else np.empty(0)


def value_panel(layer: int, path: str, sums: Sums, edges: Edges) -> ValuePanel:
    """A reading's histogram on other bins: what a bin holds is spread evenly over it."""
    reach = _REACH * math.sqrt(sums.square) if sums.square > 0.0 else 1e-12 * float(edges[-1])
    own = np.linspace(-reach, reach, len(sums.counts) + 1)
    below = np.interp(edges, own, np.concatenate([[0.0], np.cumsum(sums.counts)]) / sums.counts.sum())
    shares = tuple(float(f"{share:.3g}") for share in np.diff(below))
    return ValuePanel(path, layer, float(f"{edges[0]:.4g}"), float(f"{edges[1] - edges[0]:.4g}"), shares)


def model_phases(profile: Profile) -> PhaseFigure | None:
    """Every layer that takes the net's activation, in the phase diagram of that activation.

    Returns:
        None where the net has several activations or none that is known, or norms, which undo every scale.
    """
    reading = profile.evidence.reading
    names = {row.f for row in profile.rows if row.activation}
    plain = not any(place.kind in ("norm", "sum", "softmax") for place in reading.places)
    points = _phase_points(profile) if len(names) == 1 and "" not in names and plain else []
    return phase_figure(names.pop(), points, is_model=True) if points else None


def _phase_points(profile: Profile) -> list[PhasePoint]:
    places = {place.path: place for place in profile.evidence.reading.places}
    specs = {p.native: p for p in profile.evidence.spec.params}
    points = []
    for row in profile.hidden[1:]:
        facts = [profile.evidence.weights[name] for name in places[row.path].params if name in profile.evidence.weights]
        spec = specs.get(facts[0].native) if facts else None
        if spec is None or spec.role not in ("dense", "conv") or spec.axes is not None:
            continue
        weight = mean_square(facts[0]) * math.prod(spec.shape[1:])
        bias = mean_square(facts[1]) if len(facts) > 1 else 0.0
        points.append(PhasePoint(row.path, float(f"{math.sqrt(weight):.5g}"), float(f"{math.sqrt(bias):.5g}")))
    return points
