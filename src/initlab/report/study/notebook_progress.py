"""A live bar in a notebook while a study runs; nothing at all anywhere else.

Jupyter's own display is asked, which every kernel brings, and no widget that may be missing. A front end without HTML
shows the bar as a line of text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from initlab.study.run import Progress

_WIDTH = 20

Show: TypeAlias = Callable[[str, str], None]


@contextmanager
def notebook_progress(progress: Progress | None) -> Iterator[Progress | None]:
    """The progress that was given; where none was, in a notebook, one that draws a bar, which goes when all is done.

    Args:
        progress: The user's own; it wins.
    """
    show = _display() if progress is None else None
    if show is None:
        yield progress
        return

    def update(*, done: int, total: int, diverged: int, failed: int) -> None:
        words = progress_text(done, total, diverged=diverged, failed=failed)
        bar = f'<progress max="{max(total, 1)}" value="{done}" style="vertical-align:middle"></progress>'
        show(f"<span>{bar} {words}</span>", f"{progress_bar(done, total)} {words}")

    try:
        yield update
    finally:
        show("", "")


def progress_text(done: int, total: int, *, diverged: int, failed: int) -> str:
    """How far a study is, in words.

    Example:
        >>> progress_text(3, 8, diverged=1, failed=0)
        '3 of 8 runs, 1 diverged'
    """
    counts = {"diverged": diverged, "failed": failed}
    return ", ".join([f"{done} of {total} runs", *(f"{count} {word}" for word, count in counts.items() if count)])


def progress_bar(done: int, total: int) -> str:
    """The bar of a front end without HTML.

    Example:
        >>> progress_bar(1, 4)
        '[#####               ]'
    """
    filled = _WIDTH * done // max(total, 1)
    return f"[{'#' * filled:<{_WIDTH}}]"


def _display() -> Show | None:
    """What shows HTML, or else text, in one place of this notebook; None outside of notebooks."""
    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        return _marimo_display(marimo)
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    # A terminal's shell has no kernel.
    return _jupyter_display() if shell is not None and hasattr(shell, "kernel") else None


def _marimo_display(marimo: Any) -> Show:
    def show(html: str, text: str) -> None:
        marimo.output.replace(marimo.Html(html) if html else None)

    return show


def _jupyter_display() -> Show:
    display = sys.modules["IPython.display"].display
    handle: Any = None

    def show(html: str, text: str) -> None:
        nonlocal handle
        data = {"text/html": html, "text/plain": text}
        if handle is None:
            handle = display(data, raw=True, display_id=True)
        else:
            handle.update(data, raw=True)

    return show
