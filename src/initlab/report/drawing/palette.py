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


# Ten steps from violet over blue and green to ochre, all of a middle lightness, so that none vanishes on white or on
# dark ground; the way from blue to yellow is the one that nearly all colour-blind readers see.
_DEPTH = ("#7B61D9", "#5A74D6", "#3F84CE", "#2C91BD", "#1F9BA3", "#1FA286", "#3AA765", "#5FA944", "#86A62B", "#AD9F1E")


def depth_colours(count: int) -> tuple[str, ...]:
    """Colours for layers in order of use, from violet to ochre, spread as far as they go.

    Example:
        >>> depth_colours(2)
        ('#7B61D9', '#AD9F1E')
    """
    if count == 1:
        return (_DEPTH[4],)
    return tuple(_DEPTH[round(i * (len(_DEPTH) - 1) / (count - 1))] for i in range(count))
