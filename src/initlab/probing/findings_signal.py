"""Checks of what becomes of signal and gradient from the first hidden layer to the last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from initlab.core.errors import InitlabError
from initlab.core.taps import Sums
from initlab.probing.checks import Case, register_check
from initlab.probing.limits import Limits
from initlab.probing.records import Finding, Severity
from initlab.probing.trunk import Station
from initlab.probing.wording import number
from initlab.theory import activation, edge_of_chaos, forward_gain


@dataclass(frozen=True)
class Course:
    """A size followed along the trunk.

    Attributes:
        paths: The stations.
        sizes: What was measured at each.
        predicted: What theory says of each; None where it is silent.
        scatter: Std of the logarithm of the ratio from draw to draw.
    """

    paths: tuple[str, ...]
    sizes: tuple[float, ...]
    predicted: tuple[float | None, ...]
    scatter: float

    @property
    def ratio(self) -> float:
        """The last over the first; NaN where it cannot be had."""
        if len(self.sizes) < 2 or not self.sizes[0] > 0.0:
            return math.nan
        return self.sizes[-1] / self.sizes[0]

    @property
    def expected(self) -> float | None:
        """What theory says of the ratio."""
        first, last = (self.predicted[0], self.predicted[-1]) if self.predicted else (None, None)
        return last / first if first and last is not None else None

    def strays(self, limits: Limits) -> bool:
        """Whether the ratio is beyond the limit, widened by what chance does to nets of this width."""
        allowed = math.log(limits.ratio) + limits.deviations * self.scatter
        return self.ratio == 0.0 or abs(math.log(self.ratio)) > allowed if self.ratio >= 0.0 else False

    def limit(self, limits: Limits) -> float:
        """The factor that is allowed, up or down."""
        return limits.ratio * math.exp(limits.deviations * self.scatter)

    @property
    def factor(self) -> float:
        """The factor from one station to the next, on the geometric mean."""
        return self.ratio ** (1.0 / (len(self.sizes) - 1)) if self.ratio > 0.0 else 0.0


def forward_course(case: Case, *, behind_norms: bool = True) -> Course:
    """E[z^2] along the trunk; behind the norms where there are some."""
    at = [s.norm if behind_norms and s.norm is not None else s.index for s in case.stations if not s.is_stream]
    sums = [(i, s) for i in at if (s := case.sums(i)) is not None]
    known = case.evidence.expected
    return Course(
        paths=tuple(case.place(i).path for i, _ in sums),
        sizes=tuple(s.square for _, s in sums),
        predicted=tuple(known[i].square if i in known and not known[i].is_measured else None for i, _ in sums),
        scatter=max((known[i].scatter for i in (sums[0][0], sums[-1][0]) if i in known), default=0.0) if sums else 0.0,
    )


def gradient_course(case: Case) -> Course:
    """The squared norm of the loss's gradient along the trunk, from the last station to the first.

    Where a norm stands behind a station the gradient is that by the norm's output: the norm divides by the station's
    own size, and its gradient is that much larger or smaller.
    """
    backward = case.evidence.reading.backward
    sums = [(s, backward[s.index]) for s in reversed(case.stations) if s.index in backward]
    known = case.evidence.expected
    ends = [s.index for s, _ in (sums[:1] + sums[-1:]) if s.index in known]
    return Course(
        paths=tuple(case.place(s.index).path for s, _ in sums),
        sizes=tuple(_norm(case, s, found) for s, found in sums),
        predicted=tuple(_expected_norm(case, s, found) for s, found in sums),
        scatter=max((known[i].gradient_scatter for i in ends), default=0.0),
    )


def _norm(case: Case, station: Station, found: Sums) -> float:
    size = found.square * found.entries
    if station.norm is None:
        return size
    before, after = case.sums(station.index), case.sums(station.norm)
    if before is None or after is None or not after.square > 0.0:
        return size
    return size * before.square / after.square


def _expected_norm(case: Case, station: Station, found: Sums) -> float | None:
    known = case.evidence.expected
    theory = known.get(station.index)
    if theory is None or theory.gradient is None or theory.gradient_why:
        return None
    size = theory.gradient * found.entries
    if station.norm is None:
        return size
    after = known.get(station.norm)
    return size * theory.square / after.square if after is not None and after.square > 0.0 else None


@register_check("forward signal", stage="signal")
def forward_signal(case: Case, limits: Limits) -> Iterator[Finding]:
    """The signal shrinks or grows from the first hidden layer to the last; undone by norms, it is a note."""
    course, raw = forward_course(case), forward_course(case, behind_norms=False)
    if course.strays(limits):
        yield _forward_finding(case, course, limits, "alarm")
    elif raw.paths != course.paths and raw.strays(limits):
        yield _forward_finding(case, raw, limits, "note")


def _forward_finding(case: Case, course: Course, limits: Limits, severity: Severity) -> Finding:
    word = "vanishing" if course.ratio < 1.0 else "exploding"
    said = "" if course.expected is None else f" (theory: {number(course.expected)})"
    undone = ", which the norms undo" if severity == "note" else ""
    f = _activation(case)
    gain = _gain(f)
    return Finding(
        kind=f"{word} forward signal",
        severity=severity,
        where=(course.paths[-1], course.paths[0]),
        what=f"E[z²] goes from {number(course.sizes[0])} to {number(course.sizes[-1])} over {len(course.sizes)} layers,"
        f" x {number(course.ratio)}{said}, x {number(course.factor)} a layer{undone}",
        fix=f"draw the weights with std {gain:.4g}/sqrt(fan_in), the forward gain of {f or 'linear layers'}",
        scheme=_scheme(f),
        value=course.ratio,
        limit=course.limit(limits) if course.ratio > 1.0 else 1.0 / course.limit(limits),
    )


@register_check("gradient", stage="signal")
def gradient(case: Case, limits: Limits) -> Iterator[Finding]:
    """The gradient shrinks or grows on its way from the last hidden layer to the first."""
    course = gradient_course(case)
    if len(course.sizes) > 1 and not any(course.sizes):
        return  # what blocks every gradient is told by the checks of the weights
    if not course.strays(limits):
        return
    word = "vanishing" if course.ratio < 1.0 else "exploding"
    said = "" if course.expected is None else f" (theory: {number(course.expected)})"
    f = _activation(case)
    yield Finding(
        kind=f"{word} gradient",
        severity="alarm",
        where=(course.paths[-1], course.paths[0]),
        what=f"the squared gradient of the first hidden layer is {number(course.ratio)} times that of the last{said}: "
        f"x {number(course.factor)} a layer, {_depth_told(course, limits)}",
        fix=_gradient_fix(case, f, word),
        scheme=_scheme(f),
        value=course.ratio,
        limit=course.limit(limits) if course.ratio > 1.0 else 1.0 / course.limit(limits),
    )


@register_check("chaotic phase", stage="signal")
def chaotic_phase(case: Case, limits: Limits) -> Iterator[Finding]:
    """The signal keeps its size while gradients grow and samples that are alike part: chi_1 is above 1."""
    course = gradient_course(case)
    if any(s.norm is not None or s.is_residual for s in case.stations) or len(course.sizes) <= limits.shallow:
        return
    if not course.ratio > 1.0 or not course.strays(limits) or forward_course(case).strays(limits):
        return
    steps = _steps(course.predicted) or _steps(course.sizes)
    chi = median(steps)
    first, last = (case.sums(case.stations[at].index) for at in (0, -1))
    told = "" if first is None or last is None else f", cosine {first.cosine:.2f} -> {last.cosine:.2f}"
    f = _activation(case)
    yield Finding(
        kind="chaotic phase",
        severity="alarm",
        where=(course.paths[-1],),
        what=f"chi_1 is {chi:.4g}: a small difference of two inputs grows by this factor a layer, squared{told}",
        fix=_edge(f),
        scheme=_scheme(f),
        value=chi,
        limit=1.0,
    )


def _steps(sizes: Sequence[float | None]) -> list[float]:
    """Factors from one station to the next, in the half near the output, where the signal has found its size."""
    half = sizes[: max(len(sizes) // 2, 1) + 1]
    known = [size for size in half if size]
    return [b / a for a, b in pairwise(known)] if len(known) == len(half) else []


def _depth_told(course: Course, limits: Limits) -> str:
    if course.factor in (0.0, 1.0):
        return "nothing of it is left"
    depth = math.log(limits.steep) / abs(math.log(course.factor))
    return f"{limits.steep:g} times at a depth of {math.ceil(depth)}"


def _activation(case: Case) -> str:
    """The activation behind most of the hidden layers."""
    names = [row.f for row in case.hidden if row.f]
    return max(names, key=names.count) if names else ""


def _gain(f: str) -> float:
    try:
        return forward_gain(f) if f else 1.0
    except InitlabError:
        return 1.0


def _scheme(f: str) -> str:
    rectifier = f.partition("(")[0] in ("relu", "leaky_relu")
    return "he_normal" if rectifier else "auto"


def _gradient_fix(case: Case, f: str, word: str) -> str:
    if _never_critical(f):
        return f"take another activation: {f} has no edge of chaos, or put norms or residual connections between"
    if any(s.norm is not None for s in case.stations):
        return "put residual connections around the layers: norms alone do not hold a gradient in a deep net"
    return _edge(f) if word == "exploding" else f"draw the weights with std {_gain(f):.4g}/sqrt(fan_in)"


def _never_critical(f: str) -> bool:
    return f.partition("(")[0] in ("sigmoid", "softplus")


def _edge(f: str) -> str:
    """What puts a net of this activation on the edge of chaos."""
    try:
        point = edge_of_chaos(activation(f), sigma_b2=0.05) if f else None
    except (InitlabError, TypeError):
        point = None
    if point is None or not point.is_stable:
        return f"draw the weights with std {_gain(f):.4g}/sqrt(fan_in), or put residual connections around the layers"
    return (
        f"go to the edge of chaos: weights with std {math.sqrt(point.sigma_w2):.4g}/sqrt(fan_in), biases with std "
        f"{math.sqrt(0.05):.3g}"
    )
