"""What a lesson is, and the registry of all lessons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from initlab.core.errors import OptionError
from initlab.core.registry import Registry
from initlab.report.drawing.text import number


@dataclass(frozen=True)
class Formula:
    """One line of mathematics and where it comes from."""

    text: str
    source: str


@dataclass(frozen=True)
class Table:
    """A small table: what it shows, the names of its columns, and its rows as text.

    Raises:
        OptionError: A row has another length than the header.

    Example:
        >>> Table("two nets", ("net", "loss"), (("a", "0.1"), ("b", "0.2"))).columns
        (('a', 'b'), ('0.1', '0.2'))
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise OptionError(f"a row of {len(row)} cells under {len(self.header)} columns", where=self.title)

    @property
    def columns(self) -> tuple[tuple[str, ...], ...]:
        """The cells of each column."""
        return tuple(tuple(row[i] for row in self.rows) for i in range(len(self.header)))


@dataclass(frozen=True)
class Bars:
    """Positive numbers by layer, step or epoch, a line for each label, all drawn on one logarithmic scale.

    Attributes:
        title: What is shown, with the places it runs over.
        lines: By label, the numbers in order; one that is no positive number is drawn as a gap.
    """

    title: str
    lines: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Lesson:
    """A short lesson: plain words first, then what a run gave, then the mathematics.

    Attributes:
        plain: Paragraphs that need no mathematics.
        experiment: What was run, in one paragraph.
        table: What it gave.
        mathematics: Lines, each with its source.
        numbers: By name, all that was computed and that the text quotes.
        tries: Commands to go on with.
        see_also: Names of other lessons.
        bars: What it gave by layer, where a picture says more.
        name: The registered name, e.g. ``"vanishing-gradients"``; ``learn`` fills it in.
        title: The question that it answers; ``learn`` fills it in.
    """

    plain: tuple[str, ...]
    experiment: str
    table: Table
    mathematics: tuple[Formula, ...]
    numbers: Mapping[str, float]
    tries: tuple[str, ...] = ()
    see_also: tuple[str, ...] = ()
    bars: Bars | None = None
    name: str = ""
    title: str = ""

    @property
    def command(self) -> str:
        """What runs the experiment again."""
        return f"initlab explain {self.name}"

    def to_dict(self) -> dict[str, object]:
        """The lesson as plain data; numbers that are not finite are None."""
        return {
            "name": self.name,
            "title": self.title,
            "plain": list(self.plain),
            "experiment": self.experiment,
            "table": {"title": self.table.title, "header": list(self.table.header), "rows": _lists(self.table.rows)},
            "bars": None if self.bars is None else {"title": self.bars.title, "lines": _finite_lines(self.bars.lines)},
            "mathematics": [{"text": line.text, "source": line.source} for line in self.mathematics],
            "numbers": {name: value if math.isfinite(value) else None for name, value in self.numbers.items()},
            "command": self.command,
            "tries": list(self.tries),
            "see_also": list(self.see_also),
        }


def _lists(rows: tuple[tuple[str, ...], ...]) -> list[list[str]]:
    return [list(row) for row in rows]


def _finite_lines(lines: Mapping[str, tuple[float, ...]]) -> dict[str, list[float | None]]:
    return {label: [v if math.isfinite(v) else None for v in values] for label, values in lines.items()}


@dataclass(frozen=True)
class Topic:
    """An entry of the registry: what a lesson is about, and the function that runs it."""

    name: str
    title: str
    run: Callable[[], Lesson]
    aliases: tuple[str, ...] = ()


LESSONS = Registry[Topic]("topic", listing="initlab explain")


def register_lesson(
    *, title: str, aliases: tuple[str, ...] = ()
) -> Callable[[Callable[[], Lesson]], Callable[[], Lesson]]:
    """Make a function a lesson, known by its name, ``_`` written as ``-``, to the command line and the guide.

    Args:
        title: What it is about, in one line.
        aliases: Other names.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        OptionError: A name is taken.
    """

    def register(function: Callable[[], Lesson]) -> Callable[[], Lesson]:
        name = function.__name__.replace("_", "-")
        LESSONS.add(name, Topic(name, title, function, aliases), aliases=aliases)
        return function

    return register


def learn(name: str) -> Lesson:
    """The lesson on a topic, from a run made now; the same topic is run once a process.

    Args:
        name: A name or alias of ``LESSONS``; case, ``-`` and ``_`` do not matter.

    Returns:
        The lesson.

    Raises:
        UnknownNameError: No topic has that name; the nearest is offered.

    Example:
        >>> import initlab.lessons
        >>> learn("glorot").title
        'Xavier (Glorot): one number for both directions'
    """
    return _learned(LESSONS.canonical(name))


@cache
def _learned(name: str) -> Lesson:
    topic = LESSONS[name]
    return replace(topic.run(), name=topic.name, title=topic.title)


def share(value: float) -> str:
    """A share in percent.

    Example:
        >>> share(0.1234), share(0.99996), share(1.0), share(0.00321)
        ('12.3 %', '99.996 %', '100 %', '0.321 %')
    """
    if 0.999 <= value < 1.0:
        return f"{100.0 - float(f'{100.0 * (1.0 - value):.1g}'):.10g} %"
    text = f"{100.0 * value:.3g}"
    return f"{text} %" if "e" not in text else f"{100.0 * value:.0f} %"


def cells(*values: float) -> tuple[str, ...]:
    """Numbers as cells of a table.

    Example:
        >>> cells(1.0, 2.5e-7)
        ('1.00', '2.50e-07')
    """
    return tuple(number(value) for value in values)
