"""Signal and gradient by layer as one small SVG element: theory as a line, the measurement as dots.

Drawn here, with no library, so that a probe shows it in a notebook at once; text and axes take the page's colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from initlab.probing.measure.metrics import Compared, LayerRow

_WIDTH, _HEIGHT = 300, 110
_LEFT, _TOP, _GAP = 58, 20, 62
# Okabe and Ito's blue and vermilion: apart for colour-blind readers, on white and on dark ground.
_COLOURS = ("#0072B2", "#D55E00")
_TEXT = 'font-size="11" fill="currentColor" font-family="sans-serif"'


def profile_svg(rows: Sequence[LayerRow]) -> str:
    """Two panels over the layers in order of use, each on a logarithmic scale: ``E[z^2]`` and ``E[g^2]``.

    Args:
        rows: A row a layer.

    Returns:
        An SVG element; empty for fewer than two layers, which make no line.
    """
    if len(rows) < 2:
        return ""
    panels = (("E[z²]", [row.signal for row in rows]), ("E[g²]", [row.gradient for row in rows]))
    width = _LEFT + 2 * _WIDTH + _GAP + 8
    height = _TOP + _HEIGHT + 34
    drawn = "".join(
        _panel(title, numbers, _LEFT + at * (_WIDTH + _GAP), _COLOURS[at]) for at, (title, numbers) in enumerate(panels)
    )
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    label = "signal and gradient by layer, theory as a line, the measurement as dots"
    return f'<svg role="img" aria-label="{label}" style="max-width:100%;height:auto" {size}>{drawn}</svg>'


def _panel(title: str, numbers: Sequence[Compared], left: int, colour: str) -> str:
    theory = [_positive(number.predicted) for number in numbers]
    measured = [_positive(number.measured) for number in numbers]
    known = [value for value in (*theory, *measured) if value is not None]
    right, floor = left + _WIDTH, _TOP + _HEIGHT
    words = f'<text x="{left}" y="12" {_TEXT}>{title} (line: theory, dots: measured)</text>'
    words += f'<text x="{right}" y="{floor + 28}" text-anchor="end" {_TEXT}>weighted layer</text>'
    words += f'<text x="{left}" y="{floor + 14}" {_TEXT}>1</text>'
    words += f'<text x="{right}" y="{floor + 14}" text-anchor="end" {_TEXT}>{len(numbers)}</text>'
    words += f'<path d="M{left} {_TOP}V{floor}H{right}" fill="none" stroke="currentColor" stroke-opacity=".4"/>'
    if not known:
        return words
    # At least a factor of 10 is shown: the noise of a signal that holds is not blown up to a landscape.
    low, high = math.log10(min(known)), math.log10(max(known))
    low, high = min(low, (low + high) / 2 - 0.5), max(high, (low + high) / 2 + 0.5)
    for value, y in ((high, _TOP + 5), (low, floor)):
        words += f'<text x="{left - 5}" y="{y}" text-anchor="end" {_TEXT}>{10.0**value:.1g}</text>'

    def place(at: int, value: float) -> tuple[float, float]:
        share = (math.log10(value) - low) / (high - low)
        return round(left + 6 + (_WIDTH - 12) * at / (len(numbers) - 1), 1), round(floor - 4 - (_HEIGHT - 8) * share, 1)

    line = [place(at, value) for at, value in enumerate(theory) if value is not None]
    dots = [place(at, value) for at, value in enumerate(measured) if value is not None]
    path = " ".join(f"{x},{y}" for x, y in line)
    words += f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    return words + "".join(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in dots)


def _positive(value: float | None) -> float | None:
    """What has a logarithm."""
    return value if value is not None and math.isfinite(value) and value > 0.0 else None
