"""What the README shows of a diagnosis, and counts."""

from __future__ import annotations

from computed import Computed, facts

import initlab
from initlab.museum.exhibits import exhibit
from initlab.museum.visit import built_twin
from initlab.theory import ACTIVATIONS


@facts("readme")
def readme() -> Computed:
    """The diagnosis of one exhibit of the museum, as a terminal shows it, and how many activations there are."""
    shown = exhibit(4)
    batch, targets = shown.batch()
    found = initlab.probe(built_twin(shown, "broken"), batch, targets).diagnose()
    return {
        "diagnosis": f"```text\n>>> print(initlab.probe(model, batch, targets).diagnose())\n{found}\n```",
        "activations": str(len(ACTIVATIONS)),
    }
