"""Recipes of low-rank adapters that take their start from the weight which they adapt: PiSSA, OLoRA."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws.low_rank import LowRank, Method, Part
from initlab.recipes.recipe import Declaration, register_recipe


class Update(NamedTuple):
    """The parameters of one layer ``(W + s B A) x``."""

    weight: ParamSpec
    a: ParamSpec
    b: ParamSpec


@register_recipe(source="peft 0.21, tuners/lora/layer.py, LoraLayer.pissa_init; Meng et al. 2024, arXiv:2404.02948")
def pissa(model: ModelSpec, *, scale: float = 0.0) -> Declaration:
    """A and B are the r principal singular triplets of the frozen weight, which becomes W - s B A; all else is kept.

    With W = U S V^T: A = sqrt(S_r / s) V_r^T and B = U_r sqrt(S_r / s), so that the model computes what it did.

    Args:
        model: Every parameter.
        scale: s, what B A is multiplied by in the model (lora_alpha / r); left out, one pass of ``example`` shows it.
    """
    return _declared(model, "pissa", scale)


@register_recipe(source="peft 0.21, tuners/lora/layer.py, LoraLayer.olora_init; Büyükakyüz 2024, arXiv:2406.01775")
def olora(model: ModelSpec, *, scale: float = 0.0) -> Declaration:
    """B is the first r columns of Q, A the first r rows of R; the frozen weight becomes W - s B A; all else is kept.

    W = Q R by Householder reflections. B has orthonormal columns, and the model computes what it did.

    Args:
        model: Every parameter.
        scale: s, what B A is multiplied by in the model (lora_alpha / r); left out, one pass of ``example`` shows it.
    """
    return _declared(model, "olora", scale)


def _declared(model: ModelSpec, method: Method, scale: float) -> Declaration:
    laws, reasons = {}, {}
    for weight, a, b in updates(model, method):
        taken = f"{method}: of {weight.native or weight.path}"
        changed = "the frozen weight is changed" if weight.frozen else "the weight is changed"
        parts: list[tuple[Part, ParamSpec, str]] = [
            ("A", a, taken),
            ("B", b, taken),
            ("rest", weight, f"{method}: {changed}, so that the model computes what it did"),
        ]
        for part, p, why in parts:
            if p.path in laws:
                raise OptionError(
                    f"the recipe '{method}' finds two low-rank updates of one weight",
                    where=p.native or p.path,
                    fix="keep one adapter",
                )
            laws[p.path] = LowRank(method, part, weight.native or weight.path, a.shape[0], scale or None)
            reasons[p.path] = why
    return Declaration({}, only=True, laws=laws, reasons=reasons)


def updates(model: ModelSpec, recipe: str) -> tuple[Update, ...]:
    """The low-rank updates of a model: two factors whose names differ in ``a`` and ``b``, and the weight they fit.

    The weight is the matrix of shape (out, in) whose name has the longest beginning in common with theirs.

    Raises:
        OptionError: There is none, or no weight, or more than one, that it fits.

    Example:
        >>> names = {"q.weight": (8, 4), "k.weight": (8, 4), "q.lora_a": (2, 4), "q.lora_b": (8, 2)}
        >>> spec = ModelSpec(tuple(ParamSpec(path=n, native=n, shape=s) for n, s in names.items()))
        >>> [(u.weight.path, u.a.path, u.b.path) for u in updates(spec, "pissa")]
        [('q.weight', 'q.lora_a', 'q.lora_b')]
    """
    own = [p for p in model.params if p.tied_to is None]
    found = tuple(Update(_weight(own, a, b), a, b) for a, b in _pairs(own))
    if not found:
        raise OptionError(
            f"the recipe '{recipe}' finds no low-rank update in this model",
            fix="it looks for two matrices, as lora_A (r, in) and lora_B (out, r), beside a weight (out, in)",
        )
    return found


def _pairs(params: list[ParamSpec]) -> Iterator[tuple[ParamSpec, ParamSpec]]:
    named = {_name(p): p for p in params if _is_low_rank(p)}
    for name, a in named.items():
        for at in [m.start() for m in re.finditer(r"(?<![a-zA-Z])[aA](?![a-zA-Z])", name)]:
            b = named.get(name[:at] + {"a": "b", "A": "B"}[name[at]] + name[at + 1 :])
            if b is not None and len(a.shape) != 2:
                raise ShapeError(
                    f"a low-rank update of shape {a.shape} is no matrix's", where=name, fix="adapt dense layers alone"
                )
            if b is not None and b.shape[1:] == a.shape[:1]:
                yield a, b


def _is_low_rank(p: ParamSpec) -> bool:
    return "lora" in _name(p).lower() and p.is_weight and p.role == "dense"


def _weight(params: list[ParamSpec], a: ParamSpec, b: ParamSpec) -> ParamSpec:
    shape = (b.shape[0], a.shape[1])
    fits = [p for p in params if p.role == "dense" and p.shape == shape and p.axes is None and not _is_low_rank(p)]
    longest = max((_shared(p, a) for p in fits), default=0)
    near = [p for p in fits if _shared(p, a) == longest]
    if len(near) != 1:
        names = ", ".join(map(_name, near)) or "none"
        raise OptionError(
            f"of the weights {shape} beside this low-rank update one is to be adapted, found {names}",
            where=_name(a),
            fix="name the factors after the layer that they adapt",
        )
    return near[0]


def _shared(p: ParamSpec, other: ParamSpec) -> int:
    """Parts that two names have in common at their beginning."""
    count = 0
    for one, two in zip(re.split(r"[./]", _name(p)), re.split(r"[./]", _name(other)), strict=False):
        if one != two:
            break
        count += 1
    return count


def _name(p: ParamSpec) -> str:
    return p.native or p.path
