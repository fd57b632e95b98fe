"""The phase diagram: over a plane of weight and bias scales, where networks are ordered and where chaotic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from initlab.core.erf import Array
from initlab.core.errors import OptionError
from initlab.theory.activations import activation
from initlab.theory.criticality import CriticalPoint, critical_curve
from initlab.theory.expectations import ActivationLike
from initlab.theory.rules import MomentTable, moment_table

_SAME = 1e-12


@dataclass(frozen=True)
class PhaseDiagram:
    """``chi_1`` over a grid of standard deviations, and the edge of chaos between the phases.

    Attributes:
        sigma_w: Ascending ``sigma_w``, the columns.
        sigma_b: Ascending ``sigma_b``, the rows.
        chi_1: ``chi_1`` at the fixed point that a signal of variance 1 runs into, a row for each ``sigma_b``: below 1
            ordered, above 1 chaotic, None where the signal dies out or explodes.
        edge: The edge of chaos, in ascending ``q``.
    """

    sigma_w: tuple[float, ...]
    sigma_b: tuple[float, ...]
    chi_1: tuple[tuple[float | None, ...], ...]
    edge: tuple[CriticalPoint, ...]


def phase_diagram(
    f: ActivationLike, *, sigma_w: Sequence[float] | None = None, sigma_b: Sequence[float] | None = None
) -> PhaseDiagram:
    """The phase diagram of an activation, sampled for a picture: ``chi_1`` to about 1e-2 of its size.

    Args:
        f: The activation.
        sigma_w: Standard deviations of a weight times the root of its fan-in, ascending; by default 30 up to 3.
        sigma_b: Those of a bias, ascending; by default 21 up to 1.

    Returns:
        The diagram.

    Raises:
        OptionError: An empty axis, or one that does not ascend from 0 or more.

    Example:
        >>> found = phase_diagram("tanh", sigma_w=[0.5, 3.0], sigma_b=[0.1])
        >>> [value < 1.0 for value in found.chi_1[0]]      # ordered, chaotic
        [True, False]
    """
    act = activation(f)
    weights = _axis(np.linspace(0.1, 3.0, 30) if sigma_w is None else sigma_w, "sigma_w")
    biases = _axis(np.linspace(0.0, 1.0, 21) if sigma_b is None else sigma_b, "sigma_b")
    table = moment_table(act)
    start = min(int(np.searchsorted(table.q, 1.0)), len(table.q) - 1)
    rows = [[_chi(float(w) ** 2, float(b) ** 2, table, start) for w in weights] for b in biases]
    return PhaseDiagram(
        tuple(weights.tolist()), tuple(biases.tolist()), tuple(tuple(row) for row in rows), critical_curve(act)
    )


def _axis(values: Sequence[float] | Array, name: str) -> Array:
    axis = np.array(values, dtype=np.float64)
    if axis.ndim != 1 or axis.size == 0 or axis[0] < 0.0 or bool(np.any(np.diff(axis) <= 0.0)):
        raise OptionError(f"{name} = {values!r}", fix="give ascending numbers of 0 or more")
    return axis


def _chi(weight: float, bias: float, table: MomentTable, start: int) -> float | None:
    """``chi_1`` where ``V(q) / q - 1`` first changes its sign on the way from the tabled ``q`` next to 1."""
    surplus = (weight * table.second + bias) / table.q - 1.0
    if abs(surplus[start]) < _SAME:
        return weight * float(table.slope_second[start])
    rises = bool(surplus[start] > 0.0)
    # Upwards where the map grows a signal, else downwards.
    turned = np.flatnonzero(surplus[start:] <= 0.0) + start if rises else np.flatnonzero(surplus[:start] > 0.0)
    if turned.size == 0:
        return None
    below = int(turned[0]) - 1 if rises else int(turned[-1])
    share = surplus[below] / (surplus[below] - surplus[below + 1])
    return weight * float((1.0 - share) * table.slope_second[below] + share * table.slope_second[below + 1])
