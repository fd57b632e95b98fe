"""What theory says of an activation, for a terminal of 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import InitlabError
from initlab.report.drawing.text import BARS, count_of, evenly, number, number_of_log
from initlab.theory import CriticalPoint, LayerPoint, TheoryReport, dead_share, log_jacobian_edge, silent_below

WIDTH = 80
BATCH = 64
"""Samples of the batch on which a silent unit is told."""

_LABEL, _VALUE = 19, 13
_SPARK = 56
_MOST_ROWS = 9
_SQUASHED = 1e-3
# A share that is not worth a digit.
_RARE = 1e-6


def theory_text(report: TheoryReport) -> str:
    """The report as lines of at most 80 characters: gains, where signals settle, the edge of chaos, layers, verdict."""
    d = report.description
    lines = [*_wrap(f"{d.name}: f(x) = {d.formula}"), *_wrap(d.source, indent=2)]
    parts = {
        "Gains, for a standard normal input": _gains(report),
        _weights_title(report): _settling(report),
        "Edge of chaos": _edge(report),
        f"Through {count_of(report.depth, 'layer')}": _through(report),
    }
    for title, rows in parts.items():
        lines += ["", *_wrap(title), *(line for row in rows for line in _row(*row))]
    lines += ["", *_layers(report), "", *_wrap(d.signal), "", *_wrap(d.gradient), "", *_wrap(report.verdict)]
    return "\n".join(lines)


def sparkline(values: Sequence[float], *, log: bool, columns: int = _SPARK) -> str:
    """A bar a value, the lowest to the highest; more values than columns are thinned.

    Values that differ by less than a thousandth of their size are of one height.

    Args:
        values: Finite numbers, above 0 where ``log``.
        log: Whether heights are those of the logarithms.
        columns: The most bars.

    Example:
        >>> sparkline([1.0, 10.0, 100.0], log=True), sparkline([2.0, 2.0], log=False)
        ('▁▅█', '▄▄')
    """
    heights = np.array([values[place] for place in evenly(len(values), columns)], dtype=np.float64)
    if log:
        return _bars(np.log(np.maximum(heights, np.finfo(float).tiny)), _SQUASHED)
    return _bars(heights, _SQUASHED * max(float(np.abs(heights).max()), _SQUASHED))


def _bars(heights: NDArray[np.float64], least: float) -> str:
    """A bar a height; all of one height where they span less than ``least``."""
    low, span = float(heights.min()), float(np.ptp(heights))
    if span < least:
        return BARS[3] * len(heights)
    return "".join(BARS[round((len(BARS) - 1) * (h - low) / span + 1e-9)] for h in heights.tolist())


Row = tuple[str, str, str]


def _gains(report: TheoryReport) -> Iterator[Row]:
    d = report.description
    yield "forward gain", _exact(d.forward_gain), "1 / sqrt(E f(z)²): keeps E a² = 1"
    yield "centered gain", _exact(d.centered_gain), "1 / sqrt(Var f(z))"
    yield "backward gain", _exact(d.backward_gain), "1 / sqrt(E f'(z)²): keeps the gradient"
    yield "E f'(z)²", _exact(d.slope_second_moment), ""
    yield "chi_1", _exact(d.chi_1), "factor of gradient² a layer, forward gain"
    yield "V'(1)", _exact(d.variance_slope), "factor of a deviation of E z², forward gain"


def _weights_title(report: TheoryReport) -> str:
    told = {
        "given": "as given",
        "edge of chaos": "the edge of chaos for this bias",
        "forward gain": "the squared forward gain",
    }[report.choice]
    return f"At sigma_w² = {report.sigma_w2:.10g} ({told}), sigma_b² = {report.sigma_b2:.6g}"


def _settling(report: TheoryReport) -> Iterator[Row]:
    at, edge = report.fixed_point, report.edge
    if edge is not None and edge.q_star == 0.0 and edge.is_stable and report.sigma_w2 == edge.sigma_w2:
        yield "q*", "0", "E z² falls like a power of the depth, by no factor a layer"
        return
    if at is None:
        yield "q*", "none", "no signal of variance 1 settles here: it dies out or grows without end"
        return
    yield "q*", f"{at.q_star:.7g}", "E z², where the signal settles"
    yield "xi_q", _depth(at.xi_q, repels=abs(at.chi_q) > 1.0), "a deviation from q* falls to 1/e"
    yield "c*", f"{at.c_star:.6g}", "correlation, where two inputs settle"
    yield "xi_c", _depth(at.xi_c), "a deviation from c* falls to 1/e"
    yield "chi_1", f"{at.chi_1:.7g}", "factor of gradient² a layer"
    yield "phase", at.phase, _PHASES[at.phase]


_PHASES = {
    "ordered": "inputs become alike, gradients vanish",
    "critical": "signals and gradients reach any depth of a wide net",
    "chaotic": "like inputs come apart, gradients explode",
}


def _edge(report: TheoryReport) -> Iterator[Row]:
    if report.edge is None:
        yield f"at sigma_b² = {report.sigma_b2:.4g}", "none", "no weights keep both signal and gradient"
    else:
        yield "sigma_w²", f"{report.edge.sigma_w2:.10g}", f"at sigma_b² = {report.sigma_b2:.6g}; {_kind(report.edge)}"
    if report.edge_law is not None:
        law = report.edge_law
        power = "" if law.power == 1 else "²"
        yield "correlation", f"{law.coefficient:.5g} / l{power}", "what 1 - c goes like at layer l"
    if report.half_stable is not None:
        half = report.half_stable
        told = f"sigma_w² = {half.sigma_w2:.6g}, sigma_b² = {half.sigma_b2:.6g}: the edge is stable from there on only"
        yield "half-stable at q*", f"{half.q_star:.7g}", told


def _kind(point: CriticalPoint) -> str:
    if point.q_star == 0.0:
        where = "q* = 0: the signal fades like a power of the depth" if point.is_stable else "q* = 0, which repels"
    else:
        where = f"q* = {point.q_star:.6g}"
    stable = "stable" if point.is_stable else "not stable: a signal off q* runs away"
    return f"{where}; {stable}, V'(q*) = {point.chi_q:.4g}"


def _through(report: TheoryReport) -> Iterator[Row]:
    last = report.layers[-1]
    lost = "" if last.layer == report.depth else ", the last before the signal is lost"
    ratio = report.log_gradient_ratio
    told = "squared norm, first/last; amplitude " + number_of_log(0.5 * ratio)
    yield "gradient ratio", number_of_log(ratio), told
    yield "signal", number(last.q), f"E z² at layer {last.layer}, from 1{lost}"
    yield "correlation", f"{last.correlation:.5g}", f"at layer {last.layer}, of inputs that have none"
    if report.saturated is not None:
        yield "saturated", _percent(report.saturated), "of units have under 5 % of the largest slope"
    dead = _dead(report, last)
    if dead is not None:
        yield "silent", _percent(dead), f"of units of layer {last.layer}, on all of {BATCH} inputs"
    yield from _jacobian(report)
    if report.layer_norm_factor is not None:
        yield "with layer norm", f"{report.layer_norm_factor:.6g}", "factor of gradient² a layer"
    if report.batch_norm_factor is not None:
        yield (
            "with batch norm",
            f"{report.batch_norm_factor:.6g}",
            "the same, for a large batch and independent random weights",
        )


def _jacobian(report: TheoryReport) -> Iterator[Row]:
    at = report.fixed_point
    if at is None or report.gaussian_variance is None or report.orthogonal_variance is None:
        return
    top = _largest(report, at.q_star)
    told = f"Gaussian, largest {number_of_log(top)}" if math.isfinite(top) else "Gaussian"
    mean = number_of_log(report.depth * math.log(at.chi_1) if at.chi_1 > 0.0 else -math.inf)
    yield "Jacobian, E s²", mean, f"s: singular values; {told}"
    spread = f"over (E s²)²; {number(report.orthogonal_variance)} with orthogonal weights"
    yield "Jacobian, Var s²", number(report.gaussian_variance), spread


def _largest(report: TheoryReport, q: float) -> float:
    """The logarithm of the largest singular value; infinite where there is none, or where it is not known."""
    try:
        edge = log_jacobian_edge(report.description.name, report.depth, sigma_w2=report.sigma_w2, q=q)
    except InitlabError:  # a function of the user's own has no name
        return math.inf
    return 0.5 * edge


def _dead(report: TheoryReport, last: LayerPoint) -> float | None:
    try:
        below = silent_below(report.description.name)
    except InitlabError:
        return None
    if below is None:
        return None
    return dead_share(BATCH, min(last.correlation, 1.0), threshold=below / math.sqrt(last.q))


def _layers(report: TheoryReport) -> Iterator[str]:
    points = report.layers
    shown = [points[i] for i in evenly(len(points), _MOST_ROWS)]
    yield f"{'layer':>5}  {'E z²':>10}  {'correlation':>11}  {'gradient²':>10}"
    for p in shown:
        yield f"{p.layer:>5}  {number(p.q):>10}  {p.correlation:>11.5f}  {number_of_log(p.log_gradient):>10}"
    yield ""
    gradients = np.array([points[i].log_gradient for i in evenly(len(points), _SPARK)])
    finite = gradients[np.isfinite(gradients)]
    for label, bars in (
        ("E z²", sparkline([p.q for p in points], log=True)),
        ("correlation", sparkline([p.correlation for p in points], log=False)),
        ("gradient²", _bars(np.maximum(gradients, finite.min()), _SQUASHED)),
    ):
        yield f"{label:<12} {bars}".rstrip()
    yield f"{'':<12} layers 1 to {points[-1].layer}; E z² and gradient² by their logarithms"


def _row(label: str, value: str, told: str) -> list[str]:
    head = f"  {label:<{_LABEL}}{value:<{_VALUE}}"
    room = WIDTH - len(head) - 1
    first, *rest = textwrap.wrap(told, room, break_on_hyphens=False) or [""]
    return [f"{head} {first}".rstrip(), *(" " * (len(head) + 1) + line for line in rest)]


def _wrap(text: str, *, indent: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)


def _exact(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.10g}"


def _depth(layers: float, *, repels: bool = False) -> str:
    if repels:
        return "repels"
    return f"{layers:.4g} layers" if math.isfinite(layers) else "infinite"


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %" if share >= _RARE else "none"
