"""Registries: one list per kind of thing, with aliases, "did you mean", and entry points from other packages."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from initlab.core.errors import OptionError, UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named items of one kind. Names are matched without regard to case, ``-`` and ``_``.

    Args:
        kind: The singular noun of an error, e.g. ``"scheme"``.
        listing: The command that lists all of them.
        group: The entry-point group of other packages; each entry is imported on the first unknown name,
            and registers its items by itself.

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
        if key not in self._keys and not self._plugins_loaded:
            self._load_plugins()
        if key not in self._keys:
            raise UnknownNameError(self.kind, name, self._spelled, listing=self.listing)
        return self._keys[key]

    def __getitem__(self, name: str) -> T:
        return self._items[self.canonical(name)]

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def _load_plugins(self) -> None:
        self._plugins_loaded = True
        if self.group:
            for entry in entry_points(group=self.group):
                entry.load()


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
