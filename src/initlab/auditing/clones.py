"""Parameters that are equal, and layers of a list that are copies of one another."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from initlab.auditing.claims import Claim
from initlab.auditing.records import AuditEntry

_LAYER = re.compile(r"^(.*?[./])(\d+)([./].*)$")


@dataclass(frozen=True)
class Examined:
    """A row, and what its numbers are: the digest is empty where they are constant."""

    entry: AuditEntry
    digest: str


def with_clones(rows: Sequence[Examined], claims: Sequence[Claim]) -> list[AuditEntry]:
    """The rows, with those wrong whose numbers are another parameter's: two draws are never equal."""
    first: dict[str, AuditEntry] = {}
    entries = []
    for row, claim in zip(rows, claims, strict=True):
        entry = row.entry
        original = first.setdefault(row.digest, entry) if row.digest else entry
        if original is not entry and claim.law is not None:
            why = f"a clone: equal to {original.native or original.path} in every entry"
            why += f"; {entry.why}" if entry.verdict == "wrong" else ""
            entry = replace(entry, verdict="wrong", why=why, errors=math.inf)
        entries.append(entry)
    return entries


def cloned_layers(rows: Sequence[Examined]) -> list[str]:
    """Layers of one list that are equal in all their tensors, some of which are random."""
    layers: dict[tuple[str, int], dict[str, str]] = {}
    for row in rows:
        match = _LAYER.match(row.entry.native or row.entry.path)
        if match:
            held = row.digest or row.entry.found
            layers.setdefault((match[1], int(match[2])), {})[match[3]] = held
    return [note for stem in {stem for stem, _ in layers} for note in _stem_notes(stem, layers)]


def _stem_notes(stem: str, layers: Mapping[tuple[str, int], Mapping[str, str]]) -> list[str]:
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for (name, number), held in layers.items():
        if name == stem:
            groups.setdefault(tuple(sorted(held.items())), []).append(number)
    return [
        f"the layers {stem}{numbers[0]} to {stem}{numbers[-1]} are clones: {len(held)} of {len(held)} tensors identical"
        for held, numbers in groups.items()
        if len(numbers) > 1 and any(re.fullmatch(r"[0-9a-f]{32}", value) for _, value in held)
    ]
