"""How much of a model a plan initialises, by numbers rather than rows, and why the rest stays as it is."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from initlab.core.errors import IncompleteError, IncompleteWarning

Kept = Literal[
    "tied",  # it is drawn under another name
    "frozen",  # its owner excluded it from training
    "design",  # its value is meant to stay
    "excluded",  # the user asked for it
    "loaded",  # its numbers come from elsewhere
    "unnamed",  # no pattern of the user's mapping names it
    "unknown",  # nothing shows what it does
    "unruled",  # what it does is known, and no rule says how it starts
    "unfollowed",  # nothing is known of the size of its input
    "undrawn",  # what it does is known, and it cannot be drawn
    "untested",  # of an audit: no test tells whether it holds what was declared
]
ASKED: frozenset[Kept] = frozenset({"tied", "frozen", "design", "excluded", "loaded", "unnamed"})
"""Reasons that come from the user or from the author of the model."""

MOST_UNASKED = 0.01
"""The share of the trainable numbers that may stay for other reasons without a warning."""

_WORDS: dict[Kept, str] = {
    "frozen": ", frozen",
    "design": " whose value is meant to stay",
    "excluded": ", excluded",
    "loaded": " whose numbers were given",
    "unnamed": " that no pattern names",
    "unknown": " of unknown role",
    "unruled": " that no rule starts",
    "unfollowed": " of whose input the size is not known",
    "undrawn": " that cannot be drawn",
    "untested": " that no test can judge",
}
_LISTED = 3
_FIX = "give overrides= or a scheme by name, or exclude= what is to stay"


class Row(NamedTuple):
    """What is done with one parameter of so many numbers; ``kept`` is None where it is initialised."""

    name: str
    size: int
    kept: Kept | None
    is_frozen: bool = False


@dataclass(frozen=True)
class Held:
    """Parameters that stay for one reason.

    Attributes:
        size: Their numbers.
        names: Their names.
    """

    size: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """The numbers of a model by what becomes of them; those of a shared parameter count once.

    Attributes:
        size: All of them.
        trainable: Those of parameters that are not frozen.
        held: By reason, those that stay, the most numbers first.
    """

    size: int
    trainable: int
    held: Mapping[Kept, Held] = field(default_factory=dict)

    @property
    def kept(self) -> float:
        """The share of the numbers that stay."""
        return sum(held.size for held in self.held.values()) / max(self.size, 1)

    @property
    def unasked(self) -> Mapping[Kept, Held]:
        """Those that stay though neither the user nor the model's author asked for it."""
        return {why: held for why, held in self.held.items() if why not in ASKED}

    @property
    def unasked_share(self) -> float:
        """Their share of the trainable numbers."""
        return sum(held.size for held in self.unasked.values()) / max(self.trainable, 1)

    def check(self) -> None:
        """Nothing happens where nearly all that can be trained is initialised, or was asked to stay.

        Raises:
            IncompleteError: More than ``MOST_UNASKED`` of the trainable numbers stay for other reasons.
        """
        if self.unasked_share > MOST_UNASKED:
            raise IncompleteError(self._complaint(), fix=_FIX)

    def warn(self, *, stacklevel: int) -> None:
        """An ``IncompleteWarning`` where ``check`` raises.

        Args:
            stacklevel: As in ``warnings.warn``, counted from the caller.
        """
        if self.unasked_share > MOST_UNASKED:
            warnings.warn(f"{self._complaint()}: {_FIX}", IncompleteWarning, stacklevel=stacklevel + 1)

    def _complaint(self) -> str:
        share, why = percent(self.unasked_share), self.reasons(self.unasked)
        return f"{share} of the trainable numbers keep the values they hold: {why}"

    def __str__(self) -> str:
        """One line.

        Example:
            >>> print(account([Row("fc.weight", 12, None), Row("experts.up", 28, "unknown")]))
            initialised 30 %; kept 70 %: 1 parameter of unknown role (experts.up)
        """
        if not self.held:
            return f"initialised 100 % of {self.size:,} numbers"
        kept = percent(self.kept)
        return f"initialised {percent(1.0 - self.kept)}; kept {kept}: {self.reasons()}"

    def reasons(self, held: Mapping[Kept, Held] | None = None) -> str:
        """Why numbers stay, and which parameters hold them; of several reasons each with its share of all numbers."""
        shown = self.held if held is None else held
        shares = [f"{percent(one.size / max(self.size, 1))} in " if len(shown) > 1 else "" for one in shown.values()]
        return "; ".join(share + _told(why, one) for share, (why, one) in zip(shares, shown.items(), strict=True))


def account(rows: Iterable[Row]) -> Account:
    """The account of a model's parameters.

    Args:
        rows: One for each; the numbers of those that are ``tied`` are counted under their first name.

    Example:
        >>> found = account([Row("a", 10, None), Row("b", 10, "tied"), Row("c", 30, "frozen", True)])
        >>> found.size, found.trainable, found.kept
        (40, 10, 0.75)
    """
    own = [row for row in rows if row.kept != "tied" and row.size]
    by_reason: dict[Kept, list[Row]] = {}
    for row in own:
        if row.kept is not None:
            by_reason.setdefault(row.kept, []).append(row)
    held = {why: Held(sum(r.size for r in some), tuple(r.name for r in some)) for why, some in by_reason.items()}
    return Account(
        sum(row.size for row in own),
        sum(row.size for row in own if not row.is_frozen),
        dict(sorted(held.items(), key=lambda item: (item[0] in ASKED, -item[1].size))),
    )


def _told(why: Kept, held: Held) -> str:
    count = len(held.names)
    return f"{count} parameter{'' if count == 1 else 's'}{_WORDS[why]} ({_listed(held.names)})"


def _listed(names: Sequence[str]) -> str:
    """The first names, and an ellipsis where there are more.

    Example:
        >>> _listed(["a", "b", "c", "d"]), _listed(["a"])
        ('a, b, c, ...', 'a')
    """
    return ", ".join([*names[:_LISTED], *(["..."] if len(names) > _LISTED else [])])


def percent(share: float) -> str:
    """A share in percent; what is not all is never 100, and what is not nothing never 0.

    Example:
        >>> percent(0.5), percent(0.0012), percent(0.9996), percent(1.0), percent(1e-9)
        ('50 %', '0.12 %', '99.96 %', '100 %', '< 0.01 %')
    """
    if 0.0 < share < 1e-4:
        return "< 0.01 %"
    if 1.0 - 1e-4 < share < 1.0:
        return "> 99.99 %"
    return f"{100.0 * share:.{2 if share < 0.1 else 4 if share > 0.99 else 2}g} %"
