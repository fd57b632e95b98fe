"""Errors that a person can act on: what was asked, where, how to mend it, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def as_text(words: str) -> str:
    r"""The words with control characters, and others that nobody sees, spelled out.

    Example:
        >>> print(as_text("he\x1b[31m_normal"))
        he\x1b[31m_normal
    """
    if words.isprintable():
        return words
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in words)


class InitlabError(Exception):
    """The base of every error that initlab raises on purpose.

    Its text is one line, ``WHAT (WHERE): FIX``, with the parts that are empty left out.

    Args:
        what: What was asked for or found, e.g. ``"seeds must be 1 or more, got 0"``.
        where: The place: an option, a file, a parameter's path.
        fix: What to do about it.
        shown: Lines to paste, which a command prints below the text.

    Example:
        >>> print(InitlabError("seeds must be 1 or more, got 0", where="--seeds", fix="give a positive number"))
        seeds must be 1 or more, got 0 (--seeds): give a positive number
    """

    exit_code: int = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "", shown: tuple[str, ...] = ()) -> None:
        self.what, self.where, self.fix, self.shown = what, where, fix, shown
        text = what + (f" ({where})" if where else "") + (f": {fix}" if fix else "")
        super().__init__(as_text(" ".join(text.split())))


class UnknownNameError(InitlabError):
    """A name that no registry holds; the nearest known name is offered."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, listing: str = "") -> None:
        near = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=1, cutoff=0.5)
        spelled = {k.lower(): k for k in known}
        hint = f"Did you mean '{spelled[near[0]]}'? " if near else ""
        tail = f"All of them: {listing}" if listing else f"Known: {', '.join(sorted(known))}"
        super().__init__(f"unknown {kind} '{name}'", fix=hint + tail)


class OptionError(InitlabError):
    """An option that does not exist, or a value outside its range."""


class UnsupportedError(OptionError):
    """What a framework cannot do: the text names the framework, the fix another way."""


class ShapeError(InitlabError):
    """A scheme or law on a shape, or a model on an input, that it cannot take."""


class DataError(InitlabError):
    """A data set that is missing, torn, or not the one it says it is."""


class MissingDependencyError(InitlabError):
    """An optional package that is not installed; the fix names the extra that holds it."""


class StoreError(InitlabError):
    """A result store that is damaged, or written by a newer initlab."""

    exit_code = 4


class ResourceError(InitlabError):
    """A resource that gave out (disk, memory, time); what was finished is kept and can be resumed."""

    exit_code = 5


class DrawingError(ResourceError):
    """A picture that cannot be drawn: too large, or fonts are missing."""


class IncompleteError(InitlabError):
    """A strict plan that leaves more of the trainable numbers as they are than anybody asked for."""


class UnwrittenError(InitlabError):
    """A plan that keeps numbers which no weight holds: memory that nobody wrote."""


class IncompleteWarning(UserWarning):
    """More of the trainable numbers keep the values they hold than anybody asked for.

    Args:
        text: How many, in which parameters, and why.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)


class PictureWarning(UserWarning):
    """A picture that could not be drawn is missing; the numbers that it would show are there."""


class PluginWarning(UserWarning):
    """A plug-in that could not be imported: what it brings is missing, and all else is there."""


class ChangedWarning(UserWarning):
    """Stored runs are taken that were made by another patch release, or on another processor."""
