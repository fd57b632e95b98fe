"""The derivative of a model's output by its input, of one sample."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from initlab.core.errors import OptionError
from initlab.frameworks.reading.loss import main_output
from initlab.frameworks.torch.probing.loss import ARRAYS
from initlab.frameworks.torch.reading.untouched import preserved

MOST_ENTRIES = 1 << 22
"""Entries of the largest Jacobian that is taken."""


def jacobian(model: object, row: object) -> NDArray[np.float64]:
    """The matrix ``d output / d input``, of shape (outputs, inputs); the model, in evaluation mode, is left as it was.

    Args:
        model: The module.
        row: One sample, with the axis of samples: of shape (1, ...), real numbers.

    Returns:
        The matrix.

    Raises:
        OptionError: Not a module, more than one sample, no real numbers in or out, or too large a matrix.

    Example:
        >>> net = nn.Linear(2, 1, bias=False)
        >>> _ = net.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
        >>> jacobian(net, torch.zeros(1, 2)).tolist()
        [[3.0, 4.0]]
    """
    if not isinstance(model, nn.Module):
        raise OptionError(f"{type(model).__name__} is not a torch model", fix="give a torch.nn.Module")
    given = row if isinstance(row, Tensor) else torch.as_tensor(np.asarray(row))
    if given.dim() < 2 or given.shape[0] != 1 or not given.is_floating_point():
        found = f"{given.dtype} of shape {tuple(given.shape)}"
        raise OptionError(f"a Jacobian by {found}", where="row", fix="give one sample of real numbers, (1, ...)")
    with preserved(model), torch.enable_grad():
        start = given.detach().clone().requires_grad_(True)
        output = main_output(model(start), ARRAYS)
        if output is None or not output.requires_grad:
            raise OptionError("no gradient passes the model's output", fix="remove no_grad and detach from its forward")
        flat = output.reshape(-1)
        if flat.numel() * start.numel() > MOST_ENTRIES:
            size = f"{flat.numel()} x {start.numel()}"
            raise OptionError(f"a Jacobian of {size} entries", fix=f"give a model of at most {MOST_ENTRIES}")
        rows = [torch.autograd.grad(flat[i], start, retain_graph=True)[0].reshape(-1) for i in range(flat.numel())]
        return np.asarray(torch.stack(rows).detach().cpu().double().numpy(), dtype=np.float64)
