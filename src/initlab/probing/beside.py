"""Profiles of one model under several weights, side by side: ``print`` them, ``picture`` them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from initlab.core.errors import OptionError
from initlab.probing.show.beside_text import beside_html, beside_text

if TYPE_CHECKING:
    from initlab.probing.profile import Profile


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Profiles of one model under several weights: one table and one figure, on common axes.

    Attributes:
        profiles: By what the weights are called, in the order in which they are shown.

    Raises:
        OptionError: Fewer than two, or profiles of models whose layers have other names.
    """

    profiles: dict[str, Profile]

    def __post_init__(self) -> None:
        if len(self.profiles) < 2:
            raise OptionError("one profile has nothing to stand beside", fix="give another one: profile.compare(after)")
        first, *others = self.profiles.items()
        paths = [row.path for row in first[1].rows]
        for name, profile in others:
            if [row.path for row in profile.rows] != paths:
                what = f"the layers of '{name}' are not those of '{first[0]}'"
                raise OptionError(what, fix="compare profiles of one model")

    def __str__(self) -> str:
        return beside_text(self.profiles)

    def _repr_html_(self) -> str:
        return beside_html(self.profiles)

    def to_dict(self) -> dict[str, object]:
        """The profiles and their diagnoses as JSON-ready data, by name."""
        both = self.profiles.items()
        return {name: {"profile": one.to_dict(), "diagnosis": one.diagnose().to_dict()} for name, one in both}
