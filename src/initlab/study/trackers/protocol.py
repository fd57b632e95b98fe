"""What a tracker is: a sink of three methods, opened once for each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable
from urllib.parse import quote

from numpy.typing import NDArray

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
        id: The run's own name there, of hex digits; a run that is continued has the same.
        sent: The last epoch that an earlier session logged, which this one continues; -1 for none.
        learning_rate: That of its optimiser; None for what is no run.
        steps_an_epoch: Its optimiser's.
        channels_last: Whether the framework's convolutions have the axes of space first.
    """

    study: str
    name: str
    place: tuple[str, ...]
    config: Mapping[str, Any]
    folder: Path
    id: str = ""
    sent: int = -1
    learning_rate: float | None = None
    steps_an_epoch: int = 0
    channels_last: bool = True


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


@runtime_checkable
class ModelTracker(Tracker, Protocol):
    """A tracker that takes what the model itself holds, too, as far as a run is told while it trains."""

    def log_model(self, epoch: int, variables: Mapping[str, NDArray[Any]], graph: bytes) -> None:
        """Take weights by the framework's own names, and Keras' JSON of the layers; ``log`` of that epoch follows."""
        ...


Opener: TypeAlias = Callable[[TrackedRun], Tracker]

Open = TypeVar("Open", bound=Opener)

TRACKERS: Registry[Opener] = Registry("tracker", listing="initlab list trackers", group="initlab.trackers")
"""What opens each tracker, by name."""


def register_tracker(name: str, *, aliases: tuple[str, ...] = ()) -> Callable[[Open], Open]:
    """Make a class, or a function, the opener of a tracker, known by its name to ``compare(track=...)``.

    Args:
        name: The tracker's name.
        aliases: Other names.

    Returns:
        A decorator of ``opener(run: TrackedRun) -> Tracker``, which gives it back unchanged; the first line of its
        docstring is what ``initlab list trackers`` prints. The tracker has three methods: ``log(epoch, scalars,
        histograms)``, called while runs train, ``show(pictures, text)`` and ``close(summary)``. One that also has
        ``log_model(epoch, variables, graph)`` is given the weights; at most ``MOST_OPEN`` runs of it are open at once,
        where the opener has such an attribute.

    Raises:
        OptionError: The name is taken.

    Example:
        >>> @register_tracker("doctest_lines")
        ... class Lines:
        ...     '''A line an epoch, in ``lines.txt``.'''
        ...     def __init__(self, run):
        ...         self.file, self.lines = run.folder / "lines.txt", [run.name]
        ...     def log(self, epoch, scalars, histograms):
        ...         self.lines.append(f"{epoch}: {scalars}")
        ...     def show(self, pictures, text):
        ...         self.lines.append(text)
        ...     def close(self, summary):
        ...         self.file.write_text("".join(self.lines))
        >>> TRACKERS["doctest_lines"] is Lines
        True
    """

    def register(opener: Open) -> Open:
        TRACKERS.add(name, opener, aliases=aliases)
        return opener

    return register


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
