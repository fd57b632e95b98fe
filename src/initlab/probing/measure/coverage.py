"""Which of a model's numbers a probe has seen at work, and why not the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from initlab.core.facts.spec import ParamSpec
from initlab.probing.measure.metrics import is_recurrent
from initlab.probing.records import Evidence

_COUNTED = re.compile(r"(?<![^./_])\d+(?![^./_])")


@dataclass(frozen=True)
class Coverage:
    """The numbers of a model by whether a probe has seen them at work; those of a shared parameter count once.

    Attributes:
        numbers: All of them.
        unread: The parameters that only operations took which are not read.
        unused: Those that no operation took.
        unreached: Those that no operation took either, though it took their like under another number, as it is with
            experts that no token was sent to.
    """

    numbers: int = 0
    unread: tuple[ParamSpec, ...] = field(default=(), repr=False)
    unused: tuple[ParamSpec, ...] = field(default=(), repr=False)
    unreached: tuple[ParamSpec, ...] = field(default=(), repr=False)

    @property
    def unseen(self) -> float:
        """The share of the numbers that was not seen at work."""
        return self.share((*self.unread, *self.unused, *self.unreached))

    def share(self, params: Sequence[ParamSpec]) -> float:
        """The share of all numbers that some parameters hold."""
        return sum(p.size for p in params) / max(self.numbers, 1)

    @property
    def parts(self) -> tuple[tuple[str, tuple[ParamSpec, ...]], ...]:
        """What was not seen, each under the reason for it."""
        found = (
            ("in operations that are not read", self.unread),
            ("in no operation", self.unused),
            ("reached by no token or sample, though others of their list were", self.unreached),
        )
        return tuple(part for part in found if part[1])

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON data."""
        named = {"unread": self.unread, "unused": self.unused, "unreached": self.unreached}
        lists = {kind: [p.native or p.path for p in params] for kind, params in named.items()}
        return {"numbers": self.numbers, "unseen": self.unseen, **lists}


def coverage(evidence: Evidence) -> Coverage:
    """What a probe has seen of a model's numbers.

    A parameter is seen where it is in a value that is measured and whose kind is known: a weighted sum, a recurrent
    layer, a norm, a sum or product with it.

    Args:
        evidence: All that is known of the model.
    """
    seen, taken = set[str](), set[str]()
    for place in evidence.reading.places:
        taken.update(place.params)
        if place.kind != "unknown" or is_recurrent(evidence, place):
            seen.update(place.params)
    taken |= {name for name, gradient in evidence.reading.gradients.items() if gradient.square > 0.0 or gradient.broken}
    own = [p for p in evidence.spec.params if p.tied_to is None and p.size]
    aliases = {p.tied_to: p.native for p in evidence.spec.params if p.tied_to is not None}
    unseen = [p for p in own if not {p.native, aliases.get(p.path, "")} & seen]
    kinds = {_kind(p) for p in own if p.native in taken}
    idle = [p for p in unseen if p.native not in taken]
    return Coverage(
        sum(p.size for p in own),
        tuple(p for p in unseen if p.native in taken),
        tuple(p for p in idle if _kind(p) not in kinds),
        tuple(p for p in idle if _kind(p) in kinds),
    )


def _kind(p: ParamSpec) -> tuple[str, tuple[int, ...]]:
    """What parameters share that differ in a number of their name alone."""
    return _COUNTED.sub("*", p.native), p.shape
