"""Letters of 5 x 7 dots, so that a picture is titled without a font file or an imaging library."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ADVANCE, LINE = 6, 9
"""Dots from one letter to the next, and from one line to the next."""

# A letter's eight rows from the top, the last for what hangs below the line; a row is five dots, a digit of base 32.
_LETTERS = {
    "abcdefghij": "00e1fhf0 gguhhhu0 00egghe0 11fhhhf0 00ehvge0 68u88880 00fhhf1e gguhhhh0 40c444e0 206222ic",
    "klmnopqrst": "ggikoki0 c44444e0 00qllll0 00uhhhh0 00ehhhe0 00uhhugg 00fhhf11 00mpggg0 00fge1u0 88u88960",
    "uvwxyz": "00hhhhf0 00hhha40 00hllla0 00ha4ah0 00hhhf1e 00v248v0",
    "ABCDEFGHIJ": "ehhvhhh0 uhhuhhu0 ehggghe0 uhhhhhu0 vgguggv0 vgguggg0 ehgnhhe0 hhhvhhh0 e44444e0 72222ic0",
    "KLMNOPQRST": "hikokih0 ggggggv0 hrllhhh0 hppljjh0 ehhhhhe0 uhhuggg0 ehhhlid0 uhhukih0 fgge11u0 v4444440",
    "UVWXYZ": "hhhhhhe0 hhhhha40 hhlllrh0 hha4ahh0 hha44440 v1248gv0",
    "0123456789": "ehjlphe0 4c4444e0 eh1248v0 eh161he0 26aiv220 vgu11he0 68guhhe0 v1244440 ehhehhe0 ehhf12c0",
    " _(),.=-+:→/'*": (
        "00000000 0000000v 24444442 84444448 00000648 00000cc0 00v0v000 000v0000 044v4400 00cc0cc0 042v2400 01248g00 "
        "44400000 00lel000"
    ),
}
_ROWS = {letter: rows for run, coded in _LETTERS.items() for letter, rows in zip(run, coded.split(), strict=True)}
_UNKNOWN = "vhhhhhv0"


def letter(text: str, *, scale: int = 1) -> NDArray[np.bool_]:
    """One line of text as dots, (9 * scale, 6 * scale * letters); a letter that is not there is an empty box.

    Example:
        >>> for row in letter("7")[1:8]:
        ...     print("".join("#" if dot else " " for dot in row).rstrip())
        #####
            #
           #
          #
          #
          #
          #
    """
    page = np.zeros((LINE, ADVANCE * len(text)), bool)
    for i, letter in enumerate(text):
        for y, row in enumerate(_ROWS.get(letter, _UNKNOWN), start=1):
            page[y, i * ADVANCE : i * ADVANCE + 5] = [int(row, 32) >> bit & 1 for bit in (4, 3, 2, 1, 0)]
    return page.repeat(scale, axis=0).repeat(scale, axis=1)
