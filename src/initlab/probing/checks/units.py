"""Checks of units that do nothing: dead ones, saturated ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

from initlab.core.plans.account import percent
from initlab.core.signals.readings import Place
from initlab.probing.checks.biases import kept_biases, params_of
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import Case, register_check
from initlab.probing.checks.signal import gradient_course
from initlab.probing.checks.wording import number
from initlab.probing.measure.metrics import LayerRow, is_recurrent, samples_in
from initlab.probing.measure.weights import mean_square
from initlab.probing.records import Finding
from initlab.recipes.recipe import exact
from initlab.theory import saturation_probability

# Half of the units is at the limit, even if chance explains a thousandth of them.
_CLOSE = 1e-3


@register_check("dead units", stage="units")
def dead_units(case: Case, limits: Limits) -> Iterator[Finding]:
    """One-sided units are zero on the whole batch, beyond what the likeness of its samples explains."""
    rows = [row for row in case.rows if not math.isnan(row.dead.measured)]
    if samples_in(case.evidence.reading) < 2:
        return  # half of the units are below zero for any one sample
    units = sum(row.units for row in rows)
    if not units:
        return
    net = sum(row.units * _unexplained_share(row) for row in rows) / units
    dead = sorted((row for row in rows if _is_dead(row, limits)), key=_unexplained_share, reverse=True)
    chance = math.sqrt(sum(_by_chance(row, limits) ** 2 * row.units**2 for row in rows)) / units
    if not dead and net <= limits.dead_net + chance:
        return
    worst = max(dead or rows, key=_unexplained_share)
    explained = _explained_share(worst)
    yield Finding(
        kind="dead units",
        severity="alarm",
        where=tuple(row.activation for row in dead or [worst]),
        what=f"{percent(worst.dead.measured)} of the units behind '{worst.path}' are zero on the whole batch, "
        f"{percent(explained)} are explained by how alike its samples are; {percent(max(net, 0.0))} too many over the "
        "net",
        fix="set the biases to zero and the weights to He's std: a unit that no sample wakes gets no gradient",
        scheme="he_normal",
        zeros=tuple(exact(p) for row in dead or [worst] for p in kept_biases(case, row)),
        value=_unexplained_share(worst) if dead else net,
        limit=limits.dead_layer if dead else limits.dead_net,
    )


def _is_dead(row: LayerRow, limits: Limits) -> bool:
    share = _unexplained_share(row) - _by_chance(row, limits)
    return share >= limits.dead_layer - _CLOSE or (row.dead.measured == 1.0 and share > 0.0)


def _by_chance(row: LayerRow, limits: Limits) -> float:
    """The share of dead units above the expected one that chance may give: deviations of a binomial over its units.

    Where the expected share is not known it is half: that of one-sided units whose samples are all alike.
    """
    share = 0.5 if row.dead_by_likeness is None else min(max(row.dead_by_likeness, 0.0), 1.0)
    return limits.deviations * math.sqrt(share * (1.0 - share) / max(row.units, 1))


def _unexplained_share(row: LayerRow) -> float:
    return row.dead.measured - _explained_share(row)


def _explained_share(row: LayerRow) -> float:
    return row.dead_by_likeness or 0.0


@register_check("saturated units", stage="units")
def saturated_units(case: Case, limits: Limits) -> Iterator[Finding]:
    """A bounded activation stands at its flat ends; a note where the gradient holds all the same."""
    flat = [row for row in case.rows if row.saturated.measured > limits.saturated and not _is_prior(case, row)]
    if not flat:
        return
    course = gradient_course(case)
    holds = len(course.sizes) > 1 and course.badness() <= math.log(limits.ratio)
    worst = max(flat, key=lambda row: row.saturated.measured)
    theory = worst.saturated.predicted
    said = "" if theory is None else f" (theory: {percent(theory)})"
    yield Finding(
        kind="saturated units",
        severity="note" if holds else "alarm",
        where=tuple(row.path for row in flat),
        what=f"{percent(worst.saturated.measured)} of the entries behind '{worst.path}'{said} are where the slope of "
        f"{worst.f or 'the activation'} is below 5 % of its largest: E[z²] is {worst.signal.measured:.3g}",
        fix="draw smaller weights, and scale the inputs to mean 0 and variance 1",
        scheme="glorot_normal",
        value=worst.saturated.measured,
        limit=limits.saturated,
    )


def _is_prior(case: Case, row: LayerRow) -> bool:
    """Whether a head stands at its flat end by its bias alone: the prior of a rare class, and no large weights."""
    sums = case.sums(case.index[row.path])
    return not row.is_hidden and sums is not None and sums.square - sums.mean**2 < 1.0


@register_check("saturated gates", stage="units")
def saturated_gates(case: Case, limits: Limits) -> Iterator[Finding]:
    """The sums inside of a recurrent layer are so large that its gates, or its tanh, stand at their flat ends."""
    places = [place for place in case.evidence.reading.places if is_recurrent(case.evidence, place)]
    found = [(share, square, place) for place in places for share, square in _flat_shares(case, place)]
    flat = sorted((one for one in found if one[0] > limits.saturated), key=lambda one: -one[0])
    if not flat:
        return
    share, square, worst = flat[0]
    yield Finding(
        kind="saturated units",
        severity="alarm",
        where=tuple(dict.fromkeys(place.path for _, _, place in flat)),
        what=f"by its weights and what goes in, the sums of '{worst.path}' have E[z²] = {number(square)}: "
        f"{percent(share)} of them are where the slope of {_inside(case, worst)} is below 5 % of its largest",
        fix="draw orthogonal recurrent weights and Glorot's from the input; biases 0, and 1 for gates that keep",
        scheme="keras_default",
        value=share,
        limit=limits.saturated,
    )


def _inside(case: Case, place: Place) -> str:
    """The activation of most sums in a recurrent layer; empty for one that has no flat ends."""
    own = next(p for p in params_of(case, place) if p.role == "recurrent")
    if own.blocks:
        return "sigmoid"
    return "" if own.f_out == "relu" else "tanh"


def _flat_shares(case: Case, place: Place) -> Iterator[tuple[float, float]]:
    """Of every layer of a recurrent stack, the share of flat sums and E[z^2]: n E[w^2] E[x^2] of both weights."""
    f, sums = _inside(case, place), case.sums(case.index[place.path])
    entered = case.sums(place.inputs[0]) if place.inputs else None
    if not f or sums is None or entered is None:
        return
    held = [(p, mean_square(case.evidence.weights[p.native])) for p in params_of(case, place)]
    inputs = [(p.shape[1], square) for p, square in held if p.role == "dense"]
    own = [(p.shape[1], square) for p, square in held if p.role == "recurrent"]
    biases = [square for p, square in held if p.role == "bias"]
    each = len(biases) // max(len(own), 1)
    for at, ((n, w), (n_h, w_h)) in enumerate(zip(inputs, own, strict=False)):
        square = n * w * (sums.square if at else entered.square) + n_h * w_h * sums.square
        square += sum(biases[at * each : (at + 1) * each])
        if math.isfinite(square) and square > 0.0:
            yield saturation_probability(f, square), square
