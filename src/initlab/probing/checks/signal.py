"""Checks of what becomes of signal and gradient from the first hidden layer to the last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from initlab.core.errors import InitlabError
from initlab.core.signals.readings import Sums
from initlab.probing.checks.gates import is_gate
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import Case, register_check
from initlab.probing.checks.wording import number
from initlab.probing.measure.trunk import Station
from initlab.probing.records import Finding, Grade, Severity
from initlab.theory import activation, edge_of_chaos, forward_gain


@dataclass(frozen=True)
class Course:
    """A size followed along the trunk.

    Attributes:
        paths: The stations.
        sizes: What was measured at each.
        predicted: What theory says of each; None where it is silent.
        scatter: Std of the logarithm of the ratio from draw to draw.
        fades: Whether it may fade like one over the depth, as the signal of a critical net does whose gradient holds.
    """

    paths: tuple[str, ...]
    sizes: tuple[float, ...]
    predicted: tuple[float | None, ...]
    scatter: float
    fades: bool = False

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

    def badness(self) -> float:
        """The logarithm of the ratio, up or down."""
        return math.inf if not self.ratio > 0.0 else abs(math.log(self.ratio))

    def judged(self, limits: Limits, beside: Course) -> tuple[Severity, Grade]:
        """A note where a learning rate makes up for it; an alarm where Adam has to, or where nothing does.

        A weight moves by its input times its gradient: where both fade, they count together.
        """
        hard, sick = (limits.fade_hard, limits.fade_sick) if self.ratio < 1.0 else (limits.grow_hard, limits.grow_sick)
        together = beside.badness() if self.ratio < 1.0 and beside.ratio < 1.0 else 0.0
        badness = self.badness() + together
        if badness <= math.log(hard):
            return "note", "sick"
        return "alarm", "sick" if badness > math.log(sick) else "hard"

    def strays(self, limits: Limits) -> bool:
        """Whether the ratio is beyond the limit, widened by what chance does to nets of this width."""
        return self.ratio >= 0.0 and self.badness() > math.log(self.limit(limits))

    def limit(self, limits: Limits) -> float:
        """The factor that is allowed in the direction of the ratio."""
        depth = len(self.sizes) if self.fades and self.ratio < 1.0 else 1
        return limits.ratio * depth * math.exp(limits.deviations * self.scatter)

    @property
    def jump(self) -> tuple[int, float] | None:
        """The step that makes most of the ratio, of three or more: its place, counted from 0, and its factor."""
        steps = [b / a if a > 0.0 else math.nan for a, b in pairwise(self.sizes)]
        if len(steps) < 3 or not all(step > 0.0 for step in steps):
            return None
        at = max(range(len(steps)), key=lambda i: abs(math.log(steps[i])))
        whole, own = math.log(self.ratio), math.log(steps[at])
        return (at, steps[at]) if own * whole > 0.0 and abs(own) > 0.5 * abs(whole) else None

    @property
    def outlier(self) -> tuple[int, float] | None:
        """The station between the ends that is furthest from their geometric mean, and its factor to that."""
        if len(self.sizes) < 3 or not all(size > 0.0 for size in self.sizes):
            return None
        middle = math.sqrt(self.sizes[0]) * math.sqrt(self.sizes[-1])
        at = max(range(1, len(self.sizes) - 1), key=lambda i: abs(math.log(self.sizes[i] / middle)))
        return at, self.sizes[at] / middle

    @property
    def factor(self) -> float:
        """The factor from one station to the next, on the geometric mean."""
        return self.ratio ** (1.0 / (len(self.sizes) - 1)) if self.ratio > 0.0 else 0.0


def forward_courses(case: Case) -> Iterator[Course]:
    """E[z^2] along the trunk, from norm to norm: each norm gives the signal its size anew."""
    at: list[int] = []
    for station in case.stations:
        if station.norm is None:
            at.append(station.index)
        else:
            yield _forward(case, at)
            at = [] if station.is_stream else [station.norm]
    yield _forward(case, at)


def raw_course(case: Case) -> Course:
    """E[z^2] along the trunk, before the norms."""
    return _forward(case, [station.index for station in case.stations if not station.is_stream])


def _forward(case: Case, at: Sequence[int]) -> Course:
    sums = [(i, s) for i in at if (s := case.sums(i)) is not None]
    known = case.evidence.expected
    ends = [i for i, _ in (sums[:1] + sums[-1:]) if i in known]
    return Course(
        paths=tuple(case.place(i).path for i, _ in sums),
        sizes=tuple(s.square for _, s in sums),
        predicted=tuple(known[i].square if i in known and not known[i].is_measured else None for i, _ in sums),
        scatter=max((known[i].scatter for i in ends), default=0.0),
    )


def gradient_course(case: Case) -> Course:
    """The squared norm of the loss's gradient along the trunk, from the last station to the first.

    Before a norm it is multiplied with E[z^2]: the norm divides by the signal's own size, so what counts there is the
    gradient by a relative change.
    """
    backward = case.evidence.reading.backward
    known = case.evidence.expected
    sums = [(s, backward[s.index]) for s in reversed(_alike(case.stations)) if s.index in backward]
    before = max((at for at, s in enumerate(case.stations) if s.norm is not None), default=-1)
    normed = {s.index for s in case.stations[: before + 1]}
    ends = [s.index for s, _ in (sums[:1] + sums[-1:]) if s.index in known]
    return Course(
        paths=tuple(case.place(s.index).path for s, _ in sums),
        sizes=tuple(_norm(case, s.index, found, relative=s.index in normed) for s, found in sums),
        predicted=tuple(_expected_norm(case, s.index, found, relative=s.index in normed) for s, found in sums),
        scatter=max((known[i].gradient_scatter for i in ends), default=0.0),
    )


def _alike(stations: Sequence[Station]) -> Sequence[Station]:
    """The residual sums where they are most of the trunk: the stem before them has a stream of another size."""
    residual = [s for s in stations if s.is_residual]
    return residual if len(residual) > 1 and 2 * len(residual) >= len(stations) else stations


def _norm(case: Case, index: int, found: Sums, *, relative: bool) -> float:
    value = case.sums(index)
    return found.square * found.entries * (value.square if relative and value is not None else 1.0)


def _expected_norm(case: Case, index: int, found: Sums, *, relative: bool) -> float | None:
    theory = case.evidence.expected.get(index)
    if theory is None or theory.gradient is None or theory.gradient_why:
        return None
    return theory.gradient * found.entries * (theory.square if relative else 1.0)


@register_check("forward signal", stage="signal")
def forward_signal(case: Case, limits: Limits) -> Iterator[Finding]:
    """The signal shrinks or grows from the first hidden layer to the last; undone by norms, it is a note."""
    holds = not gradient_course(case).strays(limits)
    courses = [replace(course, fades=holds) for course in forward_courses(case)]
    strayed = [course for course in courses if course.strays(limits)]
    if strayed:
        worst = max(strayed, key=Course.badness)
        if not (worst.ratio > 1.0 and _is_residual(case)):  # a growing stream is told by a check of its own
            yield _forward_finding(case, worst, limits)
    elif any(s.norm is not None for s in case.stations) and (raw := raw_course(case)).strays(limits):
        yield _forward_finding(case, raw, limits, is_undone=True)


@register_check("one layer", stage="signal")
def one_layer(case: Case, limits: Limits) -> Iterator[Finding]:
    """One hidden layer is far out of scale, and the next one undoes it: their steps cannot share a learning rate."""
    for course in forward_courses(case):
        found = course.outlier
        if course.strays(limits) or found is None or not abs(math.log(found[1])) > math.log(limits.steep):
            continue
        at, factor = found
        yield Finding(
            kind="layer out of scale",
            severity="alarm",
            where=(course.paths[at], course.paths[at + 1]),
            what=f"E[z²] of '{course.paths[at]}' is {number(course.sizes[at])}, {number(factor)} times that of the ends"
            f", from {number(course.sizes[0])} to {number(course.sizes[-1])}: a step that fits its weights does not "
            "fit the next layer's",
            fix=f"draw both layers with std {_gain(_activation(case)):.4g}/sqrt(fan_in)",
            scheme=_scheme(_activation(case)),
            value=factor,
            limit=limits.steep if factor > 1.0 else 1.0 / limits.steep,
            grade="hard",
        )
        return


def _is_residual(case: Case) -> bool:
    return sum(s.is_residual for s in case.stations) > 1


def _is_normed(case: Case) -> bool:
    """Whether norms make the branches' weights free of scale, so that a residual net trains with steep gradients."""
    return any(place.kind == "norm" for place in case.evidence.reading.places)


def _forward_finding(case: Case, course: Course, limits: Limits, *, is_undone: bool = False) -> Finding:
    severity, grade = course.judged(limits, gradient_course(case))
    severity = "note" if is_undone else severity
    word = "vanishing" if course.ratio < 1.0 else "exploding"
    said = "" if course.expected is None else f" (theory: {number(course.expected)})"
    undone = ", which the norms undo" if is_undone else ""
    f = _activation(case)
    jump = course.jump
    guilty = () if jump is None else (course.paths[jump[0] + 1],)
    return Finding(
        kind=f"{word} forward signal",
        severity=severity,
        where=_where(guilty, course),
        what=f"E[z²] goes from {number(course.sizes[0])} to {number(course.sizes[-1])} over {len(course.sizes)} layers,"
        f" x {number(course.ratio)}{said}, {_pace(course, guilty)}{undone}",
        fix=if_needed(
            severity,
            f"draw the weights with std {_gain(f):.4g}/sqrt(fan_in), the forward gain of {f or 'linear layers'}",
        ),
        scheme=_scheme(f) if severity == "alarm" else "",
        value=course.ratio,
        limit=course.limit(limits) if course.ratio > 1.0 else 1.0 / course.limit(limits),
        grade=grade,
    )


@register_check("gradient", stage="signal")
def gradient(case: Case, limits: Limits) -> Iterator[Finding]:
    """The gradient shrinks or grows on its way from last hidden layer to first; a note of residual nets with norms."""
    course = gradient_course(case)
    if len(course.sizes) > 1 and not any(course.sizes):
        return  # what blocks every gradient is told by the checks of the weights
    if not course.strays(limits):
        return
    word = "vanishing" if course.ratio < 1.0 else "exploding"
    said = "" if course.expected is None else f" (theory: {number(course.expected)})"
    f = _activation(case)
    # The weights between two stations are those of the later one, which comes first here.
    guilty = () if course.jump is None else (course.paths[course.jump[0]],)
    severity, grade = course.judged(limits, raw_course(case))
    severity = "note" if _is_residual(case) and _is_normed(case) else severity
    yield Finding(
        kind=f"{word} gradient",
        severity=severity,
        where=_where(guilty, course),
        what=f"the squared gradient of the first hidden layer is {number(course.ratio)} times that of the last{said}: "
        + (_pace(course, guilty) + ("" if guilty else f", {_depth_told(course, limits)}")),
        fix=if_needed(severity, _gradient_fix(case, f, word)),
        scheme=_gradient_scheme(case, f) if severity == "alarm" else "",
        value=course.ratio,
        limit=course.limit(limits) if course.ratio > 1.0 else 1.0 / course.limit(limits),
        grade=grade,
    )


@register_check("chaotic phase", stage="signal")
def chaotic_phase(case: Case, limits: Limits) -> Iterator[Finding]:
    """The signal keeps its size while gradients grow and samples that are alike part: chi_1 is above 1."""
    course = gradient_course(case)
    if any(s.norm is not None or s.is_residual for s in case.stations) or len(course.sizes) <= limits.shallow:
        return
    if not course.ratio > 1.0 or not course.strays(limits) or raw_course(case).strays(limits):
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
        grade="hard" if course.ratio < limits.chaos_sick else "sick",
    )


def _steps(sizes: Sequence[float | None]) -> list[float]:
    """Factors from one station to the next, in the half near the output, where the signal has found its size."""
    half = sizes[: max(len(sizes) // 2, 1) + 1]
    known = [size for size in half if size]
    return [b / a for a, b in pairwise(known)] if len(known) == len(half) else []


def _where(guilty: Sequence[str], course: Course) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*guilty, course.paths[-1], course.paths[0])))


def _pace(course: Course, guilty: Sequence[str]) -> str:
    """How the size changes: at one layer, or a little at each."""
    if guilty and course.jump is not None:
        return f"most of it at '{guilty[0]}': x {number(course.jump[1])}"
    return f"x {number(course.factor)} a layer"


def _depth_told(course: Course, limits: Limits) -> str:
    if course.factor in (0.0, 1.0):
        return "nothing of it is left"
    depth = math.log(limits.steep) / abs(math.log(course.factor))
    return f"{limits.steep:g} times at a depth of {math.ceil(depth)}"


def if_needed(severity: Severity, fix: str) -> str:
    """What to do about an alarm; of a note, what to do if the model trains badly all the same."""
    return fix if severity == "alarm" else f"nothing, if it trains: a learning rate makes up for it; else {fix}"


def _activation(case: Case) -> str:
    """The activation behind most of the hidden layers, gates left out where others are."""
    rows = [row for row in case.hidden if row.f]
    names = [row.f for row in rows if not is_gate(case, row)] or [row.f for row in rows]
    return max(names, key=names.count) if names else ""


def _gain(f: str) -> float:
    try:
        return forward_gain(f) if f else 1.0
    except InitlabError:
        return 1.0


def _scheme(f: str) -> str:
    """The scheme that cures a net of an activation."""
    return "he_normal" if f.partition("(")[0] in ("relu", "leaky_relu") else "auto"


def _gradient_scheme(case: Case, f: str) -> str:
    """The scheme that holds a gradient: of branches their scaling, and none of a plain net whose norms undo any."""
    if _is_residual(case):
        return "auto"
    return "" if any(s.norm is not None for s in case.stations) else _scheme(f)


def _gradient_fix(case: Case, f: str, word: str) -> str:
    if _is_residual(case):
        return "scale the last layer of every branch down, or start its norm's scale at zero"
    if any(s.norm is not None for s in case.stations):
        return "put residual connections around the layers: norms alone do not hold a gradient in a deep net"
    if _never_critical(f):
        return (
            f"draw large weights and biases, where {f} has its edge of chaos, or put batch norm or residual "
            "connections between; layer norm keeps what all samples share"
        )
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
