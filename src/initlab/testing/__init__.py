"""The suites that initlab's own parts pass, for those that other packages bring: each raises what it found wrong.

They need no test runner; in a test of pytest one call is enough.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initlab.testing.adapter import ADAPTER_CHECKS, check_adapter

_HOMES = {
    "ADAPTER_CHECKS": "initlab.testing.adapter",
    "check_adapter": "initlab.testing.adapter",
}

__all__ = [
    "ADAPTER_CHECKS",
    "check_adapter",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'initlab.testing' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
