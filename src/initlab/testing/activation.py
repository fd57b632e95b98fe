"""The conformance suite of an activation: one function, its slope, and the same in the frameworks that train it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import numpy as np

from initlab.testing.holding import hold
from initlab.theory import activation
from initlab.theory.differentiation import numerical_derivative
from initlab.theory.expectations import value_moments

# Off the round numbers, where most kinks are.
_GRID = np.linspace(-6.0, 6.0, 241) + 0.00123


def check_activation(name: str, *, frameworks: Sequence[str] = ()) -> None:
    """Holds a registered activation to what every activation keeps.

    Args:
        name: Its name, or a call with options.
        frameworks: Those in which it shall train, of ``torch``, ``keras`` and ``jax``; each is imported.

    Raises:
        AssertionError: What the activation does otherwise.
        UnknownNameError: No activation has the name.
        OptionError: A framework has no function for it.

    Example:
        >>> check_activation("gelu")
    """
    found = activation(name)
    values = found(_GRID)
    hold(values.shape == _GRID.shape and values.dtype == np.float64, f"{name}: an array becomes another", values.shape)
    hold(np.array_equal(found(_GRID.reshape(-1, 1))[:, 0], values), f"{name}: an entry depends on its neighbours")
    hold(bool(np.isfinite(value_moments(found, 1.0).second)), f"{name}: E f(z)^2 of a standard normal z is not finite")
    hold(found.kinks == tuple(sorted(set(found.kinks))), f"{name}: the kinks do not ascend", found.kinks)
    hold(bool(found.formula and found.source), f"{name}: the registration says no formula, or no source")
    _check_slope(name, found.kinks)
    for framework in frameworks:
        room = import_module(f"initlab.frameworks.{framework}.activations")
        x = _GRID.astype(np.float32)
        there = np.asarray(room.ARRAYS.trial(room.activation(name), x), dtype=np.float64)
        off = float(np.max(np.abs(there - found(x)) / np.maximum(np.abs(values), 1.0)))
        hold(off < 1e-4, f"{name}: in {framework} it is another function, by up to", off)


def _check_slope(name: str, kinks: tuple[float, ...]) -> None:
    """The slope that is declared is that of the values, off the kinks."""
    found = activation(name)
    near = np.array([min((abs(x - kink) for kink in kinks), default=np.inf) for x in _GRID])
    x = _GRID[near > 1e-2]
    said, seen = found.slope(x), numerical_derivative(found.f, kinks=kinks)(x)
    off = np.abs(said - seen) / np.maximum(np.abs(seen), 1.0)
    hold(float(off.max()) < 1e-6, f"{name}: the derivative is not that of the values at x", x[int(off.argmax())])
