"""Does every parameter of a model hold what was declared? One tensor at a time, with the error of its size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from initlab.auditing.claims import Claim
from initlab.auditing.clones import Examined, cloned_layers, with_clones
from initlab.auditing.evidence import (
    TESTS,
    Level,
    Miss,
    family_wise,
    is_random,
    misses,
    random_parts,
)
from initlab.auditing.grids import Grid, Values, grid_of
from initlab.auditing.likeness import looks_like
from initlab.auditing.measures import broken_entries, moments, orthogonal_tolerance, spread
from initlab.auditing.records import Audit, AuditEntry, Verdict
from initlab.core.facts.garbage import garbage
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws import Arranged, Blocks, Law, Normal, Orthogonal, TruncatedNormal, Uniform
from initlab.core.laws.complex import Complex, halves
from initlab.core.laws.draw import draw

CHANCE = 5e-4
"""Probability that anything at all is called wrong in a model that was drawn as declared, over all its tests."""

SAME = "constant"
"""In a lock, the digest of numbers that are all equal: their value says it all."""

_FEWEST = 8  # entries that are never equal by chance, in bfloat16 either

Read = Callable[[ParamSpec], Values]


@dataclass(frozen=True)
class Bench:
    """What the rows of one audit share: how to read, the level, the seed, and names by path."""

    read: Read
    level: Level
    seed: int | None
    names: Mapping[str, str]


def audit_claims(
    name: str,
    declared: str,
    spec: ModelSpec,
    claims: Sequence[Claim],
    read: Read,
    *,
    seed: int | None = None,
    errors: float = 4.0,
) -> Audit:
    """The audit of a model's parameters, read one at a time.

    Each random part of a tensor is tested in mean, std and family. A test fails beyond ``errors`` standard errors, or
    beyond those at which all tests of a healthy model together fail with probability ``CHANCE``, whichever is more:
    the 4.0 of a single tensor's three tests become 4.6 for the 50 random ones among GPT-2's 148.

    Args:
        name: The model's.
        declared: What it is held to, in words.
        spec: Every parameter.
        claims: One for each parameter, in the same order.
        read: A parameter's values in the canonical layout.
        seed: The seed of the draw, where the numbers themselves are to be compared.
        errors: Standard errors that a single test is allowed.

    Returns:
        The audit.
    """
    tests = TESTS * sum(random_parts(c.law, c.param.shape) for c in claims if c.law is not None and c.param.size)
    names = {p.path: p.native or p.path for p in spec.params}
    bench = Bench(read, Level(family_wise(errors, tests, chance=CHANCE)), seed, names)
    rows = [_examine(claim, bench) for claim in claims]
    return Audit(name, declared, tuple(with_clones(rows, claims)), tuple(cloned_layers(rows)), bench.level.errors)


# One parameter


def _examine(claim: Claim, bench: Bench) -> Examined:
    p = claim.param
    tie = _tie_verdict(claim, bench.names)
    if tie is not None:
        return Examined(tie, p.tied_to or "")
    if not p.is_drawable:
        return Examined(_entry(claim, "not read", "kept", claim.why))
    values = bench.read(p)
    if p.is_complex:
        return Examined(_judge_complex(claim, values, bench))
    digest = digest_of(values)
    content = digest or (repr(float(values.flat[0])) if values.size else "")
    if claim.law is None:
        return Examined(_judge_kept(claim, values), content, _is_own(digest, claim))
    if not values.size:
        return Examined(_entry(claim, "empty", "ok", "no entries"))
    return Examined(_judge_draw(claim, values, digest, bench), content, _is_own(digest, claim))


def _judge_draw(claim: Claim, values: Values, digest: str, bench: Bench) -> AuditEntry:
    """The row of a parameter that was to be drawn from a law."""
    assert claim.law is not None
    grid = grid_of(values)
    level = replace(bench.level, share=claim.share, excess=claim.excess)
    facts, rest = _facts(claim, values, grid, bench, digest)
    off = misses(rest, claim.law, grid=grid, level=level)
    found = [*facts, *off]
    if not found:
        return _entry(claim, _size_words(values), "ok", claim.why)
    if found[0].kind == "unknown law":
        return _entry(claim, _size_words(values), "unknown", found[0].words)
    depth = _depth_words(claim, rest, grid, level)
    others = [miss.words for miss in found[1:2] if miss.kind != found[0].kind and not depth]
    why = "; ".join([found[0].words + (f": {depth}" if depth else ""), *others])
    looks = looks_like(rest, claim.param, grid=grid) if off else f"the law, {_size_words(rest)}"
    return _entry(claim, looks, "wrong", why, errors=found[0].errors)


def _judge_complex(claim: Claim, values: Values, bench: Bench) -> AuditEntry:
    """The row of a complex parameter: its parts are held against the law of either, its squares are ``|w|^2``."""
    law, parts = claim.law, halves(values)
    size = f"rms {math.sqrt(float(np.mean(np.square(parts, dtype=np.float64))) * 2.0):.4g}" if values.size else "empty"
    if law is None:
        return _entry(claim, size, "kept", claim.why)
    if bench.seed is not None or not isinstance(law, Complex):
        kind = "float64" if values.dtype == np.complex128 else "float32"
        drawn = draw(law, values.shape, seed=bench.seed or 0, path=claim.path, dtype=kind).astype(values.dtype)
        if claim.param.padding_row is not None:
            drawn[claim.param.padding_row] = 0.0
        near = 0.0 if law.elementwise else 1e-5 * float(np.abs(drawn).max(initial=0.0))
        off = int(np.count_nonzero(~(np.abs(values - drawn) <= near)))
        if off or not isinstance(law, Complex):
            said = f"{off} of {values.size} entries are not those of " + (
                f"seed {bench.seed}" if isinstance(law, Complex) else "the law"
            )
            return _entry(claim, size, "wrong" if off else "ok", said if off else claim.why)
    half = scaled(law.base, math.sqrt(0.5)) if law.elementwise else None
    if half is None:
        return _entry(claim, size, "unknown", "no test tells a complex law that is not drawn entry by entry")
    level = replace(bench.level, share=claim.share, excess=claim.excess)
    kept = parts if claim.param.padding_row is None else np.delete(parts, claim.param.padding_row, axis=1)
    found = misses(kept, half, grid=grid_of(kept), level=level)
    if found:
        return _entry(claim, size, "wrong", f"of the two parts: {found[0].words}", errors=found[0].errors)
    return _entry(claim, size, "ok", claim.why)


def _is_own(digest: str, claim: Claim) -> bool:
    """Whether no other parameter can have these numbers by chance."""
    is_drawn = claim.law is None or is_random(claim.law, claim.param.shape)
    return bool(digest) and is_drawn and claim.param.size >= _FEWEST


def _entry(claim: Claim, found: str, verdict: Verdict, why: str, *, errors: float = 0.0) -> AuditEntry:
    p = claim.param
    said = "kept as it is" if claim.law is None else str(claim.law)
    unjudged = (claim.kept or "untested") if verdict in ("kept", "unknown") else None
    return AuditEntry(p.path, p.native, said, found, verdict, why, errors, p.size, unjudged)


def _tie_verdict(claim: Claim, names: Mapping[str, str]) -> AuditEntry | None:
    """The row of a parameter that shares memory, or was to; None for one that has its own, as it should."""
    p = claim.param
    if not claim.tied and p.tied_to is None:
        return None
    wanted = names.get(claim.tied or "", claim.tied or "")
    found = names[p.tied_to] if p.tied_to is not None else ""
    said = f"the memory of {wanted}" if wanted else "memory of its own" if claim.tied is not None else "kept as it is"
    seen = f"the memory of {found}" if found else "memory of its own"
    if claim.tied is None:
        return AuditEntry(p.path, p.native, said, seen, "kept", f"tied to {found}", unjudged="tied")
    if claim.tied == (p.tied_to or ""):
        return AuditEntry(p.path, p.native, said, seen, "ok", "shares its memory, as declared")
    why = f"shares the memory of {found}, and was not to" if found else f"shares no memory, and was to: {wanted}"
    return AuditEntry(p.path, p.native, said, seen, "wrong", why, math.inf)


def _judge_kept(claim: Claim, values: Values) -> AuditEntry:
    """Of what is kept, and of what no law could be made for, only broken numbers are wrong."""
    if claim.action == "refuse":
        return _entry(claim, _size_words(values), "unknown", claim.why)
    broken = broken_entries(values)
    if broken:
        return _entry(claim, _size_words(values), "wrong", f"{broken} entries are NaN or infinite", errors=math.inf)
    number = garbage(values, is_written=claim.param.is_written, frozen=claim.param.frozen)
    if number is not None:
        why = f"it holds {number:.3g}: memory that nobody initialised"
        return _entry(claim, _size_words(values), "wrong", why, errors=math.inf)
    return _entry(claim, _size_words(values), "kept", claim.why)


def _size_words(values: Values) -> str:
    if not values.size:
        return "empty"
    if broken_entries(values):
        return "NaN or infinities"
    found = moments(values)
    if found.low == found.high:
        return f"constant {found.low:.4g}"
    return f"std {spread(found, values):.4g}"


def _facts(claim: Claim, values: Values, grid: Grid, bench: Bench, digest: str) -> tuple[list[Miss], Values]:
    """What is wrong whatever the law, and the values that the law is held against.

    A padding row is to be zero, and is then no part of the draw.
    """
    assert claim.law is not None
    found: list[Miss] = []
    if claim.digest and claim.digest != (digest or SAME):
        found.append(Miss("value", "the numbers are others than those that were locked"))
    rest, padding = values, claim.param.padding_row
    if padding is not None:
        if values[padding].any():
            found.append(Miss("zeros", f"the padding row {padding} is not zero"))
        elif claim.law.elementwise:
            rest = np.delete(values, padding, axis=0)
    if bench.seed is not None:
        found += _other_draw(claim, values, grid, bench.seed, padding)
    return found, rest


def _other_draw(claim: Claim, values: Values, grid: Grid, seed: int, padding: int | None) -> list[Miss]:
    """Entries that are not those of the seed; bit for bit, but for what goes through BLAS or is computed."""
    assert claim.law is not None
    dtype = "float64" if grid.name == "float64" else "float32"
    wanted = grid.rounded(draw(claim.law, values.shape, seed=seed, path=claim.path, dtype=dtype).astype(np.float64))
    if padding is not None:
        wanted[padding] = 0.0
    is_exact = claim.law.elementwise and not claim.param.parts
    near = 0.0 if is_exact else orthogonal_tolerance(grid) * float(np.abs(wanted).max(initial=0.0))
    off = int(np.count_nonzero(~(np.abs(values - wanted) <= near)))
    return [Miss("value", f"{off} of {values.size} entries are not those of seed {seed}")] if off else []


def digest_of(values: Values) -> str:
    """BLAKE2b over shape, type and canonical bytes, 32 hex digits; empty where all entries are equal.

    Example:
        >>> digest_of(np.zeros(3)), len(digest_of(np.arange(3.0)))
        ('', 32)
    """
    flat = values.reshape(-1)
    if not flat.size or (bool((flat[:_FEWEST] == flat[0]).all()) and bool((flat == flat[0]).all())):
        return ""
    head = f"{values.shape} {values.dtype.name}".encode()
    return blake2b(
        np.ascontiguousarray(values).data, digest_size=16, key=blake2b(head, digest_size=16).digest()
    ).hexdigest()


# What is wrong, in words


def _depth_words(claim: Claim, values: Values, grid: Grid, level: Level) -> str:
    """Whether the numbers are those of the law without its factor for depth, or with the factor twice."""
    scale = claim.depth
    if scale is None or claim.law is None or not is_random(claim.law, claim.param.shape):
        return ""
    never, twice = ("never got its", "got twice its") if scale.is_declared else ("larger by 1 over", "smaller by")
    for factor, words in ((1.0 / scale.factor, never), (scale.factor, twice)):
        law = scaled(claim.law, factor)
        if law is not None and not misses(values, law, grid=grid, level=level):
            return f"{words} {scale.words}"
    return ""


def scaled(law: Law, factor: float) -> Law | None:
    """The law of entries times ``factor``; None for a law that has no scale.

    Example:
        >>> print(scaled(Normal(0.02), 0.5))
        N(0, 0.01^2)
    """
    if isinstance(law, Normal | TruncatedNormal):
        return replace(law, sigma=law.sigma * factor, mu=law.mu * factor)
    if isinstance(law, Uniform):
        return Uniform(law.low * factor, law.high * factor)
    if isinstance(law, Orthogonal):
        return replace(law, gain=law.gain * factor)
    if isinstance(law, Arranged):
        inner = scaled(law.law, factor)
        return None if inner is None else replace(law, law=inner)
    if isinstance(law, Blocks):
        parts = [scaled(part, factor) for part in law.parts]
        known = tuple(part for part in parts if part is not None)
        return replace(law, parts=known) if len(known) == len(parts) else None
    return None
