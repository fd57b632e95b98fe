"""Lines that stay apart, also for colour-blind readers, on white and on dark ground."""

from __future__ import annotations

from dataclasses import dataclass

# Okabe and Ito (2008), "Color Universal Design", without black and yellow, which vanish on one of the grounds, and with
# a grey in their place. Neighbours in the list differ most.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#666666")
# Dash patterns in pixels: solid, dashed, dotted, dash-dotted.
DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (7, 3), (2, 2), (8, 3, 2, 3))

START_COLOUR = "#8A8A8A"
END_COLOUR = "#0072B2"


@dataclass(frozen=True)
class LineStyle:
    """How one scheme is drawn in every figure."""

    colour: str
    dash: tuple[int, ...]


def line_style(place: int) -> LineStyle:
    """The style of the scheme at this place of the study, counted from 0; the first 28 all differ.

    Example:
        >>> line_style(0).colour == line_style(7).colour, line_style(0).dash == line_style(7).dash
        (True, False)
    """
    return LineStyle(COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)])


# Ten steps through viridis' (van der Walt and Smith, 2015) middle, whose ends vanish on one of the grounds.
_DEPTH = ("#443A83", "#3E4C8A", "#365D8D", "#2E6F8E", "#26828E", "#1F948C", "#25A585", "#3FBC73", "#67CC5C", "#9BD93C")


def depth_colours(count: int) -> tuple[str, ...]:
    """Colours for layers in order of use, from dark to light, spread as far as they go.

    Example:
        >>> depth_colours(2)
        ('#443A83', '#9BD93C')
    """
    if count == 1:
        return (_DEPTH[4],)
    return tuple(_DEPTH[round(i * (len(_DEPTH) - 1) / (count - 1))] for i in range(count))
