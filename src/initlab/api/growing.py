"""The verb of models that become larger and compute the same: grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from initlab.api.deepening import counts, deepen, wanted_depths
from initlab.api.growth_checks import Attempt
from initlab.core.adapter import Adapter
from initlab.core.errors import OptionError
from initlab.core.growth.tape import Array
from initlab.core.growth.units import units
from initlab.core.growth.widening import Split, Widths, restated, told, widened, widths
from initlab.frameworks import adapter_for

M = TypeVar("M")
Factor: TypeAlias = "float | Mapping[str, int]"

_BOUNDS = {"float64": 1e-10, "float32": 1e-5}


@dataclass(frozen=True, eq=False)
class Growth(Generic[M]):
    """A larger model that computes the same.

    Attributes:
        model: The new model.
        error: The largest difference of an output on the example, over the largest output.
        bound: What it may be.
        rows: What grew, in words.
        stated: Numbers that the model's own objects state and that were set: ``name: before to after``.
        unsure: Numbers that may state a size as well, and that neither the outputs nor a model built anew from its
            configuration need: they stay as they were.
    """

    model: M
    error: float
    bound: float
    rows: tuple[str, ...]
    stated: tuple[str, ...]
    unsure: tuple[str, ...]

    def __str__(self) -> str:
        lines = [*self.rows, *(f"set {one}" for one in self.stated), *(f"left {one}" for one in self.unsure)]
        return "\n".join([*lines, f"largest difference of an output: {self.error:.2g} (bound {self.bound:.0e})"])


def grow(model: M, width: Factor = 1, depth: Factor = 1, *, example: object, split: Split = "unequal") -> Growth[M]:
    """A new, larger model that computes the same; the old one stays as it is.

    Each new unit is a copy of an old one, and what takes it shares its weights between the copies (Net2Net, Chen,
    Goodfellow & Shlens 2015, arXiv 1511.05641). Which axes grow together is read off one pass of the example: units of
    a residual stream with all that reads and writes it, channels through norms and pools, heads of attention as a
    whole. Where a mean is taken over units, as by layer norm, only multiples of their number are exact. The new model
    is checked on the example before it is returned.

    Args:
        model: A PyTorch or Flax model, or a Keras model on JAX.
        width: A factor for all hidden units and heads; or by glob of parameters, how many units the matched layers are
            to have, with all that goes along.
        depth: A whole factor for all lists of blocks, or blocks by glob of lists. A copy of a residual block begins
            with zeros at the end of its branch, one of a layer before a ReLU as the identity; what is not exact so is
            refused.
        example: An input, or a tuple of inputs: the pass is read and checked on it.
        split: ``"unequal"``: copies give 1/3 and 2/3 of what a unit gave, so that they get unequal gradients and part.
            ``"equal"``: halves, whose copies stay copies for ever (Chen et al. add noise instead).

    Returns:
        The new model, its error on the example, and what grew.

    Raises:
        OptionError: A width that is none, a pattern that nothing matches, units that cannot grow, or a pass that cannot
            be followed.
        ShapeError: What was made is not exact. Nothing is half made: there is no new model then.

    Example:
        >>> from torch import nn, ones
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        >>> grown = grow(net, {"0.weight": 9}, example=ones(1, 3))
        >>> grown.model[0], grown.error < 1e-6
        (Linear(in_features=3, out_features=9, bias=True), True)
    """
    if split not in ("unequal", "equal"):
        raise OptionError(f"unknown split '{split}'", where="split", fix="'unequal' or 'equal'")
    adapter = adapter_for(model)
    before = adapter.evaluated(model, example)
    bound = max(_BOUNDS.get(str(one.dtype), 1e-2) for one in before)
    made, error, rows = model, 0.0, list[str]()
    said: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    if width != 1:
        found = widths(units(adapter.tape(model, example)))
        wanted = _wanted(found, width)
        variants = [
            _wider(adapter, model, found, wanted, split, some)
            for some in _dividers(found, wanted, adapter.state(model))
        ]
        attempt = Attempt(model, adapter, example, before, bound)
        made, error, *told_of = attempt.exact(variants, restated(found, wanted), "width")
        said.append((told_of[0], told_of[1]))
        rows += [f"{told(found.groups[n])}: {size}" for n, size in wanted.items()]
    if depth != 1:
        deeper = wanted_depths(made, adapter, depth, example)
        attempt = Attempt(made, adapter, example, before, bound)
        made, error, *told_of = attempt.exact([partial(deepen, adapter, deeper, example)], counts(deeper), "depth")
        said.append((told_of[0], told_of[1]))
        rows += [f"{one.path or 'the model'}: {one.before} blocks become {one.after}" for one in deeper]
    if not rows:
        raise OptionError("nothing is to grow", where="width, depth", fix="give a factor above 1, e.g. width=2")
    return Growth(
        made, error, bound, tuple(rows), *(tuple(n for some in part for n in some) for part in zip(*said, strict=True))
    )


def _wider(
    adapter: Adapter, model: M, found: Widths, wanted: Mapping[int, int], split: Split, dividers: Sequence[str]
) -> Callable[[M], None]:
    def enlarge(made: M) -> None:
        held = adapter.state(model)
        names = dict(zip(held, adapter.state(made), strict=True))
        arrays = widened(found, wanted, held, split, dividers)
        adapter.resize(made, {names[name]: array for name, array in arrays.items()})

    return enlarge


def _wanted(found: Widths, width: Factor) -> dict[int, int]:
    """By the number of a group, the units that it is to have."""
    if isinstance(width, Mapping):
        return _by_pattern(found, width)
    if isinstance(width, bool) or not isinstance(width, int | float) or not math.isfinite(width) or width < 1:
        raise OptionError(f"a width grows by a factor of 1 or more, got {width!r}", where="width", fix="e.g. width=2")
    sizes = {n: round(group.size * width) for n, group in enumerate(found.groups) if not group.refusal}
    spare = _inside_heads(found)
    return {n: _evened(found, n, s) for n, s in sizes.items() if s > found.groups[n].size and n not in spare}


def _inside_heads(found: Widths) -> set[int]:
    """Groups of a second axis that a parameter makes beside a wider group: entries of a head, where heads grow."""
    made: dict[str, set[int]] = {}
    for place in found.units.made:
        made.setdefault(place[0], set()).update(run.group for run in found.runs[place] if run.group is not None)
    apart = [
        {n for n in groups if not found.groups[n].refusal}
        for name, groups in made.items()
        if sum(name == other for other, _ in found.units.made) > 1
    ]
    return {n for groups in apart for n in groups if n != max(groups, key=lambda n: len(found.groups[n].axes))}


def _by_pattern(found: Widths, width: Mapping[str, int]) -> dict[int, int]:
    wanted: dict[int, int] = {}
    for pattern, size in width.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise OptionError(f"a layer has 1 or more units, got {size!r}", where=pattern, fix="give a whole number")
        places = [place for place in found.runs if fnmatchcase(place[0], pattern)]
        made = [place for place in places if place in found.units.made and len(found.runs[place]) == 1]
        if not places:
            raise OptionError(f"the pattern '{pattern}' matches no parameter", where="width")
        grown = [(place, run, n) for place in made for run in found.runs[place] if (n := run.group) is not None]
        if not grown:
            why = next((w for p in places for u in found.units.of[p].tolist() if (w := found.units.fixed.get(u))), "")
            raise OptionError(f"the units of '{pattern}' cannot grow: {why or 'they were not followed'}", where="width")
        for place, run, n in grown:
            group, one = found.groups[n], run.outer * run.inner
            if group.refusal:
                raise OptionError(f"{told(group)} cannot grow: {group.refusal}", where=pattern)
            if size % one or size // one < group.size:
                least, step = group.size * one, one
                raise OptionError(
                    f"{place[0]} takes {least} units or more, in steps of {step}; got {size}", where="width"
                )
            if wanted.setdefault(n, size // one) != size // one:
                raise OptionError(f"{told(group)} are to be {wanted[n]} and {size // one}", where=pattern)
            _evened(found, n, size // one)
    return {n: size for n, size in wanted.items() if size > found.groups[n].size}


def _evened(found: Widths, n: int, size: int) -> int:
    group = found.groups[n]
    if group.is_evened and size % group.size:
        raise OptionError(
            f"a mean is taken over {told(group)}, as by layer norm, and {size} is no multiple of {group.size}: some"
            f" would count {size // group.size + 1} times and others {size // group.size}",
            where="width",
            fix=f"give {math.ceil(size / group.size) * group.size}",
        )
    return size


def _dividers(found: Widths, wanted: Mapping[int, int], held: Mapping[str, Array]) -> Iterator[Sequence[str]]:
    """What gives copies their shares before a table that is its own head: each norm, the last first."""
    shared = [place for place in found.shared if any(run.group in wanted for run in found.runs[place])]
    if not shared:
        yield ()
        return
    groups = {run.group for place in shared for run in found.runs[place]}
    lines = [
        name
        for (name, axis), runs in found.runs.items()
        if len(held[name].shape) == 1 and any(run.group in groups for run in runs)
    ]
    homes = dict.fromkeys(name.rpartition(".")[0] or name.rpartition("/")[0] for name in lines)
    for home in reversed(homes):
        yield [name for name in lines if home in (name.rpartition(".")[0], name.rpartition("/")[0])]
