"""The walk from the input to the output: what theory says of each place, from what it says of the places before it.

Each rule gives a signal, or says in words why it cannot; the walk then goes on from what was measured there. A sum of
weights that are independent and centred makes normal numbers whose variance adds up from its terms; correlation goes
through an activation by the maps of ``initlab.theory``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, isnan, nan, sqrt

from initlab.core.errors import InitlabError
from initlab.core.facts.layers import LAYERS, Held, Layer
from initlab.core.facts.spec import ParamSpec
from initlab.core.signals.readings import Place, PlaceKind, Reading, Sums
from initlab.probing.measure.weights import mean_square
from initlab.probing.predict.fans import WeightedSum, entries, held, last_name, weighted_sum
from initlab.probing.predict.norms import normalised
from initlab.probing.predict.signals import Signal, alike, from_measurement, mapped
from initlab.probing.records import WeightFacts
from initlab.theory import softmax_square_sum

_LOUDEST = 1e200


@dataclass(frozen=True, eq=False)
class Walk:
    """A model on its way to being predicted.

    Attributes:
        reading: What was measured.
        params: By native name.
        weights: By native name.
        signals: By place, as far as the walk has come.
        roots: By place, the places that its numbers are functions of, up to weighted sums.
    """

    reading: Reading
    params: Mapping[str, ParamSpec]
    weights: Mapping[str, WeightFacts]
    signals: dict[int, Signal] = field(default_factory=dict)
    roots: list[frozenset[int]] = field(default_factory=list)

    @property
    def places(self) -> tuple[Place, ...]:
        """The model's places."""
        return self.reading.places

    @property
    def has_batch_norm(self) -> bool:
        """Whether a norm takes anything off that the samples have in common."""
        return any(place.facts.get("norm") == "batch" for place in self.places)

    def inputs(self, place: Place) -> list[Signal]:
        """The signals that a place is made of, as far as they are known."""
        return [self.signals[i] for i in place.inputs if i in self.signals]

    def sum_of(self, place: Place) -> WeightedSum | str:
        """What a weighted place sums up."""
        source = self.places[place.inputs[0]] if place.inputs else None
        return weighted_sum(place, source, self.params, self.weights)

    def added(self, place: Place) -> list[WeightFacts]:
        """The facts of the parameters of a place."""
        return [self.weights[name] for name in place.params if name in self.weights]

    def held(self, place: Place) -> Mapping[str, Held]:
        """How large the parameters of a place are, by their names in its layer."""
        return {last_name(name): held(self.params[name], self.weights[name]) for name in place.params
                if name in self.params and name in self.weights}  # fmt: skip


ForwardRule = Callable[[Walk, Place, Sums | None], Signal | str]


def walk_forward(walk: Walk) -> None:
    """Fill in the signal of every place that theory or the measurement tells."""
    for index, place in enumerate(walk.places):
        walk.roots.append(_roots(walk, index, place))
        sums = walk.reading.forward.get(index)
        signal = _signal(walk, place, sums)
        if signal is not None:
            walk.signals[index] = signal


def units_of(place: Place) -> int:
    """Units of a place: 1 or more."""
    rank = len(place.shape)
    return max(place.shape[place.units], 1) if rank > 1 and -rank <= place.units < rank else 1


def _signal(walk: Walk, place: Place, sums: Sums | None) -> Signal | None:
    known = walk.inputs(place)
    is_table = bool(place.facts.get("table"))
    if len(known) < len(place.inputs) and not is_table:
        return _from_measurement(place, sums, "what goes in is not known")
    if place.kind in _THROUGH and not place.inputs:
        return _from_measurement(place, sums, "it is made of parameters alone")
    try:
        found = _registered(walk, place) or _RULES[place.kind](walk, place, sums)
    except (InitlabError, ArithmeticError) as error:
        # Moments of fast-growing activations, or of weights near the end of the floats, have no value.
        found = error.what if isinstance(error, InitlabError) else "its size leaves the range of the numbers"
    if isinstance(found, Signal) and not (isfinite(found.square) and found.square < _LOUDEST):
        found = "its size leaves the range of the numbers"
    if isinstance(found, str):
        return _from_measurement(place, sums, found)
    if sums is None:
        return found
    # How alike samples and tokens are is taken over from the batch where the walk does not know it.
    cosine = sums.cosine if isnan(found.cosine) else found.cosine
    return replace(found, cosine=cosine, tokens=sums.token_cosine if isnan(found.tokens) else found.tokens)


def _registered(walk: Walk, place: Place) -> Signal | None:
    """What was registered of a layer whose call is one place; None where no rule was."""
    layer = layer_at(place)
    if layer is None or layer.second_moment is None or not walk.inputs(place):
        return None
    before = _as_known(walk.inputs(place)[0])
    square = layer.second_moment(before.square, walk.held(place))
    is_normal = layer.signal == "weighted"
    return Signal(square, cosine=nan, tokens=nan, common=nan, latent=before.latent, is_normal=is_normal)


def layer_at(place: Place) -> Layer | None:
    """The registration of the layer whose call a place is."""
    name = place.facts.get("layer")
    return LAYERS[name] if isinstance(name, str) else None


def _input(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    return _from_measurement(place, sums, "the input") or "the input was not measured"


def _from_measurement(place: Place, sums: Sums | None, why: str) -> Signal | None:
    return from_measurement(sums, why, has_places=len(place.shape) > 2)


def _weighted_sum(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    found = walk.sum_of(place)
    if isinstance(found, str):
        return found
    if found.is_table:
        mean = sum(facts.mean for facts in walk.added(place)[:1])
        # Rows that no input picks, such as those of positions, are the same for every sample.
        return Signal(found.weight, mean, nan if place.inputs else 1.0, is_normal=True)
    if len(place.inputs) != 1:
        return "it takes more than one value"
    before = walk.signals[place.inputs[0]]
    weighted = found.sigma_w2 * before.square
    square = weighted + found.bias
    if not square > 0.0:
        return Signal(0.0, cosine=1.0, tokens=1.0, common=1.0, is_normal=True)
    cosine = (weighted * before.cosine + found.bias) / square
    # A mean square of n normal numbers has a relative variance of 2 / n.
    own = 2.0 / units_of(place) * alike(cosine, place.shape[0] if place.shape else 1, power=2)
    share = weighted / square
    return Signal(
        square=square,
        mean=found.bias_mean,
        cosine=cosine,
        tokens=(weighted * before.tokens + found.bias) / square,
        common=(weighted * before.common + found.bias) / square,
        latent=share**2 * (before.latent + before.local),
        local=share**2 * own,
        shift=found.bias,
        is_normal=True,
    )


def _activation(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    before = walk.inputs(place)[0]
    if place.f is None:
        return "the activation is not known"
    if not before.is_normal:
        return "what goes in is not a sum of many weighted terms"
    m = mapped(place.f, before)
    cosine = m.pair(before.cosine, before)
    return Signal(
        square=m.second,
        mean=m.mean,
        cosine=cosine,
        tokens=m.pair(before.tokens, before),
        # Most often the same as another of the three, which the caches of the moments know.
        common=cosine if before.common == before.cosine else m.pair(before.common, before),
        latent=m.elasticity**2 * before.latent,
        local=m.value_noise / units_of(place) * alike(before.cosine, place.shape[0] if place.shape else 1),
    )


def _norm(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    found = normalised(place, walk.inputs(place)[0], walk.params, walk.weights)
    return found if isinstance(found, str) else found.signal


def _sum(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    terms = [replace(walk.signals[i], local=walk.signals[i].local) for i in dict.fromkeys(place.inputs)]
    counts = [place.inputs.count(i) for i in dict.fromkeys(place.inputs)]
    if _depend(walk, place):
        return "its terms depend on one another"
    terms = [
        replace(t, square=n * n * t.square, mean=n * t.mean) if n > 1 else t for t, n in zip(terms, counts, strict=True)
    ]
    terms += [
        Signal(mean_square(p), p.mean, cosine=1.0, tokens=0.0, shift=mean_square(p), is_normal=True)
        for p in walk.added(place)
    ]
    if len(place.inputs) + len(place.params) < 2 or len(terms) < len(counts) + len(place.params):
        return "it adds a number that is not known"
    return added_up(terms)


def added_up(terms: Sequence[Signal]) -> Signal:
    """The sum of independent signals: squares add, and so do the products of their means.

    Example:
        >>> both = added_up([Signal(1.0, cosine=0.5), Signal(3.0, cosine=0.1)])
        >>> both.square, both.cosine      # (0.5 + 0.3) / 4
        (4.0, 0.2)
    """
    mean = sum(t.mean for t in terms)
    crossed = mean * mean - sum(t.mean * t.mean for t in terms)
    square = max(sum(t.square for t in terms) + crossed, 0.0)
    if not square > 0.0:
        return Signal(0.0, cosine=1.0, tokens=1.0, common=1.0, is_normal=all(t.is_normal for t in terms))
    return Signal(
        square=square,
        mean=mean,
        cosine=(sum(t.square * t.cosine for t in terms) + crossed) / square,
        tokens=(sum(t.square * t.tokens for t in terms) + crossed) / square,
        common=(sum(t.square * t.common for t in terms) + crossed) / square,
        # The terms may stray together, for they have their earlier layers in common.
        latent=(sum(t.square / square * sqrt(t.latent) for t in terms)) ** 2,
        local=sum((t.square / square) ** 2 * t.local for t in terms),
        shift=sum(t.shift for t in terms),
        is_normal=all(t.is_normal for t in terms),
    )


def _product(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    factors = walk.inputs(place)
    if _depend(walk, place) or len(set(place.inputs)) < len(place.inputs):
        return "its factors depend on one another"
    if len(factors) < 2 and not place.params:
        return "it multiplies by a number that is not known"
    found = factors[0]
    for other in factors[1:]:
        found = Signal(
            square=found.square * other.square,
            mean=found.mean * other.mean,
            cosine=found.cosine * other.cosine,
            tokens=found.tokens * other.tokens,
            common=found.common * other.common,
            latent=(sqrt(found.latent) + sqrt(other.latent)) ** 2,
            local=found.local + other.local,
        )
    return _scaled_by(walk, place, found)


def _scale(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    factor = place.facts.get("factor")
    if not isinstance(factor, int | float) and not place.params:
        return "it multiplies by a number that is not known"
    times = float(factor) if isinstance(factor, int | float) else 1.0
    before = walk.inputs(place)[0]
    square, shift = before.square * times**2, before.shift * times**2
    return _scaled_by(walk, place, replace(_as_known(before), square=square, mean=before.mean * times, shift=shift))


def _scaled_by(walk: Walk, place: Place, found: Signal) -> Signal | str:
    """The signal times the parameters of the place."""
    held = walk.added(place)
    if len(held) < len(place.params):
        return "it multiplies by a number that is not known"
    for facts in held:
        factor = mean_square(facts)
        mean, shift = found.mean * facts.mean, found.shift * factor
        found = replace(found, square=found.square * factor, mean=mean, shift=shift)
    return found


def _concat(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    parts = [(walk.signals[i], float(entries(walk.places[i]))) for i in place.inputs]
    held = walk.added(place)
    rest = entries(place) - sum(size for _, size in parts)
    if held and rest > 0:
        square = sum(map(mean_square, held)) / len(held)
        parts.append((Signal(square, held[0].mean, cosine=1.0, tokens=0.0, is_normal=True), float(rest)))
    whole = sum(size for _, size in parts)
    if not whole > 0.0:
        return "the sizes of its parts are not known"
    shares = [replace(part, square=part.square * size / whole, mean=0.0) for part, size in parts]
    mean = sum(part.mean * size for part, size in parts) / whole
    return replace(added_up(shares), mean=mean)


def _pool(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    if place.facts.get("size") == 1:
        return _as_known(walk.inputs(place)[0])
    how = "largest" if place.facts.get("how") == "max" else "mean"
    return f"the {how} of neighbours depends on how alike they are"


def _dropout(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    rate, before = place.facts.get("rate"), _as_known(walk.inputs(place)[0])
    if not isinstance(rate, int | float) or not 0.0 <= rate <= 1.0:
        return "its rate is not known"
    keep = 1.0 - float(rate)
    if keep == 0.0:
        return Signal(0.0, cosine=1.0, tokens=1.0, common=1.0)
    return replace(
        before,
        square=before.square / keep,
        cosine=keep * before.cosine,
        tokens=keep * before.tokens,
        common=keep * before.common,
        is_normal=before.is_normal and keep == 1.0,
    )


def _softmax(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    before, terms = walk.inputs(place)[0], place.shape[-1] if place.shape else 0
    if len(place.inputs) > 1:
        return "whether its logits are masked is not known"
    if not before.is_normal or terms < 1:
        return "its shares depend on how its input is spread"
    return Signal(softmax_square_sum(terms, before.square) / terms, 1.0 / terms)


def _mix(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    if len(place.inputs) != 2 or walk.places[place.inputs[0]].kind not in ("softmax", "dropout"):
        return "its weights were not seen"
    shares, values = walk.inputs(place)
    terms = walk.places[place.inputs[0]].shape[-1]
    # sum a^2 over the shares of one mean: 1 / terms where all are equal, 1 where one wins.
    agreed, c = shares.square * terms, values.tokens
    if isnan(c):
        return "how alike the tokens are is not known"
    square = values.square * (agreed + (1.0 - agreed) * c)
    if not square > 0.0:
        return "its values cancel"
    # How alike two tokens or samples are behind it depends on the places that both look at.
    return replace(_as_known(values), square=square, cosine=nan, tokens=nan)


def _pass(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    if not place.inputs:
        return "where its numbers come from was not seen"
    if place.facts.get("multiplied"):
        return "it multiplies by numbers that are not known"
    before = _as_known(walk.inputs(place)[0])
    inner, outer = entries(walk.places[place.inputs[0]]), entries(place)
    if inner and outer > inner and outer % inner:
        return "some of its entries are filled in"
    # Of a sample whose places became features, or of one place of it, all is at one place.
    return replace(before, common=before.cosine) if len(place.shape) == 2 else before


def _unknown(walk: Walk, place: Place, sums: Sums | None) -> Signal | str:
    return "what it does is not known"


def _as_known(signal: Signal) -> Signal:
    """The signal as theory hands it on, even from a place that was measured."""
    return replace(signal, is_measured=False, why="") if signal.is_measured else signal


_THROUGH = frozenset({"activation", "norm", "dropout", "scale", "pool", "softmax"})


def _roots(walk: Walk, index: int, place: Place) -> frozenset[int]:
    if place.inputs and place.kind in (*_THROUGH, "pass"):  # a norm of a parameter is made of no value
        source = place.inputs[0]
        # The halves of a split are numbers of their own.
        is_part = place.kind == "pass" and entries(place) < entries(walk.places[source])
        return frozenset({index}) if is_part else walk.roots[source]
    if place.kind == "mix" and len(place.inputs) > 1:
        return walk.roots[place.inputs[1]]
    if place.kind in ("sum", "product", "concat"):
        return frozenset().union(*(walk.roots[i] for i in place.inputs))
    return frozenset({index})


def _depend(walk: Walk, place: Place) -> bool:
    """Whether two different inputs of a place are functions of the same numbers."""
    roots = [walk.roots[i] for i in dict.fromkeys(place.inputs)]
    return sum(map(len, roots)) > len(frozenset().union(*roots))


_RULES: dict[PlaceKind, ForwardRule] = {
    "input": _input,
    "weighted": _weighted_sum,
    "activation": _activation,
    "norm": _norm,
    "sum": _sum,
    "product": _product,
    "concat": _concat,
    "pool": _pool,
    "dropout": _dropout,
    "scale": _scale,
    "softmax": _softmax,
    "mix": _mix,
    "pass": _pass,
    "unknown": _unknown,
}
