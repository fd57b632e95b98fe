"""Every check; importing this module fills the registry."""

from __future__ import annotations

from initlab.probing import (
    findings_likeness,
    findings_output,
    findings_recurrent,
    findings_signal,
    findings_units,
    findings_weights,
)
from initlab.probing.checks import CHECKS, STAGES, RegisteredCheck

CHAPTERS = (findings_weights, findings_likeness, findings_signal, findings_recurrent, findings_units, findings_output)


def checks_in_order() -> list[RegisteredCheck]:
    """Every check, by stage, causes before what follows from them, and by name.

    Example:
        >>> [check.name for check in checks_in_order()][:2]
        ['blocking zeros', 'broken values']
    """
    return sorted((CHECKS[name] for name in CHECKS), key=lambda check: (STAGES.index(check.stage), check.name))
