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
    """A row, and what its numbers are.

    Attributes:
        entry: The row.
        content: What tells its numbers from others: a digest, or the number that all entries are; empty where they
            were not read.
        is_own: Whether no other parameter can have these numbers by chance.
    """

    entry: AuditEntry
    content: str = ""
    is_own: bool = False


def with_clones(rows: Sequence[Examined], claims: Sequence[Claim]) -> list[AuditEntry]:
    """The rows, with those wrong whose numbers are another parameter's: two draws are never equal."""
    first: dict[str, AuditEntry] = {}
    entries = []
    for row, claim in zip(rows, claims, strict=True):
        entry = row.entry
        original = first.setdefault(row.content, entry) if row.is_own else entry
        if original is not entry and claim.law is not None:
            why = f"a clone: equal to {original.native or original.path} in every entry"
            why += f"; {entry.why}" if entry.verdict == "wrong" else ""
            entry = replace(entry, verdict="wrong", why=why, errors=math.inf)
        entries.append(entry)
    return entries


def cloned_layers(rows: Sequence[Examined]) -> list[str]:
    """Layers of one list that are equal in all their tensors, some of which are random."""
    layers: dict[tuple[str, int], dict[str, Examined]] = {}
    for row in rows:
        match = _LAYER.match(row.entry.native or row.entry.path)
        if match:
            layers.setdefault((match[1], int(match[2])), {})[match[3]] = row
    return [note for stem in {stem for stem, _ in layers} for note in _stem_notes(stem, layers)]


def _stem_notes(stem: str, layers: Mapping[tuple[str, int], Mapping[str, Examined]]) -> list[str]:
    groups: dict[tuple[tuple[str, str, bool], ...], list[int]] = {}
    for (name, number), held in layers.items():
        if name == stem:
            contents = sorted((leaf, row.content, row.is_own) for leaf, row in held.items())
            groups.setdefault(tuple(contents), []).append(number)
    return [
        f"the layers {stem}{numbers[0]} to {stem}{numbers[-1]} are clones: {len(held)} of {len(held)} tensors identical"
        for held, numbers in groups.items()
        if len(numbers) > 1 and any(is_own for _, _, is_own in held)
    ]
