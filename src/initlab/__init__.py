"""initlab: a laboratory and a library for the initial weights of neural networks."""

from __future__ import annotations

from initlab._version import __version__

__all__ = ["__version__"]
