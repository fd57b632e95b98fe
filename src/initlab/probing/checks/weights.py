"""Checks of what the parameters hold: numbers that nobody drew, zeros that block, digits that are lost."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from statistics import median

from initlab.core.facts.fans import fans
from initlab.core.facts.spec import ParamSpec
from initlab.core.plans.account import percent
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import Case, register_check
from initlab.probing.checks.targets import globs_of
from initlab.probing.checks.wording import number
from initlab.probing.measure.trunk import takers_of
from initlab.probing.measure.weights import mean_square
from initlab.probing.records import Finding, WeightFacts

_USUAL_SMALLEST = 2.0**-126
# Of a normal law of std 1, the density of |z| at zero: the share of entries below a small bound over the bound.
_DENSITY = math.sqrt(2.0 / math.pi)
# The median of |z|.
_NORMAL_MEDIAN = 0.6744897501960817
# GPT-2's own four names: whoever builds its blocks, with norms inside of the branches, declares its scaling with them.
_BLOCK = re.compile(r"^(?P<block>.*[./]\d+[./])(?P<rest>.*)$")
_DECLARED = re.compile(r"^(attn|mlp)[./]c_proj[./]weight$")
_SIBLING = re.compile(r"^(attn[./]c_attn|mlp[./]c_fc)[./]weight$")
_NAMES = 4
# Squares from which on sums of products may leave float16's range.
_OVERFLOWS = 1e4


@register_check("broken values", stage="weights")
def broken_values(case: Case, limits: Limits) -> Iterator[Finding]:
    """Weights or values are NaN, infinite, or as large as memory that nobody wrote."""
    held = _pairs(case)
    broken = [(p, facts) for p, facts in held if facts.broken or facts.largest > limits.wild or _is_tiny(facts)]
    if broken and case.evidence.step is not None and (case.evidence.step > 0 or not _overflows(case)):
        yield _diverged(case.evidence.step, broken, limits)
        return
    if broken:
        p, facts = max(broken, key=lambda one: (one[1].broken, one[1].largest))
        numbers = f"{facts.broken} entries that are NaN or infinite" if facts.broken else _extreme(facts)
        yield Finding(
            kind="uninitialised values",
            severity="alarm",
            where=tuple(p.native for p, _ in broken),
            what=f"'{p.native}' holds {numbers}: memory that no initializer wrote",
            fix="initialise it: initlab.initialize(model, ...), or a fill in its constructor",
            scheme="auto",
            value=facts.largest,
            limit=limits.wild,
        )
        return
    reading = case.evidence.reading
    places = [reading.places[i].path for i in _overflows(case)]
    grads = [name for name, gradient in reading.gradients.items() if gradient.broken]
    if places and (empty := _divided(case, places[0])):
        yield Finding(
            kind="zero divided by zero",
            severity="alarm",
            where=(places[0], *empty),
            what=f"the signal is no number first at '{places[0]}', although what goes in is small: '{empty[0]}' is "
            "zero, and a weight that is divided by its own norm is 0/0 then",
            fix="draw the weight before it is split into a size and a direction: both are taken from it",
            value=float(len(empty)),
            limit=0.0,
        )
    elif places or grads:
        what = f"the signal overflows first at '{places[0]}'" if places else f"the gradient of '{grads[-1]}' overflows"
        yield Finding(
            kind="values that overflow",
            severity="alarm",
            where=tuple(places or grads),
            what=f"{what}, although every weight is finite",
            fix="draw smaller weights, or compute in a wider type",
            scheme="auto",
        )


def _diverged(step: int, broken: Sequence[tuple[ParamSpec, WeightFacts]], limits: Limits) -> Finding:
    """Of a model in training: its optimiser wrote the numbers that are none."""
    p, facts = max(broken, key=lambda one: (one[1].broken, one[1].largest))
    numbers = f"{facts.broken} entries that are NaN or infinite" if facts.broken else _extreme(facts)
    return Finding(
        kind="diverged training",
        severity="alarm",
        where=tuple(p.native for p, _ in broken),
        what=f"training has diverged by pass {step}: '{p.native}' holds {numbers}",
        fix="take a smaller learning rate, or clip the gradient; the first profile with a finding says where it began",
        value=facts.largest,
        limit=limits.wild,
    )


def _divided(case: Case, path: str) -> list[str]:
    """The zero weights of a place that is no number, the largest first, where what goes in is too small to overflow."""
    place, weights = case.place(case.index[path]), case.evidence.weights
    held = [weights[name] for name in place.params if name in weights]
    entered = [sums for at in place.inputs if (sums := case.sums(at)) is not None]
    if not entered or any(sums.broken or sums.square > _OVERFLOWS for sums in entered):
        return []
    if any(facts.largest**2 > _OVERFLOWS for facts in held):
        return []
    sizes = {p.native: p.size for p in case.evidence.spec.params if p.role != "bias" and len(p.shape) > 1}
    empty = [facts.native for facts in held if facts.largest == 0.0 and facts.native in sizes]
    return sorted(empty, key=lambda name: -sizes[name])


def _overflows(case: Case) -> list[int]:
    """The places that are not finite, in order, but for those of a mask.

    The infinite logits of places that are not to be seen end in a softmax, or in a choice of the largest: what takes
    them is finite, and no activation hides what they were.
    """
    reading = case.evidence.reading
    broken = [i for i, sums in reading.forward.items() if sums.broken]
    takers = takers_of(reading.places)
    harmful = set[int]()
    for at in sorted(broken, reverse=True):
        behind = takers.get(at, ())
        is_told = at in reading.outputs or any(reading.places[one].kind == "activation" for one in behind)
        if is_told or harmful.intersection(behind) or reading.places[at].kind in ("weighted", "input"):
            harmful.add(at)
    return sorted(harmful)


@register_check("outlying weights", stage="weights")
def outlying_weights(case: Case, limits: Limits) -> Iterator[Finding]:
    """A few entries of a weight carry nearly all of its size, and make its sums far larger than any scheme would."""
    held = [
        (p, facts, _outlying(facts)) for p, facts in _pairs(case) if p.is_weight and not facts.largest > limits.wild
    ]
    found = [one for one in held if one[2] > limits.outlying and _gain(one[0], one[1]) > limits.ratio]
    if not found:
        return
    p, facts, times = max(found, key=lambda one: one[2])
    yield Finding(
        kind="outlying weights",
        severity="alarm",
        where=tuple(p.native for p, _, _ in found),
        what=f"most entries of '{p.native}' are near {number(facts.typical)}, and its root mean square is "
        f"{number(math.sqrt(mean_square(facts)))}: a few of up to {number(facts.largest)} drown the others",
        fix="draw it anew, and look for what wrote into it: a division by nearly zero, a copy of another layout",
        scheme="auto",
        value=times,
        limit=limits.outlying,
        params=globs_of(case.evidence.spec, [p.native for p, _, _ in found]),
    )


def _outlying(facts: WeightFacts) -> float:
    """The root mean square of the entries that are not 0 over the std of a normal law with their median magnitude."""
    if not facts.typical > 0.0 or not facts.zeros < 1.0:
        return 0.0
    return math.sqrt(mean_square(facts) / (1.0 - facts.zeros)) / (facts.typical / _NORMAL_MEDIAN)


def _gain(p: ParamSpec, facts: WeightFacts) -> float:
    """The factor from the root mean square of the inputs to that of the sums: 1 of an identity, with noise or not."""
    return math.sqrt(fans(p).fan_in * mean_square(facts)) if p.role != "embedding" else math.sqrt(mean_square(facts))


def _pairs(case: Case) -> list[tuple[ParamSpec, WeightFacts]]:
    weights = case.evidence.weights
    return [(p, weights[p.native]) for p in case.evidence.spec.params if p.native in weights and p.tied_to is None]


def _is_tiny(facts: WeightFacts) -> bool:
    """Whether all entries are numbers that only memory which nobody wrote holds in float32."""
    return facts.smallest_normal <= _USUAL_SMALLEST and 0.0 < facts.largest < facts.smallest_normal


def _extreme(facts: WeightFacts) -> str:
    return f"numbers of {'at most' if _is_tiny(facts) else 'up to'} {number(facts.largest)}"


@register_check("blocking zeros", stage="weights")
def blocking_zeros(case: Case, limits: Limits) -> Iterator[Finding]:
    """Weights that are all zero get no gradient either, and nothing behind them will give them one."""
    gradients = case.evidence.reading.gradients
    zero = [p for p, facts in _pairs(case) if p.is_weight and facts.largest == 0.0 and p.native in gradients]
    scales = [p for p, facts in _pairs(case) if facts.largest == 0.0 and p.role in ("norm_scale", "scale")]
    # A zero that gets a gradient, as of a head, a LoRA B or the last layer of a branch, is not zero after one step,
    # and passes gradients then.
    if any(gradients[p.native].square > 0.0 for p in [*zero, *scales] if p.native in gradients):
        return
    stuck = [p.native for p in zero if gradients[p.native].square == 0.0]
    if stuck:
        yield Finding(
            kind="zero weights that block learning",
            severity="alarm",
            where=tuple(stuck),
            what=f"{len(stuck)} weights are all zero and get a gradient of exactly zero: they never move",
            fix="draw them at random; zero is right for biases, heads, and the last layer of a residual branch only",
            scheme=case.usual_scheme,
            value=float(len(stuck)),
            limit=0.0,
        )


@register_check("underflow", stage="weights")
def underflow(case: Case, limits: Limits) -> Iterator[Finding]:
    """Weights of a narrow type are so small that their digits are lost."""
    shares = {
        p.native: _DENSITY * facts.smallest_normal / facts.std
        for p, facts in _pairs(case)
        if facts.std > 0.0 and facts.smallest_normal > _USUAL_SMALLEST
    }
    lost = sorted((name for name, share in shares.items() if share > limits.underflow), key=lambda n: -shares[n])
    if lost:
        facts = case.evidence.weights[lost[0]]
        yield Finding(
            kind="low-precision underflow",
            severity="alarm",
            where=tuple(lost),
            what=f"'{lost[0]}' has std {number(facts.std)}, and its type keeps all digits from "
            f"{number(facts.smallest_normal)} on: {percent(min(shares[lost[0]], 1.0))} of its entries are below",
            fix="keep the weights in float32 or bfloat16, or draw larger ones with a factor behind the layer",
            scheme=case.usual_scheme,
            params=globs_of(case.evidence.spec, lost),
            value=shares[lost[0]],
            limit=limits.underflow,
        )
    gradients = case.evidence.reading.gradients
    small = [
        n
        for n in shares
        if n in gradients and 0.0 < gradients[n].square < case.evidence.weights[n].smallest_normal ** 2
    ]
    if small:
        yield Finding(
            kind="gradients that underflow",
            severity="note",
            where=tuple(small),
            what=f"the root mean square of the gradient of '{small[0]}' is "
            f"{number(math.sqrt(gradients[small[0]].square))}, below the smallest normal number of its type",
            fix="scale the loss, as torch.amp.GradScaler does",
        )


@register_check("residual scaling", stage="weights")
def missing_residual_scaling(case: Case, limits: Limits) -> Iterator[Finding]:
    """Layers that GPT-2's names declare to be scaled by 1/sqrt(2L) are as large as their siblings."""
    scaled, siblings = _std_by_rest(case, _DECLARED), _std_by_rest(case, _SIBLING)
    rests = {match["rest"] for name in (*scaled, *siblings) if (match := _BLOCK.match(name))}
    is_stream = any(station.is_stream for station in case.stations if station.is_residual)
    if len(scaled) < 2 or len(rests) < _NAMES or not is_stream:
        return  # other models borrow some of the names; GPT-1 has them all, and a norm behind every sum
    wanted = 1.0 / math.sqrt(len(scaled))
    found = median(scaled.values()) / median(siblings.values())
    if not found > math.sqrt(wanted):
        return
    yield Finding(
        kind="residual scaling absent",
        severity="alarm",
        where=tuple(scaled),
        what=f"the c_proj layers have std {number(median(scaled.values()))}, {found:.2f} times that of their siblings; "
        f"GPT-2 scales them by 1/sqrt(2L) = {wanted:.3g}, L = {len(scaled) / 2:g}",
        fix=f"multiply the {len(scaled)} c_proj weights by {wanted:.3g}: initlab.initialize(model, 'gpt2')",
        scheme="gpt2",
        value=found,
        limit=math.sqrt(wanted),
    )


def _std_by_rest(case: Case, wanted: re.Pattern[str]) -> dict[str, float]:
    found = {}
    for p in case.evidence.spec.params:
        match, facts = _BLOCK.match(p.native), case.evidence.weights.get(p.native)
        if match and wanted.match(match["rest"]) and facts is not None and facts.std > 0.0:
            found[p.native] = facts.std
    return found
