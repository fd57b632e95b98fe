"""A plan: law and reason for every parameter of a model, before any number is drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from glob import escape
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.fans import fans
from initlab.core.facts.spec import Axes, ModelSpec, ParamSpec
from initlab.core.laws import Calibrated, Law
from initlab.core.laws.complex import complex_law
from initlab.core.laws.draw import draw
from initlab.core.laws.singular import spectral_norm
from initlab.core.plans.account import Account, Kept, Row, account
from initlab.core.plans.html import plan_html
from initlab.core.plans.starts import start_by_role
from initlab.core.plans.text import Cells, plan_text

Action = Literal["initialise", "keep", "refuse"]
Initializer: TypeAlias = Callable[[ParamSpec], Law]


@dataclass(frozen=True)
class Rule:
    """Which parameters a scheme rules.

    Attributes:
        pattern: A glob over canonical paths and the framework's own names. ``"*"`` stands for every weight of rank 2
            or more that is not an embedding; any other pattern for the weights of that kind among what it matches,
            and where there are none for all that it matches.
        initializer: The scheme, bound to its options.
        label: The scheme's call, for the reason.
        with_biases: Whether a pattern that rules weights also rules the biases and embeddings it matches, for a scheme
            that says how they are drawn.
        reasons: By canonical path, for a scheme that chose for each parameter: why; it rules these too.
        left: By canonical path, why a scheme leaves a parameter as it is.
    """

    pattern: str
    initializer: Initializer
    label: str
    with_biases: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)

    def ruled(self, model: ModelSpec) -> frozenset[str]:
        """The canonical paths of the parameters that the rule applies to."""
        matched = [p for p in model.params if self.pattern == "*" or matches(p, self.pattern)]
        weights = [p for p in matched if p.is_weight and p.role != "embedding"]
        if self.pattern != "*" and not weights:
            return frozenset(p.path for p in matched)
        extra = [p for p in matched if p.path in self.reasons or (self.with_biases and p.role in ("bias", "embedding"))]
        return frozenset(p.path for p in (*weights, *extra))

    def why(self, p: ParamSpec) -> str:
        """The reason of a row."""
        text = self.reasons.get(p.path, self.label)
        return text if self.pattern == "*" else f"{text} by '{self.pattern}'"


@dataclass(frozen=True)
class Consent:
    """Which parameters may be written though their owner, or their role, has a claim on the value they hold.

    Attributes:
        include: Globs: what they match is initialised, frozen or meant to stay or not.
        exclude: Globs: what they match is kept; they win over ``include``.
        reinit: Whether everything is initialised, but for ``exclude``.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    reinit: bool = False

    def reason_to_keep(self, p: ParamSpec) -> tuple[Kept, str] | None:
        """Why a parameter keeps its value, also in words; None where it may be written."""
        for pattern in self.exclude:
            if matches(p, pattern):
                return "excluded", f"excluded by '{pattern}'"
        if self.reinit or any(matches(p, pattern) for pattern in self.include):
            return None
        if p.frozen:
            return "frozen", "frozen"
        return ("undrawn" if p.is_obstacle else "design", p.intent) if p.intent else None


def matches(p: ParamSpec, pattern: str) -> bool:
    """Whether a glob matches a parameter's canonical path or the framework's own name of it."""
    return fnmatchcase(p.path, pattern) or (p.native != "" and fnmatchcase(p.native, pattern))


@dataclass(frozen=True)
class PlanEntry:
    """One parameter's row: what is done with it, by which law, and why.

    Attributes:
        param: The parameter.
        action: Whether it is initialised or kept, or its scheme cannot take it.
        law: What it is drawn from; None where nothing is drawn.
        why: The reason, in words.
        kept: The reason for which it is kept; None where it is not.
    """

    param: ParamSpec
    action: Action
    law: Law | None
    why: str
    kept: Kept | None = None

    @property
    def std(self) -> float | None:
        """The std of an entry as its layer uses it; None where nothing is drawn, or where data are yet to decide it.

        It is exact under the law; of what a spectral norm divides it is that of a large matrix.
        """
        std = math.nan if self.law is None else self.law.std(self.param.shape)
        if self.law is not None and self.param.is_divided and std > 0.0:
            std /= spectral_norm(self.law, self.param.shape)
        return None if math.isnan(std) else std


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
        return self.text()

    @property
    def account(self) -> Account:
        """The shares of the model's numbers that are initialised and kept; a refused row counts as neither."""
        return account(
            Row(_name(e.param), e.param.size, e.kept, e.param.frozen) for e in self.entries if e.action != "refuse"
        )

    def text(self, *, width: int | None = None, seed: int | None = None) -> str:
        """The rows, notes and account as ``print`` shows them: a line a parameter where that fits, else two.

        Args:
            width: Columns of characters, 40 or more; the terminal's where left out, and 80 where there is none.
            seed: The seed that was last drawn from, where there is one to tell.
        """
        return plan_text(map(_cells, self.entries), self.notes, width=width, account=str(self.account), seed=seed)

    def html(self, *, seed: int | None = None) -> str:
        """The rows and notes as an HTML table, as a notebook shows it.

        Args:
            seed: The seed that was last drawn from, where there is one to tell.
        """
        return plan_html(map(_cells, self.entries), self.notes, account=str(self.account), seed=seed)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.html()

    def draw(self, seed: int) -> dict[str, NDArray[np.float32]]:
        """Float32 arrays of all initialised parameters, by canonical path and in the canonical layout.

        Raises:
            ShapeError: A row of the plan is refused.
        """
        self.check()
        return {
            entry.param.path: draw(entry.law, entry.param.shape, seed=seed, path=entry.param.path)
            for entry in self.entries
            if entry.law is not None
        }

    def check(self) -> None:
        """Nothing happens where every row can be carried out.

        Raises:
            ShapeError: A row of the plan is refused.
        """
        for entry in self.entries:
            if entry.action == "refuse":
                raise ShapeError(
                    entry.why, where=_name(entry.param), fix="give this parameter another scheme, or exclude it"
                )

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON data.

        Example:
            >>> from initlab.core.facts.arch import Mlp
            >>> make_plan(Mlp((4, 3)).spec(), []).to_dict()["parameters"][1]["why"]
            'biases start at zero'
        """
        found = self.account
        return {
            "parameters": [_entry_dict(entry) for entry in self.entries],
            "notes": list(self.notes),
            "account": {
                "numbers": found.size,
                "trainable": found.trainable,
                "kept": {why: {"numbers": held.size, "names": list(held.names)} for why, held in found.held.items()},
                "unasked_share": found.unasked_share,
            },
        }

    def diff(self, other: Plan) -> list[str]:
        """One line for each parameter whose action or law differs, ``-`` for this plan and ``+`` for the other.

        Parameters are the same where their canonical paths are; a line has the framework's own name.
        """
        mine = {entry.param.path: entry for entry in self.entries}
        theirs = {entry.param.path: entry for entry in other.entries}
        lines = []
        for path in [*mine, *(path for path in theirs if path not in mine)]:
            pair = [(sign, rows[path]) for sign, rows in (("-", mine), ("+", theirs)) if path in rows]
            if len(pair) < 2 or _short(mine[path]) != _short(theirs[path]):
                lines += [f"{sign} {_name(entry.param)}  {_short(entry)}" for sign, entry in pair]
        return lines


def make_plan(
    model: ModelSpec,
    rules: Sequence[Rule],
    *,
    consent: Consent | None = None,
    notes: Sequence[str] = (),
    named_only: bool = False,
    opens_forget_gates: bool = True,
) -> Plan:
    """The plan of a model under rules of which the last match wins.

    Parameters that no rule is for follow their role: biases 0 (1 in an LSTM's forget gate), norm scales 1 and norm
    biases 0, embeddings N(0, 0.02^2); scales and parameters of unknown role are kept as they are, and say so. What is
    tied, frozen or meant to stay is kept, unless a pattern is its very name. A scheme that cannot take a shape makes a
    refused row; what the defaults of a framework, given to a whole model, cannot take is kept.

    Args:
        model: The model's parameters.
        rules: In rising order of precedence.
        consent: What may be written all the same, and what may not.
        notes: What is to be said beside the model's own notes.
        named_only: Whether what no pattern matches is kept, in place of following its role.
        opens_forget_gates: Whether the bias of an LSTM's forget gate starts at 1 by its role, not at 0.

    Returns:
        A plan with a row for every parameter.

    Raises:
        OptionError: A pattern, other than ``"*"``, that matches no parameter; two schemes for one shared parameter.

    Example:
        >>> from initlab.core.facts.arch import Mlp
        >>> from initlab.core.laws import Normal
        >>> plan = make_plan(Mlp((4, 8, 3)).spec(), [Rule("*", lambda p: Normal(0.01), "normal(std=0.01)")])
        >>> [entry.std for entry in plan]
        [0.01, 0.0, 0.01, 0.0]
    """
    allowed = consent or Consent()
    patterns = [("", rule.pattern) for rule in rules if rule.pattern != "*"]
    patterns += [("include", glob) for glob in allowed.include] + [("exclude", glob) for glob in allowed.exclude]
    for option, pattern in patterns:
        if not any(matches(p, pattern) for p in model.params):
            fix = f"paths look like '{_name(model.params[0])}'" if model.params else "the model has no parameters"
            raise OptionError(f"the pattern '{pattern}' matches no parameter", where=option, fix=fix)
    winners = {path: rule for rule in rules for path in rule.ruled(model)}
    names = {p.path: _name(p) for p in model.params}
    _check_ties(model, winners, names)
    patterns_of = [rule.pattern for rule in rules]
    rows = []
    for p in model.params:
        is_named = not named_only or any(pattern == "*" or matches(p, pattern) for pattern in patterns_of)
        row = _entry(p, winners.get(p.path), allowed, names, is_named=is_named)
        rows.append(_of_its_kind(row or _by_role(p, opens_forget_gates=opens_forget_gates)))
    waiting = sum(isinstance(row.law, Calibrated) for row in rows)
    told = f"data-driven: when the plan is applied, a batch decides the scale of {waiting} weights"
    return Plan(tuple(rows), (*model.notes, *notes, *([told] if waiting else [])))


def _check_ties(model: ModelSpec, winners: Mapping[str, Rule], names: Mapping[str, str]) -> None:
    """A shared parameter is drawn once, under its first name: another scheme for its other name has no effect."""
    for p in model.params:
        second = winners.get(p.path)
        if p.tied_to is None or second is None or second.pattern == "*":
            continue
        first = winners.get(p.tied_to)
        if first is None or first.label != second.label:
            other = "the rule of its role" if first is None else f"'{first.label}'"
            raise OptionError(
                f"'{_name(p)}' and '{names.get(p.tied_to, p.tied_to)}' are one parameter with two schemes, "
                f"'{second.label}' and {other}",
                fix=f"name the scheme of '{names.get(p.tied_to, p.tied_to)}' alone",
            )


def _entry(
    p: ParamSpec, rule: Rule | None, consent: Consent, names: Mapping[str, str], *, is_named: bool
) -> PlanEntry | None:
    """The row of a parameter; None where it follows its role."""
    if p.tied_to is not None:
        return PlanEntry(p, "keep", None, f"tied to {names.get(p.tied_to, p.tied_to)}", "tied")
    if not is_named:
        return PlanEntry(p, "keep", None, "no pattern names it", "unnamed")
    claim = consent.reason_to_keep(p)
    own = (p.path, p.native, escape(p.path), escape(p.native))  # a glob only happens to cover it
    is_asked = rule is not None and rule.pattern in own
    if claim is not None and (claim[0] == "excluded" or not is_asked):
        return PlanEntry(p, "keep", None, claim[1], claim[0])
    if rule is None or (p.dynamics is not None and rule.pattern == "*"):
        return None
    if p.path in rule.left:
        return PlanEntry(p, "keep", None, rule.left[p.path], "unfollowed")
    try:
        law = rule.initializer(p)
        law.check(p.shape)
        unknown = _of_unknown_axes(p, rule, law)
    except ShapeError as error:
        if rule.with_biases and rule.pattern == "*":  # a framework's defaults have none for what is none of its layers'
            return PlanEntry(p, "keep", None, f"{rule.label}: {error.what}", "unruled")
        return PlanEntry(p, "refuse", None, f"{rule.label}: {error.what}")
    if unknown:
        return PlanEntry(p, "refuse", None, f"{rule.label}: {unknown}")
    return PlanEntry(p, "initialise", law, rule.why(p))


def _of_its_kind(row: PlanEntry) -> PlanEntry:
    """The row, of a complex parameter with the law of complex numbers; refused where there is none."""
    if row.law is None or not row.param.is_complex:
        return row
    try:
        return replace(row, law=complex_law(row.law))
    except ShapeError as error:
        return PlanEntry(row.param, "refuse", None, error.what)


def _of_unknown_axes(p: ParamSpec, rule: Rule, law: Law) -> str:
    """Why a law cannot be said of a weight of three axes or more whose use is unknown; empty where it hangs on no fan.

    Such a weight may be a stack of matrices, a kernel of a convolution, or one matrix with several axes.
    """
    if p.role != "unknown" or p.axes is not None or len(p.shape) < 3:
        return ""
    *stack, first, last = range(len(p.shape))
    ways = [Axes((last,), (first,), tuple(stack)), Axes((first,), (last,), tuple(stack))]
    if all(rule.initializer(replace(p, axes=axes)) == law for axes in ways):
        return ""
    given = f'overrides={{"{_name(p)}": {{"role": "dense", "axes": {ways[0]}}}}}'
    return f"nothing says which axes are summed over and which are a stack: {given} says it of (stack, out, in)"


def _by_role(p: ParamSpec, *, opens_forget_gates: bool) -> PlanEntry:
    start = start_by_role(p, opens_forget_gates=opens_forget_gates)
    if start is not None:
        return PlanEntry(p, "initialise", *start)
    if p.role == "unknown":
        return PlanEntry(p, "keep", None, "role unknown", "unknown")
    return PlanEntry(p, "keep", None, "no rule names it", "unruled")


def _short(entry: PlanEntry) -> str:
    return f"{entry.action} {entry.law}" if entry.law is not None else entry.action


def _name(p: ParamSpec) -> str:
    return p.native or p.path


def _entry_dict(entry: PlanEntry) -> dict[str, object]:
    p = entry.param
    return {
        "path": p.path,
        "name": _name(p),
        "role": p.role,
        "shape": list(p.shape),
        "fan_in": _fan_in(p),
        "f_in": p.f_in,
        "f_out": p.f_out,
        "action": entry.action,
        "law": None if entry.law is None else str(entry.law),
        "std": entry.std,
        "why": entry.why,
    }


def _fan_in(p: ParamSpec) -> float | None:
    """The number of terms in a sum; None where there are no sums."""
    return fans(p).fan_in if p.is_weight and p.role != "embedding" else None


def _in_short(f: str | None) -> str:
    """An activation with the values of its options alone, since its name is said twice in a row.

    Example:
        >>> _in_short("leaky_relu(negative_slope=0.1)"), _in_short("relu"), _in_short(None)
        ('leaky_relu(0.1)', 'relu', '-')
    """
    return "-" if f is None else re.sub(r"\w+=", "", f)


def _cells(entry: PlanEntry) -> Cells:
    p, fan = entry.param, _fan_in(entry.param)
    return Cells(
        name=_name(p),
        role=p.role,
        shape="x".join(map(str, p.shape)) or "scalar",
        fan="" if fan is None else f"{fan:g}",
        around="" if fan is None else f"{_in_short(p.f_in)} -> {_in_short(p.f_out)}",
        action=entry.action,
        law="" if entry.law is None else str(entry.law),
        std="" if entry.std is None else f"{entry.std:.4g}",
        why=entry.why,
    )
