"""What a tracker is: a sink of three methods, opened once for each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

from initlab.core.registry import Registry
from initlab.core.training.protocol import Histogram

LONGEST = 120


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run before its numbers.

    Attributes:
        study: The study's name, which groups its runs.
        name: The run's own, e.g. ``"he_normal, seed 3"``.
        place: The parts of its name, each a safe part of a path, e.g. ``("he_normal", "seed-3")``.
        config: What was asked, as JSON-ready data.
        folder: The study's folder.
    """

    study: str
    name: str
    place: tuple[str, ...]
    config: Mapping[str, Any]
    folder: Path


class Tracker(Protocol):
    """A sink that a run's numbers flow into."""

    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        """Take one epoch's finite numbers by name, and its histograms by name."""
        ...

    def show(self, pictures: Mapping[str, bytes], text: str) -> None:
        """Take pictures by name, each the bytes of a PNG file, and a text for people."""
        ...

    def close(self, summary: Mapping[str, float | str]) -> None:
        """Take the final numbers; afterwards everything is on the disk."""
        ...


Opener: TypeAlias = Callable[[TrackedRun], Tracker]

TRACKERS: Registry[Opener] = Registry("tracker", group="initlab.trackers")
"""What opens each tracker, by name."""


def path_part(name: str) -> str:
    """A name as one part of a path: never a folder above, never hidden, two names never the same.

    Example:
        >>> path_part("uniform(low=-0.05, high=0.05)"), path_part("../etc")
        ('uniform(low=-0.05, high=0.05)', '%2E.%2Fetc')
    """
    coded = quote(name, safe="(),= ")
    if coded.endswith(" "):  # a space at the end is dropped by some file systems
        coded = coded[:-1] + "%20"
    coded = "%2E" + coded[1:] if coded.startswith(".") else coded or "%"
    if len(coded) <= LONGEST:
        return coded
    return f"{coded[: LONGEST - 33]}~{blake2b(name.encode(), digest_size=16).hexdigest()}"
