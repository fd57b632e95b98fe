"""The verb of a table's rows: resize_vocabulary."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import escape
from math import prod
from typing import SupportsIndex, TypeVar

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Adapter
from initlab.core.draws.seeding import seed_of_draw
from initlab.core.draws.streams import check_seed
from initlab.core.errors import OptionError
from initlab.core.factories import exits_refused
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.growth.rows import Matrix, rows_like
from initlab.core.growth.stated import stated
from initlab.core.laws.draw import draw
from initlab.core.plans.plan import Consent, make_plan, matches
from initlab.frameworks import adapter_for
from initlab.schemes import scheme
from initlab.schemes.rules import make_rules

M = TypeVar("M")

_LIKE_THE_OLD = "mean+covariance"
_LISTED = 3


def resize_vocabulary(
    model: M,
    n: SupportsIndex,
    how: str = "mean+covariance",
    *,
    seed: SupportsIndex | None = None,
    scale: float = 1.0,
    table: str | None = None,
    example: object = None,
) -> M:
    """The model with a vocabulary of ``n`` words, in place: the words it has keep their rows bit for bit.

    The table of the words changes, every weight that is shared with it, and every weight that makes as many outputs of
    the model as there are words, with its bias. A padding row stays zero and counts for nothing; what is frozen stays
    frozen. Numbers called ``vocab...`` that the model and its configuration state are set. With fewer words the first
    ``n`` rows stay. An optimiser that was made before is not touched: make a new one.

    Args:
        model: A PyTorch, Keras or Flax model.
        n: Words, 1 or more.
        how: ``"mean+covariance"``: new rows are normal with the mean of the old ones and ``scale`` times their
            covariance, a weight and its bias together (Hewitt 2021). ``"mean"``: every new row is the mean, so that
            new words are alike until their own gradients part them. Else the name of a scheme: the rows are those that
            it draws for the table of ``n`` words, and new biases start by their role.
        seed: As for ``initialize``; nothing is drawn where words are left out or new rows are the mean.
        scale: The factor of the covariance. A factor of 1e-9, as in a public library, makes the new rows one.
        table: A glob of the tables of words, where the model has several.
        example: As for ``plan``.

    Returns:
        The same model.

    Raises:
        OptionError: No table, or several and none named; a head that is not known for one; a bad number, or a
            framework that cannot change a parameter's shape. Nothing was changed.
    """
    words, factor = _checked(n, how, scale)
    adapter = adapter_for(model)
    with exits_refused():
        spec = adapter.describe(model, example=example)
    tables = _tables(spec, table)
    before = tables[0].shape[0]
    if any(p.padding_row is not None and p.padding_row >= words for p in tables):
        raise OptionError(f"{words} words leave the padding row out", where="n", fix="keep it")
    heads = _heads(spec, tables, before)
    if words == before:
        return model
    is_drawn = words > before and how != "mean"
    number = seed_of_draw(adapter.random_bits(model)) if seed is None and is_drawn else check_seed(seed or 0)
    resizing = _Resizing(model, adapter, spec, how, factor, number)
    arrays: dict[str, NDArray[np.generic]] = {}
    for p, biases in _with_biases(spec, (*heads, *tables)):
        arrays |= resizing.arrays(p, biases, words)
    adapter.resize(model, arrays)
    for one in stated(model):
        if one.value == before and "vocab" in one.name.lower():
            one.put(words)
    return model


def _checked(n: SupportsIndex, how: str, scale: float) -> tuple[int, float]:
    try:
        words = 0 if isinstance(n, bool) else operator.index(n)
    except TypeError:
        words = 0
    if words < 1:
        raise OptionError(f"a vocabulary has 1 or more words, got {n!r}", where="n", fix="give a whole number")
    if not (isinstance(scale, int | float) and math.isfinite(scale) and scale >= 0):
        raise OptionError(f"a covariance is scaled by 0 or more, got {scale!r}", where="scale", fix="e.g. scale=1.0")
    if how not in (_LIKE_THE_OLD, "mean"):
        scheme(how)
        if scale != 1.0:
            raise OptionError(f"{how} has no covariance", where="scale", fix=f"leave it out, or how='{_LIKE_THE_OLD}'")
    return words, 0.0 if how == "mean" else float(scale)


# Which parameters have a row a word


def _tables(spec: ModelSpec, glob: str | None) -> list[ParamSpec]:
    """The tables of the words: the one there is, the one that the head shares, or those that are named."""
    found = [p for p in spec.params if p.role == "embedding" and len(p.shape) == 2 and p.tied_to is None]
    if glob is not None:
        named = [p for p in found if matches(p, glob)]
        if not named or len({p.shape[0] for p in named}) > 1:
            told = "tables of several sizes" if named else "no table"
            raise OptionError(f"'{glob}' names {told}", where="table", fix=f"give one of {_listed(found)}")
        return named
    if not found:
        raise OptionError(
            "the model has no table of words", where="table", fix="give example=, so that its use is seen"
        )
    shared = {p.tied_to for p in spec.params}
    sure = found if len(found) == 1 else [p for p in found if p.path in shared or p.is_output]
    if len(sure) != 1:
        raise OptionError(f"several tables, {_listed(found)}", where="table", fix="name that of the words")
    return sure


def _heads(spec: ModelSpec, tables: Sequence[ParamSpec], words: int) -> list[ParamSpec]:
    """The weights, but for the tables, that make as many outputs of the model as there are words."""
    own = {p.path for p in tables}
    likely = [
        p
        for p in spec.params
        if p.role == "dense" and p.tied_to is None and p.path not in own and p.is_weight and _outputs(p) == words
    ]
    unsure = [p for p in likely if not p.is_output]
    if unsure and spec.fidelity == "declared":
        told = f"it has as many outputs as there are words, and was not seen at work: '{unsure[0].native}'"
        raise OptionError(told, where="example", fix="give an example, which shows what the model returns")
    return [p for p in likely if p.is_output]


def _outputs(p: ParamSpec) -> int:
    if p.axes is None:
        return p.shape[0]
    return p.shape[p.axes.outputs[0]] if len(p.axes.outputs) == 1 and not p.axes.batch else 0


def _with_biases(spec: ModelSpec, weights: Sequence[ParamSpec]) -> list[tuple[ParamSpec, list[ParamSpec]]]:
    """The weights, each with its biases: those beside it, and the first with those that stand alone."""
    found: dict[str, list[ParamSpec]] = {p.path: [] for p in weights}
    beside = {p.path.rpartition("/")[0]: p.tied_to or p.path for p in spec.params if (p.tied_to or p.path) in found}
    for bias in spec.params:
        if bias.role != "bias" or bias.tied_to is not None or bias.layer_shape is None:
            continue
        like = [p for p in weights if bias.shape == (_outputs(p),) and prod(bias.layer_shape) == p.size]
        if like:
            near = beside.get(bias.path.rpartition("/")[0])
            found[near if near in {p.path for p in like} and near is not None else like[0].path].append(bias)
    return [(p, found[p.path]) for p in weights]


# What they hold then


@dataclass(frozen=True)
class _Resizing:
    model: object
    adapter: Adapter
    spec: ModelSpec
    how: str
    scale: float
    seed: int

    def arrays(self, weight: ParamSpec, biases: Sequence[ParamSpec], words: int) -> dict[str, NDArray[np.generic]]:
        """A weight and its biases with a row a word, by native name and in the framework's own layout."""
        place = 0 if weight.axes is None else weight.axes.outputs[0]
        parts = [np.moveaxis(self.adapter.read(self.model, weight), place, 0)]
        parts += [self.adapter.read(self.model, p) for p in biases]
        flat = [part.reshape(len(part), -1) for part in parts]
        ends = np.cumsum([part.shape[1] for part in flat])[:-1]
        new = np.split(self._new(weight, biases, flat, words), ends, axis=1)
        made: dict[str, NDArray[np.generic]] = {}
        for at, (p, old, added) in enumerate(zip((weight, *biases), parts, new, strict=True)):
            whole = np.concatenate([old, added.reshape(len(added), *old.shape[1:]).astype(old.dtype)])[:words]
            canonical = np.moveaxis(whole, 0, place) if at == 0 else whole
            made[p.native] = canonical.transpose(np.argsort(self.adapter.native_axes(self.model, p)))
        return made

    def _new(
        self, weight: ParamSpec, biases: Sequence[ParamSpec], parts: Sequence[NDArray[np.generic]], words: int
    ) -> Matrix:
        """The rows that are added to those of the parts, side by side."""
        rows = np.concatenate(parts, axis=1).astype(np.float64)
        count = words - len(rows)
        if count <= 0:
            return rows[:0]
        if self.how in (_LIKE_THE_OLD, "mean"):
            real = rows if weight.padding_row is None else np.delete(rows, weight.padding_row, axis=0)
            return rows_like(real, count, scale=self.scale, seed=self.seed, path=_stream(weight))
        return np.concatenate([self._by_scheme(p, words, count) for p in (weight, *biases)], axis=1)

    def _by_scheme(self, p: ParamSpec, words: int, count: int) -> Matrix:
        """The last rows that the scheme draws for a parameter of so many; a bias starts by its role."""
        sizes = {one.path: _sized(one, words) for one in self.spec.params if one.path == p.path}
        spec = ModelSpec(tuple(sizes.get(one.path, one) for one in self.spec.params))
        rules, _ = make_rules(spec, {escape(p.path): self.how} if p.role != "bias" else {})
        entry = make_plan(spec, rules, consent=Consent(reinit=True))[p.path]
        if entry.law is None:
            raise OptionError(f"{self.how} draws no rows for it: {entry.why}", where=p.native, fix="take another 'how'")
        place = 0 if p.axes is None else p.axes.outputs[0]
        drawn = draw(entry.law, entry.param.shape, seed=self.seed, path=_stream(p), dtype="float64")
        return np.moveaxis(drawn, place, 0)[-count:].reshape(count, -1).astype(np.float64)


def _sized(p: ParamSpec, words: int) -> ParamSpec:
    place = 0 if p.axes is None else p.axes.outputs[0]
    shape = (*p.shape[:place], words, *p.shape[place + 1 :])
    return replace(p, shape=shape, blocks=(), layer_shape=p.layer_shape and (words, *p.layer_shape[1:]))


def _stream(p: ParamSpec) -> str:
    """A name that no parameter has: the new rows are not those of a table that was drawn as large."""
    return f"{p.path}#new"


def _listed(tables: Sequence[ParamSpec]) -> str:
    more = f" and {len(tables) - _LISTED} more" if len(tables) > _LISTED else ""
    return ", ".join(p.native for p in tables[:_LISTED]) + more
