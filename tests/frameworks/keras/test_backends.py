"""What must hold on every back end, on those that this test run does not use."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
FILES = [HERE / "test_portable.py", HERE / "test_capture.py", HERE.parent / "test_zoo.py"]
LONGER = [HERE / name for name in ("test_capture_state.py", "test_capture_theory.py", "test_watch.py")]
OTHERS = [name for name in ("jax", "tensorflow", "torch") if name != os.environ.get("KERAS_BACKEND", "jax")]


@pytest.mark.parametrize("backend", OTHERS)
def test_the_other_back_ends_hold_the_same_claims(backend: str) -> None:
    check(backend, FILES)


@pytest.mark.soak
@pytest.mark.parametrize("backend", OTHERS)
def test_the_other_back_ends_hold_the_longer_claims(backend: str) -> None:
    check(backend, LONGER)


def check(backend: str, files: list[Path]) -> None:
    """Run the files with another back end."""
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # Importing a back end raises its own deprecation warnings, which are not ours to mend.
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "default", "--no-header"]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "pytest", *options, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=HERE.parents[2])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " skipped" not in done.stdout.splitlines()[-1]
