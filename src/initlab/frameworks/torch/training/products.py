"""A dense layer's matrix products outside autograd: large ones by oneDNN, small ones by the BLAS that torch calls."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LARGE = 1 << 20
"""Multiplications from which on oneDNN is faster, on one AVX-512 core of an AMD EPYC: it takes 75 us for (64, 784)
times (784, 128) and MKL 130, but 13 us for (64, 128) times (128, 10) and MKL 6."""

# What torch.compile calls for a dense layer; a build of torch without oneDNN lacks it.
_HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if _HAS_ONEDNN else None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``, which autograd does not follow; a product's shape alone decides who computes it.

    Args:
        x: (rows, inputs); a transposed view is as good.
        weight: (outputs, inputs), likewise.
        bias: (outputs,), or none.

    Example:
        >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([5.0]))
        tensor([[16.]])
    """
    if _ONEDNN is None or x.shape[0] * weight.numel() < LARGE:
        return functional.linear(x, weight, bias)
    product: Tensor = _ONEDNN(x, weight, bias, "none", [], "")
    return product
