"""The suites that initlab's own parts pass, for those that other packages bring: each raises what it found wrong.

They need no test runner; in a test of pytest one call is enough.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initlab.testing.activation import check_activation
    from initlab.testing.adapter import ADAPTER_CHECKS, check_adapter
    from initlab.testing.check import check_check
    from initlab.testing.layer import check_layer
    from initlab.testing.scheme import SCHEME_CHECKS, check_scheme
    from initlab.testing.task import check_task
    from initlab.testing.tracker import check_tracker

_HOMES = {
    "ADAPTER_CHECKS": "initlab.testing.adapter",
    "SCHEME_CHECKS": "initlab.testing.scheme",
    "check_activation": "initlab.testing.activation",
    "check_adapter": "initlab.testing.adapter",
    "check_check": "initlab.testing.check",
    "check_layer": "initlab.testing.layer",
    "check_scheme": "initlab.testing.scheme",
    "check_task": "initlab.testing.task",
    "check_tracker": "initlab.testing.tracker",
}

__all__ = [
    "ADAPTER_CHECKS",
    "SCHEME_CHECKS",
    "check_activation",
    "check_adapter",
    "check_check",
    "check_layer",
    "check_scheme",
    "check_task",
    "check_tracker",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'initlab.testing' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
