"""The page that trains in the browser: its built files, and the server that shows them."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parent / "page"
"""The folder of the built files, which open from disk as well: ``index.html``."""

PORT = 8321
"""Where the page is served, or at the next port that is free."""
