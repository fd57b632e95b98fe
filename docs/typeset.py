"""Formulas and numbers as a page shows them: Greek letters, indices and powers, in place of what a terminal can print.

Lessons and schemes write ``sigma_w^2 <= 1e-06``; a page reads σ with an index and a power, and 10 to the power −6.
"""

from __future__ import annotations

import html
import re

GREEK = {"chi": "χ", "sigma": "σ", "phi": "φ", "pi": "π", "delta": "δ", "alpha": "α", "beta": "β", "omega": "ω"}
SIGNS = {"<=": "≤", ">=": "≥", "+-": "±", "<-": "←", "->": "→", "...": "…", " ~ ": " \u223c ", " - ": " − "}
# One letter with an index, or a derivative's: q_l, W_(l+1), chi_1, dz_l. Words with an underscore are names: fan_in.
LETTER = rf"(?<![A-Za-z_])({'|'.join(GREEK)}|d?[A-Za-z]|prod)"
INDEXED = re.compile(LETTER + r"_(\([^()]*\)|[A-Za-z]\b|\d+)")
RAISED = re.compile(r"\^(\([^()]*\)|[A-Za-z]\b|\d+)")
LETTERS = re.compile(rf"(?<![A-Za-z_])({'|'.join(GREEK)})(?![A-Za-z_])")
ROOT = re.compile(r"\bsqrt(?:\(([A-Za-z_]+|[\d.]+)\)| (\d+)|(?=\())")
TIMES = re.compile(r"(?<= )x(?= \d)")
SCIENTIFIC = re.compile(r"(?<![\w.])(\d(?:\.\d+)?)e([+-]?)0*(\d+)\b")
MINUS = re.compile(r"(?<=[(, /=])-(?=[\w√])|^-(?=[\w√])")
ARXIV = re.compile(r"\barXiv[ :](\d{4}\.\d{4,5})\b")
NO_BREAK = "\u00a0"
PERCENT = re.compile(r"(?<=\d) (?=%)")
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def quantities(text: str) -> str:
    """Numbers such as 1.03e-06 and 12.5 % as people write them, never parted at the end of a line; the rest as it is.

    A power alone, 1e-06, loses its 1.
    """
    return SCIENTIFIC.sub(_power_of_ten, PERCENT.sub(NO_BREAK, text))


def _power_of_ten(found: re.Match[str]) -> str:
    digits, sign, power = found.groups()
    ten = "10" + f"{'-' if sign == '-' else ''}{power}".translate(SUPERSCRIPTS)
    return ten if digits == "1" else f"{digits}{NO_BREAK}×{NO_BREAK}{ten}"


def formula(text: str) -> str:
    """A formula, or a sentence with one in it, as HTML that Markdown leaves alone."""
    shown = TIMES.sub("×", quantities(text))
    for sign, better in SIGNS.items():
        shown = shown.replace(sign, better)
    shown = html.escape(MINUS.sub("−", shown), quote=False)
    shown = ROOT.sub(lambda found: f"√{found[1] or found[2] or ''}", shown)
    shown = INDEXED.sub(lambda found: f"{found[1]}<sub>{_bare(found[2])}</sub>", shown)
    shown = RAISED.sub(lambda found: f"<sup>{_bare(found[1])}</sup>", shown)
    shown = LETTERS.sub(lambda found: GREEK[found[1]], shown).replace("prod<sub>", "∏<sub>")
    # An asterisk, and an underscore at an end of a word, would begin what Markdown emphasises.
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", "&#95;", shown.replace("*", "&#42;"))


def source(text: str) -> str:
    """A citation with its formulas set, and with a link for each number of arXiv."""
    return ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", formula(text))


def _bare(part: str) -> str:
    return (part[1:-1] if part.startswith("(") else part).replace("-", "−")
