"""Tensors of Keras' back end as arrays."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


def to_numpy(tensor: Any) -> NDArray[np.generic]:
    """A tensor of the present back end as an array; narrow floats may come out as float32."""
    if hasattr(tensor, "detach"):  # torch: Keras' own way round raises a warning of NumPy 2 for each tensor
        bare = tensor.detach().cpu()
        narrow = bare.is_floating_point() and bare.element_size() < 4
        return np.asarray((bare.float() if narrow else bare).numpy())
    return np.asarray(keras.ops.convert_to_numpy(tensor))
