"""Names and numbers as a reader sees them: control characters made visible, digits rounded, folders left out."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from initlab.theory.overflow import format_log

_CONTROL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# An absolute path of two parts or more, in POSIX or Windows form; "https://..." and "24/30" are none.
_ABSOLUTE_PATH = re.compile(r"(?<![\w:/\\.])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\'\"<>|;,)]+)+[/\\]([^\s/\\'\"<>|;,)]*)")


def visible(text: str) -> str:
    r"""The text on one line, without terminal escape sequences; other invisible characters become U+FFFD.

    Example:
        >>> visible("he\x1b[31m_normal\u2028")
        'he_normal�'
    """
    return "".join("�" if _is_invisible(char) else char for char in _CONTROL_SEQUENCE.sub("", text))


def _is_invisible(char: str) -> bool:
    """Control and format characters (bidirectional overrides among them), line and paragraph separators, surrogates."""
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def without_folders(text: str) -> str:
    """The text with each absolute path cut to its last part: a report that is passed on names no folder of its maker.

    Example:
        >>> without_folders("initlab compare mnist --data /home/ada/mnist --out runs/a")
        'initlab compare mnist --data …/mnist --out runs/a'
    """
    return _ABSOLUTE_PATH.sub(r"…/\1", text)


def round_to(value: float | None, *, digits: int = 5) -> float | None:
    """The value to so many significant digits; None where there is no finite value.

    Example:
        >>> round_to(0.123456789), round_to(float("nan"))
        (0.12346, None)
    """
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def evenly(count: int, most: int) -> tuple[int, ...]:
    """Places of at most so many of ``count`` values in a row, evenly spread, first and last among them.

    Example:
        >>> evenly(3, 8), evenly(15, 4)
        ((0, 1, 2), (0, 5, 9, 14))
    """
    return tuple(int(i) for i in np.linspace(0, count - 1, min(count, most)).round())


def share(value: float | None, *, signed: bool = False) -> str:
    """A share such as an accuracy with three decimals; an en dash where there is none.

    Example:
        >>> share(0.96666), share(0.012, signed=True), share(None)
        ('0.967', '+0.012', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"
    text = "0.000" if text == "-0.000" else text
    return f"+{text}" if signed and float(text) > 0 else text


def number(value: float | None) -> str:
    """A number of any size with three significant digits; an en dash where there is none.

    Example:
        >>> number(1.1), number(2.3456e-7), number(123456.0), number(0.0)
        ('1.10', '2.35e-07', '1.23e+05', '0')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:#.3g}".rstrip(".") if value else "0"


def number_of_log(log_value: float) -> str:
    """``e^log_value`` with three significant digits, however large or small it is; a dash for an infinite one.

    Example:
        >>> number_of_log(0.0), number_of_log(-math.inf), number_of_log(1412.0)
        ('1.00', '0', '1.67e+613')
    """
    if log_value == -math.inf or abs(log_value) < 700.0:
        return number(math.exp(log_value))
    return format_log(log_value) if math.isfinite(log_value) else number(None)


def p_value(p: float | None) -> str:
    """A p value with three decimals, never rounded down to zero; an en dash where there is none.

    Example:
        >>> p_value(0.0004), p_value(0.0312)
        ('<0.001', '0.031')
    """
    if p is None or math.isnan(p):
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], *, low: float, high: float, width: int) -> str:
    """A line of bars from first to last value, on a logarithmic scale; a space where there is no positive value.

    Args:
        values: Evenly spaced, e.g. a loss by epoch.
        low: What the lowest bar stands for, above 0.
        high: What the highest bar stands for.
        width: Characters at most.

    Example:
        >>> sparkline([1.0, 0.1, 0.01, None], low=0.01, high=1.0, width=4)
        '█▅▁ '
    """
    span = math.log(high / low) or 1.0
    bars = []
    for value in (values[place] for place in evenly(len(values), width)):
        if value is None or not value > 0 or not math.isfinite(value):
            bars.append(" ")
        else:
            bars.append(BARS[min(max(round(math.log(value / low) / span * (len(BARS) - 1)), 0), len(BARS) - 1)])
    return "".join(bars)


def median_epochs(epochs: Sequence[int | None], *, limit: int) -> str:
    """The median over seeds of the epochs to a target; a seed that never got there counts as more than all epochs.

    Args:
        epochs: By seed, counted from 1; None: never.
        limit: Epochs of a run.

    Example:
        >>> median_epochs([7, None, 9], limit=50), median_epochs([7, None], limit=50)
        ('9', '>50')
    """
    if not epochs:
        return "–"
    median = float(np.median([math.inf if epoch is None else float(epoch) for epoch in epochs]))
    return f">{limit}" if math.isinf(median) else f"{median:g}"


def count_of(count: int, noun: str) -> str:
    """A count with its noun, with an s unless it is one.

    Example:
        >>> count_of(1, "seed"), count_of(20, "seed")
        ('1 seed', '20 seeds')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def folded_call(call: str, width: int) -> list[str]:
    """The call on lines of at most so many characters, broken before its options and between them where it can be.

    Lines after the first are set in by one space; a part that is longer than a line is broken anywhere.

    Args:
        call: The call.
        width: Characters of a line, 2 or more.

    Example:
        >>> folded_call("truncated_normal(std=0.05)", 16)
        ['truncated_normal', ' (std=0.05)']
    """
    lines: list[str] = []
    for part in re.split(r"(?=\()|(?<=, )", call):
        if lines and len(lines[-1]) + len(part.rstrip()) <= width:
            lines[-1] += part
            continue
        rest = part.rstrip()
        while rest:
            inset = " " if lines else ""
            room = width - len(inset)
            lines.append(inset + rest[:room])
            rest = rest[room:]
        lines[-1] += part[len(part.rstrip()) :]
    return [line.rstrip() for line in lines]
