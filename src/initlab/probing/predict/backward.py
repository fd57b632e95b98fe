"""The walk from the output back: the mean square of the loss's gradient by each place, from those of its takers.

It starts from the gradient that was measured at the output. Gradients that come back on different ways add up like
independent numbers; where a way cannot be followed, the walk goes on from what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, sqrt

from initlab.core.errors import InitlabError
from initlab.core.signals.readings import Place, PlaceKind
from initlab.probing.measure.weights import mean_square
from initlab.probing.predict.fans import entries
from initlab.probing.predict.forward import Walk, layer_at, units_of
from initlab.probing.predict.norms import directions_left, normalised
from initlab.probing.predict.signals import mapped
from initlab.theory import softmax_square_sum

# Cosines below it take nothing off that counts.
_APART = 1e-2
_ENTRYWISE = frozenset({"activation", "dropout", "scale", "norm"})


@dataclass(frozen=True)
class Gradient:
    """What theory says of the loss's gradient by one place.

    Attributes:
        square: E[g^2].
        latent: Variance of ``ln square`` from draw to draw that stays for the layers before.
        local: Variance that this place's own number of units adds.
        why: Why it was taken from the measurement; empty where theory knew.
        cosine: Of two samples' gradients.
        places: Of the gradients at two places of one sample, such as two pixels.
    """

    square: float
    latent: float = 0.0
    local: float = 0.0
    why: str = ""
    cosine: float = 0.0
    places: float = 0.0

    @property
    def scatter(self) -> float:
        """Std of ``ln square`` from draw to draw."""
        return sqrt(max(self.latent + self.local, 0.0))


BackwardRule = Callable[[Walk, Place, int, Gradient], Gradient | str]


def walk_back(walk: Walk) -> dict[int, Gradient]:
    """The gradient by every place on a way to an output, as far as theory or the measurement tells."""
    takers: dict[int, list[int]] = {}
    for index, place in enumerate(walk.places):
        for source in dict.fromkeys(place.inputs):
            takers.setdefault(source, []).append(index)
    wanted = _on_a_way_out(walk)
    found: dict[int, Gradient] = {}
    for index in sorted(wanted, reverse=True):
        gradient = _gradient(walk, index, [t for t in takers.get(index, ()) if t in wanted], found)
        if gradient is not None:
            found[index] = gradient
    return found


def _on_a_way_out(walk: Walk) -> set[int]:
    wanted, stack = set[int](), list(walk.reading.outputs)
    while stack:
        at = stack.pop()
        if at not in wanted:
            wanted.add(at)
            stack += walk.places[at].inputs
    return wanted


def _gradient(walk: Walk, index: int, takers: Sequence[int], found: dict[int, Gradient]) -> Gradient | None:
    if index in walk.reading.outputs:
        return _at_output(walk, index)
    parts: list[Gradient] = []
    for taker in takers:
        part = _part(walk, taker, index, found.get(taker))
        if isinstance(part, str):
            return _from_measurement(walk, index, part)
        parts.append(part)
    return _added_up(parts) if parts else None


def _part(walk: Walk, taker: int, index: int, gradient: Gradient | None) -> Gradient | str:
    """What one taker of a place sends back to it."""
    place = walk.places[taker]
    if gradient is None:
        return "the gradient behind it is not known"
    try:
        part = _registered(walk, place, gradient) or _RULES.get(place.kind, _unknown)(walk, place, index, gradient)
    except (InitlabError, ArithmeticError) as error:
        return error.what if isinstance(error, InitlabError) else "its size leaves the range of the numbers"
    if isinstance(part, str):
        return part
    if not isfinite(part.square):
        return "its size leaves the range of the numbers"
    source = walk.places[index]
    inner, outer = entries(source), entries(place)
    if place.kind != "pool" and len(place.shape) < len(source.shape):
        # One token that is picked, or pixels that became features: their gradients have nothing in common.
        part = replace(part, places=0.0)
    # Of a value that is cut before an entry-wise step, the rest gets nothing from it.
    return _times(part, outer / inner) if place.kind in _ENTRYWISE and 0 < outer < inner else part


def _registered(walk: Walk, place: Place, gradient: Gradient) -> Gradient | None:
    """What was registered of a layer whose call is one place; None where no rule was."""
    layer = layer_at(place)
    if layer is None or layer.gradient is None:
        return None
    square = layer.gradient(gradient.square, walk.held(place))
    return Gradient(square, latent=gradient.latent + gradient.local)


def _from_measurement(walk: Walk, index: int, why: str) -> Gradient | None:
    sums = walk.reading.backward.get(index)
    return Gradient(sums.square, why=why) if sums is not None and isfinite(sums.square) else None


def _at_output(walk: Walk, index: int) -> Gradient | None:
    """The gradient that the loss gives, and how alike it is for two samples: shares less labels, for cross entropy."""
    start = _from_measurement(walk, index, "the gradient that comes in at the output")
    place, signal = walk.places[index], walk.signals.get(index)
    if start is None or walk.reading.loss_kind != "cross_entropy" or signal is None:
        return start
    classes = units_of(place)
    try:
        own = softmax_square_sum(classes, signal.square)
        # What the logits of two samples have in common decides what their shares have.
        common = softmax_square_sum(classes, signal.square * max(0.0, signal.cosine))
    except InitlabError:
        return start
    size = 1.0 + own - 2.0 / classes
    cosine = (common - 1.0 / classes) / size if size > 0.0 else 0.0
    return replace(start, cosine=cosine, places=1.0 if len(place.shape) == 2 else 0.0)


def _added_up(parts: Sequence[Gradient]) -> Gradient:
    square = sum(part.square for part in parts)
    if not square > 0.0:
        return Gradient(0.0)
    return Gradient(
        square=square,
        latent=sum(part.square / square * sqrt(part.latent) for part in parts) ** 2,
        local=sum((part.square / square) ** 2 * part.local for part in parts),
        cosine=sum(part.square * part.cosine for part in parts) / square,
        places=sum(part.square * part.places for part in parts) / square,
    )


def _weighted_sum(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    found = walk.sum_of(place)
    if isinstance(found, str):
        return found
    if place.inputs != (index,) or found.is_table:
        return "it is not the one input of a weighted sum"
    source = walk.places[index]
    inner, outer = entries(source), entries(place)
    if not inner or not outer:
        return "the sizes of the sums are not known"
    # Every product of a weight and an input is once in a sum forwards and once in one backwards.
    factor = found.sigma_w2 * outer / inner
    return replace(_times(gradient, factor), latent=gradient.latent + gradient.local, local=2.0 / units_of(source))


def _activation(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    before = walk.signals.get(index)
    if before is None or not before.is_normal or place.f is None:
        return "the slope of the activation is not known"
    m = mapped(place.f, before)
    found = replace(_times(gradient, m.slope_second), local=m.slope_noise / units_of(place))
    if not walk.has_batch_norm or max(abs(gradient.cosine), gradient.places) < _APART:
        return found
    # Slopes of two samples are alike as far as their signals are.
    cosine = gradient.cosine * m.slope_pair(before.cosine, before)
    return replace(found, cosine=cosine, places=gradient.places * m.slope_pair(before.common, before))


def _norm(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    before = walk.signals.get(index)
    if before is None:
        return "what goes into the norm is not known"
    found = normalised(place, before, walk.params, walk.weights)
    if isinstance(found, str):
        return found
    if place.facts.get("norm") != "batch":
        return _times(gradient, found.slope * directions_left(place, shared=0.0))
    rows = max(place.shape[0], 1)
    pixels = max(entries(place) // (units_of(place) * rows), 1)
    shared = (1.0 + (pixels - 1) * gradient.places) / pixels * (1.0 + (rows - 1) * gradient.cosine) / rows
    rest = max(1.0 - shared, _APART)
    return replace(
        _times(gradient, found.slope * directions_left(place, shared=shared)),
        cosine=max((gradient.cosine - shared) / rest, -1.0 / max(rows - 1, 1)),
        places=max((gradient.places - shared) / rest, 0.0),
    )


def _sum(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    if entries(walk.places[index]) != entries(place):
        return "the gradients of many entries meet in one"
    return _times(gradient, float(place.inputs.count(index) ** 2))


def _product(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    if entries(walk.places[index]) != entries(place):
        return "the gradients of many entries meet in one"
    others = [walk.signals.get(i) for i in place.inputs if i != index]
    if len(others) != len(place.inputs) - 1:
        return "its factors depend on one another"
    factor = 1.0
    for other in others:
        if other is None:
            return "the other factor is not known"
        factor *= other.square
    return _scale_by(walk, place, gradient, factor)


def _scale(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    factor = place.facts.get("factor")
    if not isinstance(factor, int | float) and not place.params:
        return "it multiplies by a number that is not known"
    return _scale_by(walk, place, gradient, float(factor) ** 2 if isinstance(factor, int | float) else 1.0)


def _scale_by(walk: Walk, place: Place, gradient: Gradient, factor: float) -> Gradient | str:
    held = walk.added(place)
    if len(held) < len(place.params):
        return "it multiplies by a number that is not known"
    for facts in held:
        factor *= mean_square(facts)
    return _times(gradient, factor)


def _concat(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    sizes = {i: entries(walk.places[i]) for i in place.inputs}
    rest = sum(sizes[i] for i in place.inputs) - entries(place)
    if place.params or rest <= 0 or not all(sizes.values()):
        return _times(gradient, float(place.inputs.count(index)))
    # One of them is cut, such as to the half that a rotation turns.
    cut = [i for i, size in sizes.items() if size > rest]
    if len(cut) != 1 or len(sizes) < len(place.inputs):
        return "how much of it is taken is not known"
    return _times(gradient, (sizes[index] - rest) / sizes[index] if index in cut else 1.0)


def _pool(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    inner, outer = entries(walk.places[index]), entries(place)
    if not inner or not outer:
        return "the size of the pools is not known"
    if place.facts.get("how") == "max":
        # One entry of a pool has the whole gradient, the others have none.
        return replace(_times(gradient, outer / inner), cosine=gradient.cosine * outer / inner)
    size = place.facts.get("size", inner / outer)
    if not isinstance(size, int | float) or not size > 0:
        return "the size of the pools is not known"
    return _times(gradient, outer / inner / size)


def _dropout(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    rate = place.facts.get("rate")
    if not isinstance(rate, int | float) or not 0.0 <= rate <= 1.0:
        return "its rate is not known"
    keep = 1.0 - rate
    return replace(_times(gradient, 1.0 / keep if keep else 0.0), cosine=gradient.cosine * keep)


def _pass(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    if place.facts.get("multiplied"):
        return "it multiplies by numbers that are not known"
    inner, outer = entries(walk.places[index]), entries(place)
    if not inner or not outer or outer > inner:
        return "the gradients of many entries meet in one"
    if place.inputs[0] != index:
        return "it decides which entries move"
    # Pixels that are flattened into features have gradients of their own.
    is_flat = len(place.shape) < len(walk.places[index].shape)
    return replace(_times(gradient, outer / inner), places=0.0 if is_flat else gradient.places)


def _unknown(walk: Walk, place: Place, index: int, gradient: Gradient) -> Gradient | str:
    if place.kind in ("softmax", "mix"):
        return "how alike the gradients of the tokens are is not known"
    return "what is done with it is not known"


def _times(gradient: Gradient, factor: float) -> Gradient:
    return replace(gradient, square=gradient.square * factor, why="")


_RULES: dict[PlaceKind, BackwardRule] = {
    "weighted": _weighted_sum,
    "activation": _activation,
    "norm": _norm,
    "sum": _sum,
    "product": _product,
    "scale": _scale,
    "concat": _concat,
    "pool": _pool,
    "dropout": _dropout,
    "pass": _pass,
}
