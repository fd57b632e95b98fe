"""Which activation a function of torch's is; see ``reading.recognition``."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from initlab.frameworks.reading.graph import Function
from initlab.frameworks.reading.recognition import Recognised, recognised


def recognise(function: Function) -> Recognised:
    """The activation that a function of each entry of a tensor is.

    Example:
        >>> recognise(lambda z: z * torch.sigmoid(z)).f
        'silu'
        >>> recognise(lambda z: torch.where(z > 0, z, 0.2 * z)).f
        'leaky_relu(negative_slope=0.2)'
        >>> recognise(lambda z: z / 4).slope
        0.25
        >>> round(recognise(lambda z: 0.5 * z.relu()).moment, 9)      # 1/4 of 1/2
        0.125
    """
    return recognised(lambda x: evaluate(function, x))


def evaluate(function: Function, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """What a function of tensors makes of numbers; None where it cannot take them."""
    try:
        with torch.no_grad():
            made: NDArray[np.float64] = function(torch.from_numpy(np.array(x, np.float64))).double().numpy()
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError, AssertionError):
        return None
    return made
