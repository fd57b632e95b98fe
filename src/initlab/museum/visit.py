"""A visit to the museum: an exhibit built, probed, told; a reader's mended copy judged."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass
from types import FunctionType
from typing import Literal, TypeAlias

from initlab.frameworks import FRAMEWORKS
from initlab.museum.exhibits import Exhibit
from initlab.probing.diagnosis import Diagnosis

Twin = Literal["broken", "mended"]
Part: TypeAlias = FunctionType | type


@dataclass(frozen=True)
class Verdict:
    """Whether a copy of an exhibit is mended.

    Attributes:
        exhibit: The exhibit.
        diagnosis: Of the copy, on the exhibit's batch.
        remaining: The exhibit's own findings that are still there.
    """

    exhibit: Exhibit
    diagnosis: Diagnosis
    remaining: tuple[str, ...]

    @property
    def mended(self) -> bool:
        """Whether the exhibit's findings are gone and no alarm took their place."""
        return not self.remaining and self.diagnosis.healthy

    def __str__(self) -> str:
        if self.mended:
            head = f"mended: exhibit {self.exhibit.number}, {self.exhibit.title.lower()}, is healthy now"
        elif self.remaining:
            head = f"not mended: still {' and '.join(self.remaining)}; {self.exhibit.mend}"
        else:
            head = f"not mended: {' and '.join(self.exhibit.finds)} is gone, but something else took its place"
        return "\n".join([*textwrap.wrap(head, 80, subsequent_indent="  "), "", str(self.diagnosis)])

    def to_dict(self) -> dict[str, object]:
        """The verdict as JSON-ready data."""
        found = {"exhibit": self.exhibit.number, "mended": self.mended, "remaining": list(self.remaining)}
        return {**found, "diagnosis": self.diagnosis.to_dict()}


def judged(exhibit: Exhibit, diagnosis: Diagnosis) -> Verdict:
    """Whether a reader's copy of an exhibit is mended.

    Args:
        exhibit: The exhibit.
        diagnosis: Of the copy, on the exhibit's batch.
    """
    return Verdict(exhibit, diagnosis, tuple(kind for kind in exhibit.finds if kind in diagnosis))


def built_twin(exhibit: Exhibit, twin: Twin, *, framework: str = "torch") -> object:
    """The model of an exhibit, or its healthy twin, the same at every call; every generator is left as it is.

    Raises:
        OptionError: The exhibit does not hang in the framework's museum.
    """
    adapter = FRAMEWORKS[framework].load()
    build = adapter.exhibit(f"{twin}_{exhibit.name}")
    with adapter.seeded(0):
        return build()


def source_of(exhibit: Exhibit, *, framework: str = "torch") -> str:
    """The code of the broken model: its function, and what that uses of the museum."""
    build = FRAMEWORKS[framework].load().exhibit(f"broken_{exhibit.name}")
    return "\n\n".join(inspect.getsource(part).rstrip() + "\n" for part in _parts(build)).rstrip()


def _parts(build: Part) -> list[Part]:
    """The function, and the functions and classes of the museum that it uses, and so on, each once."""
    found: list[Part] = []
    waiting = [build]
    while waiting:
        part = waiting.pop(0)
        if part in found:
            continue
        found.append(part)
        for name in _names(part):
            other = getattr(inspect.getmodule(part), name, None)
            if isinstance(other, FunctionType | type) and ".museum" in other.__module__:
                waiting.append(other)
    return found


def _names(part: Part) -> list[str]:
    """The names that a function, or the methods of a class, look up."""
    if isinstance(part, type):
        return [name for method in vars(part).values() if isinstance(method, FunctionType) for name in _names(method)]
    codes, names = [part.__code__], list[str]()
    while codes:
        code = codes.pop()
        names += code.co_names
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
    return names
