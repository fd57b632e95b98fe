"""The net that ``probe`` and ``plan`` show where nobody names one: ten hidden layers, as a framework draws them."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from initlab.core.errors import MissingDependencyError
from initlab.core.facts.arch import Mlp
from initlab.frameworks import FRAMEWORKS

ARCH = Mlp((64, *(64,) * 10, 10))
SEED = 0


def example_model(command: str) -> object:
    """The net, in the first framework that is installed, under that framework's own draw.

    A line on standard error says what it is, and how one's own is named.

    Args:
        command: Which asks.

    Raises:
        MissingDependencyError: No framework is installed.
    """
    for name in ("torch", "keras", "jax"):
        framework = FRAMEWORKS[name]
        if all(find_spec(module) for module in {root.partition(".")[0] for root in framework.roots}):
            what = f"ten hidden layers of 64, as {framework.title} draws them with seed {SEED}"
            told(what, yours=f"initlab {command} train.py:build")
            return framework.load().build(ARCH, seed=SEED)
    raise MissingDependencyError("the example needs a framework", fix="pip install 'initlab[torch]'")


def told(what: str, *, yours: str) -> None:
    """Say on standard error that this is an example, and how one's own is named."""
    print(f"initlab: notice: an example: {what}; yours: {yours}\n", file=sys.stderr)
