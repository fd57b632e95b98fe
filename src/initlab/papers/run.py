"""A row is run: its numbers held against the paper's, with error, tolerance and verdict."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import SupportsIndex

from initlab.core.draws.streams import check_seed
from initlab.core.errors import OptionError
from initlab.papers.paper import PAPERS, verdict_of
from initlab.papers.result import Line, PaperResult


def paper(name: str, *, seed: SupportsIndex = 0, constants: Mapping[str, float] | None = None) -> PaperResult:
    """What a run made now says of a landmark claim: the paper's number, ours, and the verdict.

    Args:
        name: A row of ``initlab paper``.
        seed: Of every draw; rows of theory draw nothing.
        constants: Values in place of some of the row's constants, to see the verdict fall.

    Returns:
        The result; it prints as ``initlab paper NAME`` does.

    Raises:
        UnknownNameError: No row has that name; the nearest is offered.
        OptionError: A constant that the row has not, or a seed below 0.

    Example:
        >>> edge = paper("schoenholz2017-tanh-edge")
        >>> edge.verdict, round(edge.lines[0].ours, 6)
        ('holds', 1.760955)
        >>> paper("schoenholz2017-tanh-edge", constants={"sigma_b2": 0.06}).verdict
        'not reproduced'
    """
    row, number = PAPERS[name], check_seed(seed)
    given = dict(constants or {})
    unknown = [key for key in given if key not in row.constants]
    if unknown:
        raise OptionError(f"'{row.name}' has no constant '{unknown[0]}'", fix=f"it has {', '.join(row.constants)}")
    used = {**row.constants, **given}
    began = perf_counter()
    found = row.measure(used, number)
    seconds = perf_counter() - began
    lines = tuple(Line(c, float(found.numbers[c.key]), float(found.errors.get(c.key, 0.0))) for c in row.checks)
    return PaperResult(row, lines, verdict_of(row.checks, found.numbers), found.figure, used, number, seconds)
