"""A plan: law and reason for every parameter of a model, before any number is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws import draw
from initlab.core.errors import OptionError, ShapeError
from initlab.core.laws import Constant, Law, Normal
from initlab.core.spec import ModelSpec, ParamSpec

Action = Literal["initialise", "keep", "refuse"]
Initializer: TypeAlias = Callable[[ParamSpec], Law]

EMBEDDING_STD = 0.02  # GPT-2, BERT and ViT draw their embedding tables with it


@dataclass(frozen=True)
class Rule:
    """Which parameters a scheme rules.

    Attributes:
        pattern: A glob over canonical paths and the framework's own names. ``"*"`` stands for every weight of rank 2
            or more that is not an embedding; any other pattern rules whatever it matches.
        initializer: The scheme, bound to its options.
        label: The scheme's call, for the reason.
        with_biases: Whether a ``"*"`` rule also rules the biases, for a scheme that says how they are drawn.
    """

    pattern: str
    initializer: Initializer
    label: str
    with_biases: bool = False

    def rules(self, p: ParamSpec) -> bool:
        """Whether the rule applies to a parameter."""
        if self.pattern == "*":
            return (p.is_weight and p.role != "embedding") or (self.with_biases and p.role == "bias")
        return fnmatchcase(p.path, self.pattern) or (p.native != "" and fnmatchcase(p.native, self.pattern))


@dataclass(frozen=True)
class PlanEntry:
    """One parameter's row: what is done with it, by which law, and why."""

    param: ParamSpec
    action: Action
    law: Law | None
    why: str

    @property
    def std(self) -> float | None:
        """The exact std of an entry under the law; None where nothing is drawn."""
        return None if self.law is None else self.law.std(self.param.shape)


@dataclass(frozen=True)
class Plan:
    """Every parameter of a model with its law and reason; printable and comparable.

    Attributes:
        entries: A row a parameter, in the model's order.
        notes: What could not be seen, in words.
    """

    entries: tuple[PlanEntry, ...]
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[PlanEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, path: str) -> PlanEntry:
        """The row of a parameter, by its canonical path or the framework's own name."""
        for entry in self.entries:
            if path in (entry.param.path, entry.param.native):
                return entry
        raise KeyError(path)

    def __str__(self) -> str:
        return "\n".join([*_columns(self.entries), *(f"note: {note}" for note in self.notes)])

    def draw(self, seed: int) -> dict[str, NDArray[np.float32]]:
        """Float32 arrays of all initialised parameters, by canonical path and in the canonical layout.

        Raises:
            ShapeError: A row of the plan is refused.
        """
        for entry in self.entries:
            if entry.action == "refuse":
                raise ShapeError(entry.why, where=entry.param.path, fix="give this parameter another scheme")
        return {
            entry.param.path: draw(entry.law, entry.param.shape, seed=seed, path=entry.param.path)
            for entry in self.entries
            if entry.law is not None
        }

    def diff(self, other: Plan) -> list[str]:
        """One line for each parameter whose action or law differs, ``-`` for this plan and ``+`` for the other."""
        mine = {entry.param.path: _short(entry) for entry in self.entries}
        theirs = {entry.param.path: _short(entry) for entry in other.entries}
        lines = []
        for path in [*mine, *(path for path in theirs if path not in mine)]:
            if mine.get(path) != theirs.get(path):
                lines += [f"{sign} {path}  {rows[path]}" for sign, rows in (("-", mine), ("+", theirs)) if path in rows]
        return lines


def make_plan(model: ModelSpec, rules: Sequence[Rule]) -> Plan:
    """The plan of a model under rules of which the last match wins.

    Parameters that no rule matches follow their role: biases 0, norm scales 1 and norm biases 0, embeddings
    N(0, 0.02^2); scales and parameters of unknown role are kept as they are, and say so. A scheme that cannot take a
    shape makes a refused row, never a guess.

    Args:
        model: The model's parameters.
        rules: In rising order of precedence.

    Returns:
        A plan with a row for every parameter.

    Raises:
        OptionError: A pattern, other than ``"*"``, that matches no parameter.

    Example:
        >>> from initlab.core.arch import Mlp
        >>> from initlab.core.laws import Normal
        >>> plan = make_plan(Mlp((4, 8, 3)).spec(), [Rule("*", lambda p: Normal(0.01), "normal(std=0.01)")])
        >>> [entry.std for entry in plan]
        [0.01, 0.0, 0.01, 0.0]
    """
    for rule in rules:
        if rule.pattern != "*" and not any(rule.rules(p) for p in model.params):
            raise OptionError(
                f"the pattern '{rule.pattern}' matches no parameter", fix=f"paths look like '{model.params[0].path}'"
            )
    return Plan(tuple(_entry(p, rules) for p in model.params), model.notes)


def _entry(p: ParamSpec, rules: Sequence[Rule]) -> PlanEntry:
    if p.tied_to is not None:
        return PlanEntry(p, "keep", None, f"tied to {p.tied_to}")
    rule = next((rule for rule in reversed(rules) if rule.rules(p)), None)
    if rule is None:
        return _by_role(p)
    try:
        law = rule.initializer(p)
        law.check(p.shape)
    except ShapeError as error:
        return PlanEntry(p, "refuse", None, f"{rule.label}: {error.what}")
    return PlanEntry(p, "initialise", law, rule.label if rule.pattern == "*" else f"{rule.label} by '{rule.pattern}'")


def _by_role(p: ParamSpec) -> PlanEntry:
    if p.role == "bias":
        return PlanEntry(p, "initialise", Constant(0.0), "biases start at zero")
    if p.role == "norm_scale":
        return PlanEntry(p, "initialise", Constant(1.0), "norm layers start as the plain normalisation")
    if p.role == "norm_bias":
        return PlanEntry(p, "initialise", Constant(0.0), "norm layers start as the plain normalisation")
    if p.role == "embedding":
        return PlanEntry(p, "initialise", Normal(EMBEDDING_STD), "embeddings have no fan; 0.02 as in GPT-2 and BERT")
    return PlanEntry(p, "keep", None, "role unknown" if p.role == "unknown" else "no rule names it")


def _short(entry: PlanEntry) -> str:
    return f"{entry.action} {entry.law}" if entry.law is not None else entry.action


def _columns(entries: Sequence[PlanEntry]) -> list[str]:
    rows = [("parameter", "shape", "action", "law", "std", "why")]
    for entry in entries:
        shape = "x".join(map(str, entry.param.shape)) or "scalar"
        std = "" if entry.std is None else f"{entry.std:.4g}"
        name = entry.param.native or entry.param.path
        rows.append((name, shape, entry.action, "" if entry.law is None else str(entry.law), std, entry.why))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip()
        for row in rows
    ]
