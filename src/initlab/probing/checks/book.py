"""Every check; importing this module fills the registry."""

from __future__ import annotations

from initlab.probing.checks import likeness, output, recurrent, signal, units, weights
from initlab.probing.checks.registry import CHECKS, STAGES, RegisteredCheck

CHAPTERS = (weights, likeness, signal, recurrent, units, output)

__all__ = ["CHECKS", "checks_in_order"]


def checks_in_order() -> list[RegisteredCheck]:
    """Every check, by stage, causes before what follows from them, and by name.

    Example:
        >>> [check.name for check in checks_in_order()][:2]
        ['blocking zeros', 'broken values']
    """
    return sorted((CHECKS[name] for name in CHECKS), key=lambda check: (STAGES.index(check.stage), check.name))
