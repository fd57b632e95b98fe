"""The page shown in a browser until it is ended."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable

from initlab.web import PORT
from initlab.web.server import page_server


def show_page(
    *, profile: str | None = None, port: int = PORT, browser: bool = True, tell: Callable[[str], None] = print
) -> None:
    """Serve the page on this machine alone, until Ctrl-C.

    Args:
        profile: The JSON of a profile, to be shown in the page.
        port: Where; the next one where it is taken.
        browser: Whether to open a browser.
        tell: Is given the address, in words.

    Raises:
        OptionError: A port out of range, or none is free.
    """
    server = page_server(profile=profile, port=port)
    address = server.address + ("#profile=1" if profile is not None else "")
    try:
        tell(f"{address} shows the page; Ctrl-C ends it")
        if browser:
            webbrowser.open(address)
        server.serve_forever()
    except KeyboardInterrupt:
        tell("ended")
    finally:
        server.server_close()
