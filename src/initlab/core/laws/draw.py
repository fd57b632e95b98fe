"""The one place that draws weights: a law, a shape, a seed and a path give an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import DTypeLike, NDArray

from initlab.core.draws.dtypes import weight_dtype
from initlab.core.draws.selection import Index, check_shape
from initlab.core.draws.streams import stream
from initlab.core.laws import Law


def draw(
    law: Law,
    shape: Sequence[SupportsIndex],
    *,
    seed: SupportsIndex,
    path: str = "weight",
    dtype: DTypeLike = "float32",
    index: Index | None = None,
) -> NDArray[np.floating]:
    """The weights that the law, the seed and the path name: the same bits on every machine and in every framework.

    Laws whose entries are independent draw only what ``index`` picks, so ten entries of a tensor of 2^40 cost ten.
    Orthogonal laws go through BLAS, whose builds may differ in the last bit of float64; all else is exact.

    Args:
        law: The law of the weights.
        shape: Shape of the whole tensor, ``(out, in / groups, *kernel)``.
        seed: A whole number of any size, 0 or more.
        path: The canonical path of the parameter; two parameters with one path get the same noise.
        dtype: ``float64``, ``float32``, ``float16`` or ``bfloat16``. The narrow two are the float32 weights, cast.
        index: A tuple of slices, whole numbers or integer arrays; the result is that part of the whole, bit for bit.

    Returns:
        A new array.

    Raises:
        OptionError: A seed or dtype that weights are not drawn with.
        ShapeError: A shape the law cannot take, or an index that does not fit the shape.
        MissingDependencyError: bfloat16 without the package that defines it.

    Example:
        >>> from initlab.core.laws import Uniform
        >>> whole = draw(Uniform(-1.0, 1.0), (4, 3), seed=0)
        >>> part = draw(Uniform(-1.0, 1.0), (4, 3), seed=0, index=(slice(2, 4), np.array([0, 2])))
        >>> bool((part == whole[2:4, [0, 2]]).all())
        True
    """
    sizes = check_shape(shape)
    law.check(sizes)
    return law.draw(sizes, stream(seed, path), dtype=weight_dtype(dtype), index=index)
