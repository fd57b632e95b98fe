"""``initlab web``: the page that trains in the browser, or a model's own profile in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LARGEST = 1 << 28
"""Bytes of the largest profile that is read."""


def web(
    profile: Annotated[
        Path | None, typer.Option(help="A model's own numbers: the file that 'initlab probe --json' wrote.")
    ] = None,
    port: Annotated[int, typer.Option(help="Where to listen; the next port where it is taken, 0 for any.")] = 8321,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Show the page that trains two networks side by side, on this machine alone, until Ctrl-C."""
    from functools import partial

    from initlab.web.show import show_page

    text = None if profile is None else _profile(profile)
    show_page(profile=text, port=port, browser=browser, tell=partial(print, flush=True))


def _profile(path: Path) -> str:
    """The text of a file that holds a profile."""
    import json

    from initlab.core.errors import OptionError
    from initlab.core.files import read_file

    fix = "write it with: initlab probe package.module:build --json > profile.json"
    try:
        text = read_file(path, most=LARGEST).decode("utf-8")
        found = json.loads(text)
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}", where="--profile", fix=fix) from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise OptionError(f"{path} is no JSON", where="--profile", fix=fix) from error
    inner = found.get("profile", found) if isinstance(found, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("rows"), list):
        raise OptionError(f"{path} holds no profile", where="--profile", fix=fix)
    return text
