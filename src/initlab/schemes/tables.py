"""Tables whose rows feed a layer directly, with no residual stream between: a classifier of words, for one."""

from __future__ import annotations

from collections.abc import Callable

from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws import Law, Normal
from initlab.core.plans.starts import EMBEDDING_STD
from initlab.schemes.prediction import CHAIN_ROLES, heads_of

Rows = dict[str, tuple[Law, str]]


def direct_tables(model: ModelSpec, *, kept: Callable[[ParamSpec], bool]) -> tuple[Rows, list[str]]:
    """Tables that give the layers they feed an input of ``E[x^2] = 1``, and what is to be said of those that cannot be.

    A row that is picked has the moments of an entry, so a table has no fan: std 1 is what keeps the signal. A large
    weight behind a small table would keep it too, but then a step of the table, times that weight, moves the outputs
    far and a step of the weight, times the small rows, hardly moves them. The weight behind a sum of tables makes up
    for their number: its ``in_moment`` says it. A table that a norm layer takes has the rule of its role, and so has
    each where nothing is fed, and a learned token that is no table of rows.

    Args:
        model: Every parameter, in order of use; one without residual branches.
        kept: Whether a parameter is to stay as it is.

    Example:
        >>> words = ParamSpec(path="0/weight", shape=(50, 8), role="embedding")
        >>> net = ModelSpec((words, ParamSpec(path="1/weight", shape=(4, 8))))
        >>> rows, notes = direct_tables(net, kept=lambda p: False)
        >>> rows["0/weight"][0].std((50, 8)), notes
        (1.0, [])
    """
    first = next((p for p in model.params if p.role in CHAIN_ROLES and p.is_weight and p.tied_to is None), None)
    tables = [p for p in model.params if _is_table(p)]
    if first is None:
        return {}, []
    heads = heads_of(model)
    drawn = [p for p in tables if p.path not in heads and not kept(p)]
    rows: Rows = {p.path: (Normal(1.0), "auto: std 1, so what its rows feed gets E[x^2] = 1") for p in drawn}
    return rows, [_note(p, p.path in heads) for p in tables if p not in drawn]


def _is_table(p: ParamSpec) -> bool:
    """Whether rows of it are the signal: LoRA's first factor and the key that attention learns are none of it."""
    if p.role != "embedding" or not p.is_weight or p.tied_to is not None or p.norm is not None:
        return False
    if len(p.shape) != 2 or p.shape[0] == 1:
        return False
    return p.layer_kind not in ("attention", "lora")


def _note(p: ParamSpec, is_head: bool) -> str:
    name = p.native or p.path
    if is_head:
        return (
            f"auto: '{name}' is the head too and has std {EMBEDDING_STD}, so what its rows feed gets E[x^2] = "
            f"{EMBEDDING_STD**2:.2g}: an untied head, or a norm behind the table, would start it at 1"
        )
    return (
        f"auto: '{name}' is not auto's to draw; what its rows feed takes them for E[x^2] = 1: overrides= sets in_moment"
    )
