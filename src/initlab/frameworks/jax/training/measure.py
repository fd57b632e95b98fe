"""Statistics of a dense layer's weights, activations and gradients."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def layer_statistics(weight: Array, activation: Array, gradient: Array) -> Array:
    """The numbers of ``core.training.outcomes.LAYER_METRICS``, in that order, of one dense layer.

    Args:
        weight: The layer's weight.
        activation: (rows, units), its output on the probe batch.
        gradient: Of the probe batch's loss by the weight.
    """
    moments = [m for x in (weight, activation, gradient) for m in (x.mean(), x.var(), jnp.sqrt(jnp.sum(x * x)))]
    dead = jnp.mean(jnp.all(activation == 0.0, axis=0))
    return jnp.stack([*moments, dead])
