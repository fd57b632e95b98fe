"""The dropout masks of ``core.training.dropout`` as a layer on any back end.

Torch has no product of uint32, so the words are int32, which wrap round alike everywhere.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from initlab.core.training import dropout


def _shifted(x: Any, places: int) -> Any:
    """The word moved right; the shift of an int32 repeats its sign, which is taken off."""
    return ops.bitwise_and(ops.bitwise_right_shift(x, places), (1 << (32 - places)) - 1)


class KeyedDropout(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Dropout whose mask is a function of (key, step, layer, element), the same in every framework.

    Args:
        rate: Share of the elements dropped, in (0, 1), rounded to a multiple of 2^-32.
        layer: The dense layer, counted from 0.
        name: The layer's name.
    """

    def __init__(self, rate: float, layer: int, *, name: str) -> None:
        super().__init__(name=name)
        self.rate, self.layer = rate, layer
        self.key = self._whole("key", (2,))
        self.step = self._whole("step", ())

    def _whole(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(name=name, shape=shape, dtype="int32", initializer="zeros", trainable=False)

    def begin(self, key: Any) -> None:
        """Start at step 0 with a model's key, int32 (2,)."""
        self.key.assign(key)
        self.step.assign(0)

    def call(self, x: Any, training: bool = False) -> Any:
        """``x`` in evaluation; in training some of it zero, the rest times 1 / (1 - rate), and a step later."""
        if not training:
            return x
        shape = ops.shape(x)
        element = ops.reshape(ops.arange(shape[0] * shape[1], dtype="int32"), shape)
        key, step = (ops.convert_to_tensor(variable) for variable in (self.key, self.step))
        place = step * dropout.signed(dropout.STEP) + dropout.signed(self.layer * dropout.LAYER)
        words = dropout.words(key, place, element, word=dropout.signed, shift=_shifted)
        self.step.assign(self.step + 1)
        # Words compare as unsigned numbers once 2^31 is taken from both sides.
        keep = (words ^ dropout.signed(1 << 31)) >= dropout.threshold_of(self.rate) - (1 << 31)
        return ops.where(keep, x * (1.0 / (1.0 - self.rate)), 0.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape
