"""optax transformations from ``core.training.protocol.Optimizer``, in Keras' algebra."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array

from initlab.core.training.protocol import Optimizer


def transformation(
    optimizer: Optimizer, *, learning_rate: Array | float, step: Array | int
) -> optax.GradientTransformation:
    """The update rule at one step; its state has the same form at every step.

    Keras adds Adam's epsilon to sqrt(v), not to the bias-corrected sqrt(v / (1 - beta_2^t)) (Kingma and Ba,
    arXiv:1412.6980, end of section 2): in optax' form that is an epsilon of ``epsilon / sqrt(1 - beta_2^t)``.

    Args:
        optimizer: Its name and numbers; its own learning rate is not read.
        learning_rate: The step size, which may be traced, so that a grid of them is one compilation.
        step: The optimiser step, counted from 1.
    """
    o = optimizer
    clip = optax.identity() if o.clip_norm is None else optax.clip_by_global_norm(o.clip_norm)
    if o.name == "sgd":
        return optax.chain(clip, optax.sgd(learning_rate))
    if o.name == "momentum":
        return optax.chain(clip, optax.sgd(learning_rate, momentum=o.momentum))
    epsilon = o.epsilon / jnp.sqrt(1.0 - o.beta_2 ** jnp.asarray(step, jnp.float32))
    decay = optax.add_decayed_weights(o.weight_decay) if o.name == "adamw" else optax.identity()
    adam = optax.scale_by_adam(b1=o.beta_1, b2=o.beta_2, eps=epsilon)
    return optax.chain(clip, adam, decay, optax.scale_by_learning_rate(learning_rate))
