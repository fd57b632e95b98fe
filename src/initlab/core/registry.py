"""Registries: one list per kind of thing, with aliases, "did you mean", and entry points from other packages."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Generic, TypeVar, cast

from initlab.core.errors import OptionError, PluginWarning, UnknownNameError
from initlab.core.factories import exits_raise, said

T = TypeVar("T")


class Registry(Generic[T]):
    """Named items of one kind. Names are matched without regard to case, ``-``, ``_`` and spaces.

    Args:
        kind: The singular noun of an error, e.g. ``"scheme"``.
        listing: The command that lists all of them.
        group: The entry-point group of other packages; each entry is imported when the items are listed or a name is
            not known, and registers its items by itself. One that cannot be imported is a ``PluginWarning``, and
            hides no other.

    Example:
        >>> colours = Registry[int]("colour")
        >>> colours.add("dark_red", 1, aliases=("maroon",))
        >>> colours["DarkRed"], colours["maroon"], list(colours)
        (1, 1, ['dark_red'])
    """

    def __init__(self, kind: str, *, listing: str = "", group: str = "") -> None:
        self.kind, self.listing, self.group = kind, listing, group
        self._items: dict[str, T] = {}
        self._keys: dict[str, str] = {}
        self._spelled: list[str] = []
        self._plugins_loaded = False

    def add(self, name: str, item: T, *, aliases: tuple[str, ...] = ()) -> None:
        """Add an item under its name and aliases.

        Raises:
            OptionError: One of the names is taken, by this registry's own items or by an earlier plug-in.
        """
        wanted: dict[str, str] = {}
        for spelled in (name, *aliases):
            wanted.setdefault(_key(spelled), spelled)
        for key, spelled in wanted.items():
            if key in self._keys:
                raise OptionError(
                    f"the {self.kind} name '{spelled}' is taken by '{self._keys[key]}'", fix="choose another name"
                )
        self._items[name] = item
        self._keys.update(dict.fromkeys(wanted, name))
        self._spelled += wanted.values()

    def canonical(self, name: str) -> str:
        """The registered name behind a name or alias.

        Raises:
            UnknownNameError: No item has that name; the nearest name or alias is offered.
        """
        key = _key(name)
        if key not in self._keys:
            self.load_plugins()
        if key not in self._keys:
            raise UnknownNameError(self.kind, name, self._spelled, listing=self.listing)
        return self._keys[key]

    def __getitem__(self, name: str) -> T:
        return self._items[self.canonical(name)]

    def __contains__(self, name: str) -> bool:
        if _key(name) not in self._keys:
            self.load_plugins()
        return _key(name) in self._keys

    def __iter__(self) -> Iterator[str]:
        self.load_plugins()
        return iter(self._items)

    def __len__(self) -> int:
        self.load_plugins()
        return len(self._items)

    def load_plugins(self) -> None:
        """Import, once, what other packages bring of this kind."""
        if self._plugins_loaded or not self.group:
            return
        self._plugins_loaded = True
        for entry in _installed().select(group=self.group):
            _load(entry)


@cache
def _installed() -> EntryPoints:
    return cast(EntryPoints, entry_points())  # before Python 3.12 its type has another name, and selects the same


def _load(entry: EntryPoint) -> None:
    try:
        with exits_raise():
            entry.load()
    except (Exception, SystemExit) as error:  # whatever a package of someone else's raises, the rest is there
        reason = said(error).splitlines()[0].rstrip(": ")
        home = f"{entry.dist.name}, {entry.value}" if entry.dist is not None else entry.value
        text = f"the plug-in '{entry.name}' of {entry.group} is left out ({home}): {reason}"
        warnings.warn(text, PluginWarning, stacklevel=2)


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def summary(thing: object) -> str:
    """The first line of a docstring; empty where there is none.

    Example:
        >>> summary(summary)
        'The first line of a docstring; empty where there is none.'
    """
    return (inspect.getdoc(thing) or "").split("\n", 1)[0]
