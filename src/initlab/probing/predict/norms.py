"""What a norm layer makes of a signal, and of the gradient on its way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan, prod, sqrt

from initlab.core.facts.spec import ParamSpec
from initlab.core.signals.readings import Place
from initlab.probing.measure.weights import mean_square
from initlab.probing.predict.signals import Signal
from initlab.probing.records import WeightFacts

# Of fewer numbers the mean of 1 / variance does not exist.
_FEWEST = 3
NORMS = ("batch", "layer", "rms", "group", "instance")


@dataclass(frozen=True)
class Normalised:
    """A norm layer at work.

    Attributes:
        signal: What comes out.
        slope: The factor of the squared gradient from its output to its input, before directions are taken off.
    """

    signal: Signal
    slope: float


def normalised(
    place: Place,
    before: Signal,
    params: Mapping[str, ParamSpec],
    weights: Mapping[str, WeightFacts],
) -> Normalised | str:
    """What a norm makes of a signal; in words, why that cannot be told.

    A norm divides by ``sqrt(v + eps)``, ``v`` the variance that is left when its mean is off: all that the samples of
    a batch share, for batch norm. The gradient is divided likewise; see ``directions_left``.

    Args:
        place: The norm.
        before: What goes in.
        params: By native name.
        weights: By native name.
    """
    kind, eps = place.facts.get("norm"), place.facts.get("eps", 0.0)
    if kind not in NORMS or not isinstance(eps, int | float):
        return "which norm it is is not known"
    known = [params[name] for name in place.params if name in params and name in weights]
    if len(known) < len(place.params):
        return "its parameters are not known"
    scales = [weights[p.native] for p in known if p.role != "norm_bias"]
    scale = prod(map(mean_square, scales))
    shifts = [weights[p.native] for p in known if p.role == "norm_bias"]
    shared = _shared_square(str(kind), before)
    spread = max(before.square - shared, 0.0)
    if not spread + eps > 0.0:
        return "it divides by a variance of zero"
    ready = replace(before, latent=0.0, local=0.0, shift=0.0, is_measured=False, why="")
    # A root mean square is the one that leaves the mean.
    mean = before.mean / sqrt(spread + eps) * prod(facts.mean for facts in scales) if kind == "rms" else 0.0
    hat = replace(ready, square=spread / (spread + eps))
    if spread > 0.0:
        hat = _apart(str(kind), place, before, hat, shared)
    shift = sum(map(mean_square, shifts))
    square = scale * hat.square + shift
    if not square > 0.0:
        return Normalised(Signal(0.0, cosine=1.0, tokens=1.0, common=1.0, is_normal=True), 0.0)
    share = scale * hat.square / square
    out = replace(
        hat,
        square=square,
        mean=mean + sum(facts.mean for facts in shifts),
        shift=shift,
        cosine=share * hat.cosine + 1.0 - share,
        tokens=share * hat.tokens + 1.0 - share,
        common=share * hat.common + 1.0 - share,
    )
    return Normalised(out, scale / (spread + eps))


def _shared_square(kind: str, before: Signal) -> float:
    """The part of E[x^2] that the norm takes off with its mean."""
    if kind == "rms":
        return 0.0
    if kind == "batch":
        return max(0.0, before.common) * before.square
    return min(before.mean**2, before.square)


def _apart(kind: str, place: Place, before: Signal, hat: Signal, shared: float) -> Signal:
    """The cosines that are left when the shared part is off."""
    if kind == "instance":
        return replace(hat, cosine=nan, tokens=nan, common=0.0)
    spread = before.square - shared
    cosine, tokens, common = (
        (c * before.square - shared) / spread for c in (before.cosine, before.tokens, before.common)
    )
    if kind == "batch" and len(place.shape) == 2:
        # Deviations from a mean add up to zero.
        cosine = common = -1.0 / max(place.shape[0] - 1, 1)
    return replace(hat, cosine=cosine, tokens=tokens, common=common)


def directions_left(place: Place, *, shared: float) -> float:
    """The share of a squared gradient that a norm lets through, times ``E 1 / v`` over ``1 / E v``.

    Its parts along the mean and along the output go, 2 of ``n`` directions, while ``E 1 / v`` of ``n - 1`` degrees of
    freedom is ``n / (n - 3)``, as in ``initlab.theory.batch_norm_factor``.

    Args:
        place: The norm.
        shared: For batch norm, the share of the squared gradient that its mean over the batch has: ``1 / n`` where the
            ``n`` entries of a unit have nothing in common.
    """
    kind, units = place.facts.get("norm"), place.shape[place.units] if len(place.shape) > 1 else 1
    n = units
    if kind == "batch":
        n = prod(place.shape) // max(units, 1)
    elif kind == "instance":
        n = prod(place.shape[1:]) // max(units, 1)
    elif kind == "group":
        groups = place.facts.get("groups", 1)
        n = prod(place.shape[1:]) // max(int(groups) if isinstance(groups, int | float) else 1, 1)
    if n <= _FEWEST:
        return 1.0
    if kind == "rms":
        return (n - 1) / (n - 2)
    mean = max(shared, 1.0 / n) if kind == "batch" else 1.0 / n
    return max(1.0 - mean - 1.0 / n, 0.0) * n / (n - 3)
