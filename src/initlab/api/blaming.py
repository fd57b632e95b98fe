"""Who wrote each parameter of a model while it was built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from textwrap import wrap

from initlab.core.errors import OptionError
from initlab.core.facts.provenance import Provenance
from initlab.frameworks import constructed, framework_of, models

_UNSEEN = "writer unknown"
_NEVER = "never written"


@dataclass(frozen=True)
class Blame:
    """A row for every parameter: the law of its last writer, who called it, and what was written over.

    Attributes:
        rows: In the framework's order.
    """

    rows: tuple[Provenance, ...]

    def __str__(self) -> str:
        return self.text()

    def text(self, *, width: int = 80) -> str:
        """The rows within ``width`` columns, and how many were never written, or by nobody that was seen."""
        lines: list[str] = []
        for row in self.rows:
            lines.append(f"{row.native}  {'x'.join(map(str, row.shape)) or 'scalar'}")
            for told in _told(row):
                lines += wrap(told, width, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False)
        return "\n".join([*lines, *wrap(self.account(), width, subsequent_indent="  ")])

    def account(self) -> str:
        """How many parameters were written, never written, and written by nobody that was seen."""
        count = {state: sum(row.state == state for row in self.rows) for state in ("written", "unwritten", "unknown")}
        over = sum(bool(row.before) for row in self.rows)
        told = [f"{len(self.rows)} parameters", f"{count['unwritten']} {_NEVER}", f"{count['unknown']} of {_UNSEEN}"]
        return f"{', '.join(told)}, {over} chosen and then written over"

    def to_dict(self) -> dict[str, object]:
        """The rows as plain JSON data."""
        return {"rows": [asdict(row) for row in self.rows]}


def blame(build: Callable[[], object], *, name: str = "build") -> Blame:
    """Who wrote each parameter of the model that a function builds, watched while it does.

    Args:
        build: Returns a model, or a tuple of a model and what goes with it; called once, without arguments.
        name: The function's, for errors.

    Raises:
        InitlabError: It raised, or returned no model.
    """
    if framework_of(build) is not None and not isinstance(build, type):
        raise OptionError(f"{name} is a model and no function", fix="name what builds it: it is watched while it does")
    parts, rows = constructed(build, name)
    if not rows:
        kind = type(parts[0]).__name__
        what = f"{name} returned a {kind}" if framework_of(parts[0]) is None else f"the {kind} has no parameters"
        raise OptionError(what, fix=f"return {models()} with weights")
    return Blame(rows)


def _told(row: Provenance) -> Iterator[str]:
    if row.state == "unknown":
        yield _UNSEEN if row.last is None else f"{_UNSEEN}, after {row.last}"
    elif row.state == "unwritten":
        yield f"{_NEVER}: {row.last}"
    else:
        yield str(row.last)
    for write in row.before:
        yield f"wrote over {write}"
