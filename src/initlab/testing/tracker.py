"""The conformance suite of a tracker: it takes all that a run tells, and what is odd in it, without an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from initlab.core.registry import summary
from initlab.core.training.protocol import Histogram
from initlab.study.trackers import TRACKERS, TrackedRun
from initlab.testing.holding import hold

# A PNG file of one white pixel.
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0d"
    "ef46b80000000049454e44ae426082"
)


def check_tracker(name: str, folder: Path) -> None:
    """Holds a registered tracker to what every tracker keeps.

    Args:
        name: Its name.
        folder: An empty folder, of the study.

    Raises:
        AssertionError: What the tracker does otherwise.
        UnknownNameError: No tracker has the name.
        Exception: Whatever the tracker raises: in a study, it would be left alone from there on.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     check_tracker("csv", Path(folder))
    """
    hold(bool(summary(TRACKERS[name])), f"{name}: its docstring does not say what it writes")
    for scheme in ("he_normal", "uniform(low=-0.05, high=0.05)"):
        _tell(name, folder, scheme)
    _tell(name, folder, "he_normal")  # a run that is told again takes the place of its own
    for method in ("log", "show", "close"):
        hold(
            callable(getattr(TRACKERS[name](_run(folder, "zeros")), method, None)), f"{name}: it has no method", method
        )


def _run(folder: Path, scheme: str) -> TrackedRun:
    config = {"scheme": scheme, "seed": 3, "options": {"lr": 0.1}}
    return TrackedRun("a study", f"{scheme}, seed 3", (scheme, "seed-3"), config, folder)


def _tell(name: str, folder: Path, scheme: str) -> None:
    """A run of three epochs, as a study tells it; its last epoch has no number and no histogram."""
    tracker = TRACKERS[name](_run(folder, scheme))
    bars = Histogram(epoch=0, layer="1", quantity="weight", low=-1.0, high=1.0, counts=np.array([1, 0, 5, 2]))
    tracker.log(0, {"test_loss": 1.5, "weight_mean/layer_1": -2e-30}, {"weight/layer_1": bars})
    tracker.log(1, {"test_loss": 0.25}, {})
    tracker.log(2, {}, {})
    tracker.show({"first layer": _PIXEL}, f"{scheme}: ok")
    tracker.close({"status": "ok", "reason": "", "wall_seconds": 0.5, "test_loss": 0.25})
