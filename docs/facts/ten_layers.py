"""What the README quotes of ten hidden layers on the digits; ``docs/ten_layers.py`` trained them."""

from __future__ import annotations

import json

from computed import Computed, facts
from ten_layers import NUMBERS, TRAINED, before_and_after


@facts("ten-layers")
def ten_layers() -> Computed:
    """The test accuracy of every seed from either start under either optimiser, and the diagnosis in one line."""
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    found = {}
    for name in TRAINED:
        for scheme, word in (("torch_default", "torch"), ("he_normal", "he")):
            found[f"{name.lower()}-{word}"] = (
                " / ".join(f"{100.0 * share:.0f}" for share in numbers[name][scheme]["accuracy"]) + " %"
            )
    before = before_and_after().profiles["before"]
    return {**found, "verdict": f"```text\n{before.diagnose().headline}\n```"}
