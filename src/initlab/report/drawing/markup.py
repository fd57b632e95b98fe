"""HTML that is escaped by construction: text becomes markup in one place, here."""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Iterable
from typing import Any, Final, NewType

from initlab.report.drawing.text import visible

# A string that is markup already; whatever else goes into an element is text.
Html = NewType("Html", str)

VOID: Final = frozenset({"meta", "br", "hr", "img"})


def text(content: str) -> Html:
    """The text as markup: no character of it can open a tag, close a quote or break a line; a % sticks to its number.

    Example:
        >>> text('</script><b class="x">')
        '&lt;/script&gt;&lt;b class=&quot;x&quot;&gt;'
    """
    return Html(html.escape(visible(content), quote=True).replace(" %", "\u00a0%"))


def element(tag: str, *children: Html, **attributes: str) -> Html:
    """An element; attribute values are text, a trailing underscore of a name is dropped and others become hyphens.

    Example:
        >>> element("p", text("a < b"), class_="note")
        '<p class="note">a &lt; b</p>'
    """
    spelled = "".join(f' {name.rstrip("_").replace("_", "-")}="{text(value)}"' for name, value in attributes.items())
    if tag in VOID:
        return Html(f"<{tag}{spelled}>")
    return Html(f"<{tag}{spelled}>{''.join(children)}</{tag}>")


def lines(content: str) -> Html:
    """A text of several lines as it stands."""
    return element("pre", Html("\n".join(text(line) for line in content.splitlines())))


def join(parts: Iterable[Html], *, between: str = "") -> Html:
    """The parts one after the other."""
    return Html(between.join(parts))


def json_block(value: Any, **attributes: str) -> Html:
    r"""A script element that holds data, which no character of it can leave.

    Example:
        >>> print(json_block("</script>", id="a"))
        <script type="application/json" id="a">"\u003c/script\u003e"</script>
    """
    dumped = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        dumped = dumped.replace(char, f"\\u{ord(char):04x}")
    return element("script", Html(dumped), type="application/json", **attributes)


def definitions(pairs: Iterable[tuple[str, str]]) -> Html:
    """A list of terms with what they are."""
    return element("dl", *(join([element("dt", text(term)), element("dd", text(said))]) for term, said in pairs))


def table(heading: Iterable[str], rows: Iterable[Iterable[str]], *, strong: Collection[int] = ()) -> Html:
    """A table whose first column names the row.

    Args:
        heading: A cell a column, of one or more lines.
        rows: A row's cells each.
        strong: Indices of the rows that stand out.
    """
    broken = (join(map(text, cell.split("\n")), between=element("br")) for cell in heading)
    head = element("thead", element("tr", *(element("th", cell, scope="col") for cell in broken)))
    body = []
    for i, row in enumerate(rows):
        first, *others = row
        # A long call may break before its options.
        name = Html(text(first).replace("(", "<wbr>("))
        cells = [element("th", name, scope="row"), *(element("td", text(cell)) for cell in others)]
        body.append(element("tr", *cells, class_="strong") if i in strong else element("tr", *cells))
    return element("div", element("table", head, element("tbody", *body)), class_="wide")
