"""A parameter's numbers between its own memory and the canonical layout, in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from initlab.core.adapter import Source
from initlab.core.draws.dtypes import weight_dtype
from initlab.core.errors import OptionError, ShapeError
from initlab.frameworks.reading.layout import Layout
from initlab.frameworks.torch.reading.parameters import numbers

CHUNK = 1 << 22  # entries drawn at a time: 16 MB of float32


def canonical_views(tensor: torch.Tensor, layout: Layout) -> list[torch.Tensor]:
    """Views of a tensor's own memory that make up the canonical layout, one after the other along axis 0."""
    bare = tensor.detach()
    return [part.permute(layout.order) for part in bare.chunk(layout.groups)] if layout.order else [bare]


def read(tensor: torch.Tensor, layout: Layout) -> NDArray[np.generic]:
    """A copy in the canonical layout: float64 for float64, else float32; of a complex tensor complex ones of these."""
    views = [numbers(view) for view in canonical_views(tensor, layout)]
    if tensor.is_complex():
        views = [
            view.view(np.complex128 if tensor.dtype == torch.complex128 else np.complex64)[..., 0] for view in views
        ]
    return np.array(np.concatenate(views) if len(views) > 1 else views[0], order="C", copy=True)


def as_array(tensor: torch.Tensor) -> NDArray[np.generic]:
    """A tensor in its own layout and type as a read-only array, without a copy where its memory allows."""
    bare = tensor.detach().cpu().contiguous()
    if bare.dtype == torch.bfloat16:
        array = bare.view(torch.int16).numpy().view(weight_dtype("bfloat16"))
    else:
        array = bare.numpy()
    shown: NDArray[np.generic] = array.view()
    shown.setflags(write=False)
    return shown


def write(tensor: torch.Tensor, layout: Layout, source: Source) -> None:
    """Draw into a tensor's own memory: no more than one chunk of extra memory where the law's entries are independent.

    Raises:
        ShapeError: The source's shape is not the tensor's canonical one.
        OptionError: A tensor of numbers that are not drawn, whole ones for instance.
    """
    param = source.param
    if layout.shape != param.shape:
        raise ShapeError(f"the plan is for shape {param.shape}, the parameter has {layout.shape}", where=param.native)
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise OptionError(f"{tensor.dtype} numbers are not drawn", where=param.native, fix="give floats")
    dtype = "float64" if tensor.dtype in (torch.float64, torch.complex128) else "float32"
    whole = None if source.divisible else source.part(dtype=dtype)
    start = 0
    with torch.no_grad():
        for view in canonical_views(tensor, layout):
            for index in chunks(tuple(view.shape)):
                place = index and (slice(index[0].start + start, index[0].stop + start), *index[1:])
                _put(view[index], source.part(place, dtype=dtype) if whole is None else whole[place])
            start += view.shape[0] if view.dim() else 0


def _put(view: torch.Tensor, part: NDArray[np.generic]) -> None:
    view.copy_(torch.from_numpy(np.asarray(part, order="C")))


def chunks(shape: tuple[int, ...], *, limit: int = CHUNK) -> Iterator[tuple[slice, ...]]:
    """Indices that cut a tensor into neighbouring parts of about ``limit`` entries, less than a row of axis 0 over it.

    A row that alone is longer is cut along the axes after it.

    Example:
        >>> [[(s.start, s.stop) for s in index] for index in chunks((5, 4), limit=8)]
        [[(0, 2), (0, 4)], [(2, 4), (0, 4)], [(4, 5), (0, 4)]]
    """
    ranges, cut = [], False
    for axis, size in enumerate(shape):
        row = max(prod(shape[axis + 1 :]), 1)
        step = max(size, 1) if cut else -(-limit // row)
        cut = cut or row < limit
        ranges.append([slice(at, min(at + step, size)) for at in range(0, size, step)])
    yield from product(*ranges)
