"""A lock: what every parameter of a model holds, so that a model built tomorrow can be held to it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np

from initlab._version import __version__
from initlab.auditing.audit import SAME, digest_of
from initlab.auditing.claims import Claim, check_same
from initlab.auditing.evidence import Level, misses
from initlab.auditing.grids import Values, grid_of
from initlab.auditing.likeness import nearest_law
from initlab.auditing.measures import broken_entries, moments
from initlab.core.draws.streams import DRAW_VERSION
from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws import Blocks, Constant, Law, Normal, Orthogonal, TruncatedNormal, Uniform
from initlab.core.laws.whole import matrix

FORMAT = "initlab-lock"
VERSION = 1
_OTHER = "other"
_SHARE = 0.5  # two samples differ by sqrt(2) of what one differs from its law
_FITS = Level(errors=3.2, share=_SHARE)  # how near the nearest family is to be, its std taken from the numbers

T = TypeVar("T")


@dataclass(frozen=True)
class LockedLaw:
    """What one block of a parameter holds.

    Attributes:
        family: ``constant``, ``normal``, ``uniform``, ``truncated_normal``, ``orthogonal``, or ``other``.
        mean: Of the entries; the value of a constant.
        std: Of the entries.
        excess: Excess kurtosis of the entries, where the family is ``other``.
    """

    family: str
    mean: float
    std: float
    excess: float = 0.0

    def law(self, shape: tuple[int, ...]) -> Law:
        """The law of that family, mean and std; the normal for ``other``."""
        if self.family == "constant":
            return Constant(self.mean)
        if self.family == "uniform":
            half = math.sqrt(3.0) * self.std
            return Uniform(self.mean - half, self.mean + half)
        if self.family == "truncated_normal":
            return TruncatedNormal.with_std(self.std, mu=self.mean)
        if self.family == "orthogonal":
            return Orthogonal(self.std * math.sqrt(max(matrix(shape))))
        return Normal(self.std, self.mean)


@dataclass(frozen=True)
class LockedParam:
    """What one parameter holds.

    Attributes:
        path: The canonical path.
        name: The framework's own name.
        shape: In the canonical layout.
        dtype: The narrowest type that holds its numbers.
        blocks: Sizes of packed blocks along axis 0.
        laws: A law for each block, one where nothing is packed, none for a parameter that is empty, tied or not read.
        digest: Of the numbers; empty where all are equal.
        tied_to: Path of the parameter whose memory it shares; empty where it has its own.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    blocks: tuple[int, ...]
    laws: tuple[LockedLaw, ...]
    digest: str
    tied_to: str = ""


@dataclass(frozen=True)
class Lock:
    """What every parameter of a model holds: family, std and digest; ``audit(model, lock)`` compares.

    Attributes:
        model: The model's class name.
        framework: Its framework.
        parameters: In the model's order.
        seed: The seed under which initlab last wrote into it; None where it did not.
        initlab: The version that made the lock.
        draws: The version of the draws.
    """

    model: str
    framework: str
    parameters: tuple[LockedParam, ...]
    seed: int | None = None
    initlab: str = __version__
    draws: int = DRAW_VERSION

    def __str__(self) -> str:
        seed = "no seed known" if self.seed is None else f"seed {self.seed}"
        return f"lock of {self.model} ({self.framework}): {len(self.parameters)} parameters, {seed}"

    def to_dict(self) -> dict[str, object]:
        """The lock as plain JSON data."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    def to_json(self) -> str:
        """The text of a lock file."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"


def make_lock(
    name: str, framework: str, spec: ModelSpec, read: Callable[[ParamSpec], Values], *, seed: int | None
) -> Lock:
    """The lock of a model's parameters, read one at a time.

    Raises:
        InitlabError: A parameter holds NaN or infinities.
    """
    locked = tuple(_lock_param(p, read) for p in spec.params)
    return Lock(name, framework, locked, seed)


def _lock_param(p: ParamSpec, read: Callable[[ParamSpec], Values]) -> LockedParam:
    name = p.native or p.path
    if p.tied_to is not None or not p.is_drawable or p.is_complex:
        return LockedParam(p.path, name, p.shape, "", (), (), "", p.tied_to or "")
    values = read(p)
    if broken_entries(values):
        raise InitlabError("a parameter with NaN or infinities is not locked", where=name, fix="mend the model first")
    digest = digest_of(values)
    rest = values if p.padding_row is None else np.delete(values, p.padding_row, axis=0)
    blocks = p.blocks if p.block_axis == 0 else ()  # of a stack, one law stands for all
    parts = np.split(rest, np.cumsum(blocks)[:-1]) if blocks else [rest]
    laws = tuple(_law(part) for part in parts) if rest.size else ()
    dtype = grid_of(values).name if digest else values.dtype.name
    return LockedParam(p.path, name, p.shape, dtype, blocks, laws, digest)


def _law(values: Values) -> LockedLaw:
    grid = grid_of(values)
    law = nearest_law(values, grid=grid)
    mean, std = law.mean(values.shape), law.std(values.shape)
    if not misses(values, law, grid=grid, level=_FITS):
        return LockedLaw(law.family, mean, std)
    first = moments(values)
    centred = values.astype(np.float64) - first.mean
    second = moments(values, first.mean).square
    return LockedLaw(_OTHER, first.mean, math.sqrt(second), float(np.mean((centred**2 / second) ** 2)) - 3.0)


def lock_claims(lock: Lock, spec: ModelSpec, *, exact: bool) -> list[Claim]:
    """The claims of a lock on a model.

    Args:
        lock: What was there.
        spec: The model's parameters, as they are now.
        exact: Whether the numbers themselves must be the same, and not their family, mean and std alone.

    Raises:
        OptionError: The lock is of another model; the first difference is named.
    """
    held = {locked.path: locked for locked in lock.parameters}
    check_same({path: locked.shape for path, locked in held.items()}, spec, source="lock")
    return [_claim(held[p.path], p, exact=exact) for p in spec.params]


def _claim(locked: LockedParam, p: ParamSpec, *, exact: bool) -> Claim:
    if not locked.laws:
        return Claim(p, "keep", None, "nothing was locked of it", tied=locked.tied_to, path=p.path, kept="untested")
    if locked.blocks:
        shapes = [(size, *locked.shape[1:]) for size in locked.blocks]
        laws = tuple(one.law(shape) for one, shape in zip(locked.laws, shapes, strict=True))
        law: Law = Blocks(laws, locked.blocks)
    else:
        law = locked.laws[0].law(locked.shape)
    unknown = [one.excess for one in locked.laws if one.family == _OTHER]
    return Claim(
        p,
        "initialise",
        law,
        "as it was locked",
        tied=locked.tied_to,
        share=_SHARE,
        excess=max(unknown) if unknown else None,
        digest=(locked.digest or SAME) if exact else "",
        path=p.path,
    )


# Reading


def read_lock(text: str, *, where: str) -> Lock:
    """The lock in the text of a lock file.

    Args:
        text: JSON.
        where: The file's name, for errors.

    Raises:
        OptionError: Not a lock file, a damaged one, or one of a newer initlab.
    """
    fix = "make it again with initlab lock"
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"not a lock file: {error}", where=where, fix=fix) from None
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise OptionError("not a lock file of initlab", where=where, fix=fix)
    if data.get("version") != VERSION:
        raise OptionError(
            f"a lock file of version {data.get('version')}, this initlab reads {VERSION}", where=where, fix=fix
        )
    try:
        parameters = tuple(_param(one) for one in _list(data["parameters"]))
        seed = data["seed"]
        return Lock(
            _check_type(data["model"], str),
            _check_type(data["framework"], str),
            parameters,
            None if seed is None else _check_type(seed, int),
            _check_type(data["initlab"], str),
            _check_type(data["draws"], int),
        )
    except (KeyError, TypeError, ValueError, InitlabError) as error:
        raise OptionError(f"a damaged lock file: {type(error).__name__} {error}", where=where, fix=fix) from None


def _param(data: object) -> LockedParam:
    row = _check_type(data, dict)
    laws = tuple(_locked_law(one) for one in _list(row["laws"]))
    shape, blocks = _whole(row["shape"]), _whole(row["blocks"])
    if laws and (len(laws) != max(len(blocks), 1) or (blocks and sum(blocks) != shape[0])):
        raise ValueError(f"'{row['path']}' has {len(laws)} laws for its blocks")
    words = {key: _check_type(row[key], str) for key in ("path", "name", "dtype", "digest", "tied_to")}
    return LockedParam(shape=shape, blocks=blocks, laws=laws, **words)


def _locked_law(data: object) -> LockedLaw:
    row = _check_type(data, dict)
    mean, std, excess = (float(row[key]) for key in ("mean", "std", "excess"))
    if not all(map(math.isfinite, (mean, std, excess))):
        raise ValueError("a number is not finite")
    return LockedLaw(_check_type(row["family"], str), mean, std, excess)


def _whole(data: object) -> tuple[int, ...]:
    return tuple(_check_type(n, int) for n in _list(data))


def _list(data: object) -> Sequence[object]:
    return _check_type(data, list)


def _check_type(data: object, kind: type[T]) -> T:
    if not isinstance(data, kind) or isinstance(data, bool):
        raise TypeError(f"{data!r} is no {kind.__name__}")
    return data
