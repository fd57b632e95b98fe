"""The registry of checks: each reads a case and gives what it finds wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from initlab.core.errors import OptionError
from initlab.core.registry import Registry, summary
from initlab.core.signals.readings import Place, Sums
from initlab.probing.checks.limits import Limits
from initlab.probing.measure.metrics import LayerRow, layer_rows
from initlab.probing.measure.trunk import Station, trunk
from initlab.probing.records import Evidence, Finding

NAMED = 4
"""Places that a finding names before it counts the rest."""


@dataclass(frozen=True, eq=False)
class Case:
    """A probed model as the checks see it.

    Attributes:
        evidence: All that is known of it.
    """

    evidence: Evidence

    @cached_property
    def rows(self) -> tuple[LayerRow, ...]:
        """A row for every weighted layer, in order of use."""
        return layer_rows(self.evidence)

    @cached_property
    def hidden(self) -> tuple[LayerRow, ...]:
        """The rows of the layers before the last weights."""
        return tuple(row for row in self.rows if row.is_hidden)

    @cached_property
    def stations(self) -> tuple[Station, ...]:
        """The hidden stations of the trunk; the hidden layers, where the ways through the model never meet."""
        paths = {row.path for row in self.hidden}
        found = [s for s in trunk(self.evidence.reading) if s.is_residual or self.place(s.index).path in paths]
        return tuple(found) if len(found) > 1 else tuple(Station(self.index[row.path]) for row in self.hidden)

    @cached_property
    def rows_seen(self) -> int:
        """Samples of the first place that was measured; 0 where none was."""
        forward = self.evidence.reading.forward
        return forward[min(forward)].rows if forward else 0

    @property
    def usual_scheme(self) -> str:
        """He's where most hidden layers rectify, and Glorot's elsewhere."""
        names = [row.f.partition("(")[0] for row in self.hidden if row.f]
        rectifiers = sum(name in ("relu", "leaky_relu") for name in names)
        return "he_normal" if 2 * rectifiers > len(names) else "glorot_uniform"

    @cached_property
    def index(self) -> dict[str, int]:
        """Places by path."""
        return {place.path: i for i, place in enumerate(self.evidence.reading.places)}

    def place(self, index: int) -> Place:
        """A place."""
        return self.evidence.reading.places[index]

    def sums(self, index: int) -> Sums | None:
        """What was measured of a place."""
        return self.evidence.reading.forward.get(index)


Check = Callable[[Case, Limits], Iterator[Finding]]
Stage = Literal["batch", "weights", "symmetry", "signal", "units", "output"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class RegisteredCheck:
    """An entry of the registry.

    Attributes:
        name: What it looks for.
        stage: What it is about.
        function: ``function(case, limits) -> findings``.
    """

    name: str
    stage: Stage
    function: Check

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return summary(self.function)


CHECKS = Registry[RegisteredCheck]("check", listing="initlab list checks", group="initlab.checks")


def register_check(name: str, *, stage: Stage) -> Callable[[Check], Check]:
    """Make a function a check: every probe asks it, and what it yields stands in the diagnosis.

    Args:
        name: What it looks for, e.g. ``"dead units"``.
        stage: What it is about: findings of an earlier stage are causes of those of a later one.

    Returns:
        A decorator of ``function(case: Case, limits: Limits) -> Iterator[Finding]``, which gives it back unchanged.

    Raises:
        OptionError: The name is taken, or there is no such stage.

    Example:
        >>> @register_check("doctest: left over", stage="weights")
        ... def left_over(case, limits):
        ...     '''A parameter that was made for debugging is still in the model.'''
        ...     names = tuple(name for name in case.evidence.weights if "debug" in name)
        ...     if names:
        ...         yield Finding("left over", "note", names, f"{len(names)} parameters", "remove them")
        >>> CHECKS["doctest: left over"].summary
        'A parameter that was made for debugging is still in the model.'
    """
    if stage not in STAGES:
        raise OptionError(f"no stage '{stage}'", where=name, fix=f"one of {', '.join(STAGES)}")

    def register(function: Check) -> Check:
        CHECKS.add(name, RegisteredCheck(name, stage, function))
        return function

    return register
