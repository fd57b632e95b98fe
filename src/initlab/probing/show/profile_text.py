"""A profile as tables for a terminal: theory and measurement side by side, what is off marked."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from initlab.core.plans.account import percent
from initlab.probing.checks.registry import NAMED
from initlab.probing.checks.wording import listed
from initlab.probing.measure.coverage import coverage
from initlab.probing.measure.metrics import Compared, LayerRow, loss_of, samples_in
from initlab.probing.measure.ratios import gradient_ratio, signal_ratio
from initlab.probing.records import Evidence

ONE_TABLE = 160
"""Characters of a line from which on all columns stand in one table."""

# A table of more rows is folded: of a run of layers that are as expected so many are shown.
_MOST_ROWS, _OF_A_RUN = 40, 12
_NARROWEST = 80
NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """One column of a profile.

    Attributes:
        title: Its heading.
        cell: The text of a row.
        width: Characters.
    """

    title: str
    cell: Callable[[LayerRow], str]
    width: int


def compact(value: float | None, *, digits: int = 3) -> str:
    """A number in at most 7 characters; an en dash where there is none.

    Example:
        >>> compact(1.0), compact(0.01234), compact(123456.0), compact(1.2345e-7), compact(0.0), compact(None)
        ('1.00', '0.0123', '1.2e5', '1.2e-7', '0', '–')
    """
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0.0:
        return "0"
    if 0.00995 <= abs(value) < 999.5:
        return f"{value:#.{digits}g}".rstrip(".")
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def measured(number: Compared) -> str:
    """What was measured with its relative standard error, and a mark where it is off theory.

    Example:
        >>> measured(Compared(1.0, 2.0, stderr=0.1)), measured(Compared(None, 2.0))
        ('2.00±5%!', '2.00')
    """
    text = compact(number.measured)
    if number.measured > 0.0 and math.isfinite(number.stderr):
        share = math.ceil(100.0 * number.stderr / number.measured)
        text += f"±{share}%" if share < 100 else "±>99%"
    return text + ("!" if number.is_off else "")


def share_pair(number: Compared) -> str:
    """Two shares in percent, theory's first.

    Example:
        >>> share_pair(Compared(0.5, 0.4375)), share_pair(Compared(None, math.nan))
        ('50|44', '–')
    """
    if math.isnan(number.measured):
        return NOTHING
    shown = NOTHING if number.predicted is None else f"{100.0 * number.predicted:.0f}"
    return f"{shown}|{100.0 * number.measured:.0f}"


def profile_text(evidence: Evidence, rows: Sequence[LayerRow], width: int) -> str:
    """The profile as lines of at most ``width`` characters, 80 or more."""
    width = max(width, _NARROWEST)
    lines = [*heading(evidence, rows), ""]
    shown = folded(rows)
    both = (*SIZES, *HEALTH)
    for columns in (both,) if width >= ONE_TABLE else (SIZES, HEALTH):
        lines += [*_table(shown, columns, width), ""]
    cells = "\n".join(lines[len(heading(evidence, rows)) :])
    lines += [*_legend(cells, rows, evidence.notes, width), *_silent(rows, width)]
    return "\n".join(line.rstrip() for line in lines)


def heading(evidence: Evidence, rows: Sequence[LayerRow]) -> list[str]:
    """What was probed, its loss, and what becomes of signal and gradient from end to end."""
    reading = evidence.reading
    samples, layers = samples_in(reading), len(rows)
    counted = f"{layers} weighted layer{'' if layers == 1 else 's'}, {samples} sample{'' if samples == 1 else 's'}"
    lines = [f"{plain(evidence.model)} ({evidence.framework}): {counted}"]
    found = coverage(evidence)
    if found.numbers:
        lines.append(f"{'numbers seen at work':<36}{percent(1.0 - found.unseen)} of {found.numbers:,}")
        for why, params in found.parts:
            names = plain(listed([p.native or p.path for p in params], NAMED))
            told = f"{percent(found.share(params))} {why}: {names}"
            lines += textwrap.wrap(told, _NARROWEST, initial_indent="  ", subsequent_indent="    ")
    if reading.loss_kind != "random":
        loss = loss_of(evidence)
        lines.append(f"{'loss':<36}{_both(loss)}  {reading.loss_kind.replace('_', ' ')}")
    if sum(row.is_hidden for row in rows) > 1:
        lines.append(f"{'E[z²], last hidden layer/first':<36}{_both(signal_ratio(rows))}")
        lines.append(f"{'gradient², first hidden layer/last':<36}{_both(gradient_ratio(rows))}")
    return lines


def folded(rows: Sequence[LayerRow]) -> list[LayerRow | int]:
    """The rows of a table: all of a short net; of a long one's runs of layers as expected, some in equal steps.

    Returns:
        Rows, and how many are left out between them.
    """
    if len(rows) <= _MOST_ROWS:
        return list(rows)
    found: list[LayerRow | int] = []
    start = 0
    while start < len(rows):
        stop = start
        while stop < len(rows) and not _is_telling(rows[stop]):
            stop += 1
        found += _thin(rows[start:stop])
        if stop < len(rows):
            found.append(rows[stop])
        start = stop + 1
    return found


def _thin(run: Sequence[LayerRow]) -> list[LayerRow | int]:
    last, steps = len(run) - 1, _OF_A_RUN - 1
    kept = sorted({round(step * last / steps) for step in range(steps + 1)}) if last > steps else range(len(run))
    found: list[LayerRow | int] = []
    before = -1
    for at in kept:
        if at > before + 1:
            found.append(at - before - 1)
        found.append(run[at])
        before = at
    return found


def plain(text: str) -> str:
    r"""The text without characters that a terminal would obey.

    Example:
        >>> plain("fc\x1b[2J")
        'fc�[2J'
    """
    return "".join(char if char.isprintable() else "�" for char in text)


def _is_telling(row: LayerRow) -> bool:
    explained = row.dead.predicted or 0.0
    return row.is_off or row.clones > 0 or row.dead.measured - explained > 0.5 or row.saturated.measured > 0.5


def _both(number: Compared) -> str:
    return f"theory {compact(number.predicted)}, measured {measured(number)}"


def _pair(of: Callable[[LayerRow], Compared]) -> Callable[[LayerRow], str]:
    def cell(row: LayerRow) -> str:
        number = of(row)
        if number.predicted is None and math.isnan(number.measured):
            return f"{NOTHING:>7} {'':<12}"
        return f"{compact(number.predicted):>7}|{measured(number):<12}"

    return cell


def _cosines(row: LayerRow) -> str:
    predicted, found = row.cosine.predicted, row.cosine.measured
    if math.isnan(found):
        return NOTHING
    return f"{NOTHING if predicted is None else f'{predicted:.3f}'}|{found:.3f}"


SIZES = (
    Column("E[z²]", _pair(lambda row: row.signal), 20),
    Column("E[a²]", _pair(lambda row: row.after), 20),
    Column("E[g²]", _pair(lambda row: row.gradient), 20),
)
"""Mean squares of the weighted sum, behind the activation, and of the gradient by the sum."""

HEALTH = (
    Column("cosine", _cosines, 13),
    Column("dead %", lambda row: share_pair(row.dead), 7),
    Column("sat %", lambda row: share_pair(row.saturated), 7),
    Column("clones", lambda row: f"{row.clones}" if row.clones else NOTHING, 6),
    Column("rank", lambda row: NOTHING if math.isnan(row.rank) else f"{row.rank:.1f}", 5),
    Column("w std", lambda row: compact(row.weight_std), 7),
    Column("update", lambda row: compact(row.update_ratio), 7),
)
"""How alike samples and units are, and the weights."""


def _table(shown: Sequence[LayerRow | int], columns: Sequence[Column], width: int) -> list[str]:
    room = width - sum(column.width + 1 for column in columns)
    names = [plain(row.path) for row in shown if isinstance(row, LayerRow)]
    wide = min(max([len(name) for name in names] + [5]), room)
    lines = [f"{'layer':<{wide}} " + " ".join(_title(column) for column in columns)]
    lines.append("─" * len(lines[0]))
    for row in shown:
        if isinstance(row, int):
            lines.append(f"{'⋮':<{wide}} {row} more as expected")
        else:
            name = _shorten(plain(row.path), wide)
            lines.append(f"{name:<{wide}} " + " ".join(_cell(column, row) for column in columns))
    return lines


def _title(column: Column) -> str:
    if column in SIZES:
        return f"{column.title:>7}|{'measured':<12}"
    return f"{column.title:>{column.width}}"


def _cell(column: Column, row: LayerRow) -> str:
    return f"{column.cell(row):>{column.width}}"


def _shorten(name: str, width: int) -> str:
    """The end of a name, which tells it from its neighbours."""
    return name if len(name) <= width else "…" + name[-(width - 1) :]


_SIGNS = (
    ("±", "theory|measured ± standard error over the samples."),
    ("!", "! is off theory by more than 3 of its errors and of the scatter of nets of this width."),
    (NOTHING, f"{NOTHING} is not known, or theory went on from the measurement."),
)
"""What a sign in the cells means."""
_COLUMNS: tuple[tuple[Callable[[LayerRow], float], str], ...] = (
    (lambda row: row.signal.measured, "z: weighted sums."),
    (lambda row: row.after.measured, "a: behind the activation."),
    (lambda row: row.gradient.measured, "g: the loss's gradient by z."),
    (lambda row: row.dead.measured, "dead: zero on the whole batch."),
    (lambda row: row.saturated.measured, "sat: slope below 5% of the largest."),
    (lambda row: float(row.clones) or math.nan, "clones: units that are the same as another one."),
    (lambda row: row.rank, "rank: directions that the samples take."),
    (lambda row: row.update_ratio, "update: rms gradient/rms weight."),
)
"""What a column with a number in it means."""


def _legend(cells: str, rows: Sequence[LayerRow], notes: Sequence[str], width: int) -> list[str]:
    """What the signs and the columns mean that have something to say, and the notes."""
    told = [said for sign, said in _SIGNS if sign in cells]
    told += [said for of, said in _COLUMNS if any(not math.isnan(of(row)) for row in rows)]
    lines = textwrap.wrap(" ".join(told), width)
    for note in notes:
        lines += textwrap.wrap(f"note: {plain(note)}", width, subsequent_indent="      ")
    return lines


def _silent(rows: Sequence[LayerRow], width: int) -> list[str]:
    """Why theory says nothing of a layer, by reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for title, why in (("E[z²]", row.unknown), ("E[g²]", row.gradient_unknown)):
            if why:
                found.setdefault((title, why), []).append(plain(row.path))
    lines: list[str] = []
    for (title, why), paths in found.items():
        told = f"no theory of {title} of {listed(paths, NAMED)}: {why}"
        lines += textwrap.wrap(told, width, subsequent_indent="  ")
    return lines
