"""Every check; importing this module fills the registry."""

from __future__ import annotations

from initlab.probing.checks import batch, likeness, output, recurrent, signal, units, weights
from initlab.probing.checks.registry import CHECKS, STAGES, RegisteredCheck

CHAPTERS = (batch, weights, likeness, signal, recurrent, units, output)

__all__ = ["CHECKS", "checks_in_order"]


def checks_in_order() -> list[RegisteredCheck]:
    """Every check, by stage, causes before what follows from them, and by name.

    Example:
        >>> [check.name for check in checks_in_order()][:2]
        ['inputs', 'samples']
    """
    return sorted((CHECKS[name] for name in CHECKS), key=lambda check: (STAGES.index(check.stage), check.name))
