"""Names on their way out: they work until the version that they name, and say so when they are used."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from initlab._version import __version__
from initlab.core.errors import OptionError

P = ParamSpec("P")
R = TypeVar("R")


class InitlabDeprecationWarning(FutureWarning):
    """A name was used that a later version does not have; Python shows it by default, since users must act."""


def deprecated(*, since: str, removal: str, instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the function works as before and warns once a line that calls it.

    A test fails from the version of removal on, so that no such function outlives what was promised.

    Args:
        since: The first version that warns, e.g. ``"0.2.0"``.
        removal: The first version without it; a later minor version at least.
        instead: What to write in its place, as a user types it.

    Raises:
        OptionError: The removal is not later than the first warning.

    Example:
        >>> @deprecated(since="0.2.0", removal="0.4.0", instead="initlab.plan(model)")
        ... def describe(model):
        ...     return "a plan"
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     describe(None)
        'a plan'
        >>> print(caught[0].message)
        describe is deprecated since initlab 0.2.0 and goes in 0.4.0: write initlab.plan(model)
    """
    if parts(since) >= parts(removal):
        raise OptionError(f"removal {removal} is not later than since {since}", fix="name a later version of removal")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        text = f"{function.__qualname__} is deprecated since initlab {since} and goes in {removal}: write {instead}"

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            warnings.warn(text, InitlabDeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        return call

    return decorate


def is_due(removal: str, version: str = __version__) -> bool:
    """Whether a version has reached the version of removal.

    Example:
        >>> is_due("0.4.0", "0.3.9"), is_due("0.4.0", "0.4.0"), is_due("0.4.0", "0.10.0")
        (False, True, True)
    """
    return parts(version) >= parts(removal)


def parts(version: str) -> tuple[int, ...]:
    """The numbers of a version, to compare versions by.

    Raises:
        OptionError: Not numbers joined by dots.
    """
    numbers = version.split(".")
    if not all(number.isdecimal() for number in numbers):
        raise OptionError(f"'{version}' is no version", fix="write numbers with dots, as in 0.2.0")
    return tuple(map(int, numbers))
