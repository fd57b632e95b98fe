"""Packages that initlab can do without, and the extra that brings each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from initlab.core.errors import MissingDependencyError

EXTRAS = {
    "flax": "flax",
    "jax": "jax",
    "keras": "keras",
    "numba": "fast",
    "optax": "jax",
    "pooch": "lab",
    "pyarrow": "lab",
    "ray": "ray",
    "rich": "cli",
    "safetensors": "cli",
    "scipy": "lab",
    "torch": "torch",
    "typer": "cli",
    "vl_convert": "report",
}
"""By the name under which a package is imported."""


@contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Within it, a package that is not installed is an error that names the extra which brings it.

    Args:
        what: What cannot be done without it, in words.

    Raises:
        MissingDependencyError: An import found no package of ``EXTRAS``.

    Example:
        >>> with needed_by("the report"):
        ...     raise ModuleNotFoundError("No module named 'scipy'", name="scipy.special")
        Traceback (most recent call last):
        initlab.core.errors.MissingDependencyError: the report needs scipy: pip install 'initlab[lab]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        lacking = missing(error, what)
        if lacking is None:
            raise
        raise lacking from error


def missing(error: ModuleNotFoundError, what: str) -> MissingDependencyError | None:
    """The error that names the extra; None where no extra of initlab's brings what is missing."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return MissingDependencyError(f"{what} needs {package}", fix=f"pip install 'initlab[{EXTRAS[package]}]'")
