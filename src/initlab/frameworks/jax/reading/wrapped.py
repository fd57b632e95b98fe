"""Weights that a wrapper of ``nnx`` computes before each call of its layer, from the layer's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from initlab.core.laws.singular import largest_singular
from initlab.frameworks.jax.reading.parameters import Entry, value_of


@dataclass(frozen=True)
class Wrapped:
    """A parameter of a layer inside a wrapper.

    Attributes:
        wrapper: The wrapper.
        path: The parameter's path in the layer, as the wrapper knows it.
    """

    wrapper: Any
    path: tuple[Any, ...]

    @property
    def is_divided(self) -> bool:
        """Whether the layer uses it over its largest singular value."""
        return isinstance(self.wrapper, nnx.SpectralNorm)

    def made(self, value: Any) -> Any:
        """What the layer uses where its parameter holds this value; of a spectral norm what is divided."""
        if self.is_divided:
            return value
        scale = self.wrapper.scales[self.path] if self.wrapper.use_scale else jnp.ones(())
        unit = value / self._lengths(value)
        return unit * jnp.asarray(scale).reshape(self._features(value) if self.wrapper.use_scale else ())

    def follow(self, value: Any) -> None:
        """Set what the wrapper holds beside the parameter to this value of it."""
        if not self.is_divided:
            if self.wrapper.use_scale:
                before = self.wrapper.scales[self.path]
                self.wrapper.scales[self.path] = self._lengths(value).reshape(before.shape).astype(before.dtype)
            return
        found = largest_singular(np.asarray(value, np.float64).reshape(-1, value.shape[-1]))
        for name, now in (("u", found.right[None]), ("sigma", found.value)):
            variable = self.wrapper.batch_stats[(*self.path, name)]
            variable.set_value(jnp.asarray(now, value_of(variable).dtype))

    @contextmanager
    def restored(self) -> Iterator[None]:
        """After it, the wrapper holds what it held before."""
        held = self.wrapper.batch_stats if self.is_divided else self.wrapper.scales
        before = {} if held is None else dict(held)
        values = {key: value_of(one) for key, one in before.items() if isinstance(one, nnx.Variable)}
        try:
            yield
        finally:
            for key, one in before.items():
                held[key] = one
                if key in values:
                    one.set_value(values[key])

    def _features(self, value: Any) -> tuple[int, ...]:
        given = self.wrapper.feature_axes
        axes = {axis % value.ndim for axis in ((given,) if isinstance(given, int) else given)}
        return tuple(n if axis in axes else 1 for axis, n in enumerate(value.shape))

    def _lengths(self, value: Any) -> Any:
        axes = tuple(axis for axis, n in enumerate(self._features(value)) if n == 1)
        return jnp.sqrt(jnp.sum(value * value, axis=axes, keepdims=True) + self.wrapper.epsilon)


def wrapped(entry: Entry) -> Wrapped | None:
    """The wrapper that computes a weight; None of a parameter that its layer uses as it is."""
    wrapper = next((m for m in entry.modules if isinstance(m, nnx.WeightNorm | nnx.SpectralNorm)), None)
    if wrapper is None:
        return None
    for path, held in nnx.to_flat_state(nnx.state(wrapper.layer_instance, nnx.Param)):
        if tuple(map(str, path)) == entry.parts[len(entry.parts) - len(path) :]:
            is_taken = (
                wrapper.variable_filter(path, held)
                if isinstance(wrapper, nnx.WeightNorm)
                else len(entry.shape) > 1 and wrapper.n_steps > 0 and prod(entry.shape) > 0
            )
            return Wrapped(wrapper, path) if is_taken else None
    return None
