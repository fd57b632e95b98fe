"""The forward pass of ``core.facts.arch.ConvNet``, of one model."""

from __future__ import annotations

from collections.abc import Mapping

from jax import Array, lax

from initlab.core.facts.arch import ConvNet
from initlab.frameworks.jax.activations import activation

# Images with their channels last, as Keras and JAX hold them; kernels in the canonical layout.
_LAYOUT = ("NHWC", "OIHW", "NHWC")


def convnet_logits(arch: ConvNet, params: Mapping[str, Array], x: Array) -> Array:
    """The logits (rows, classes) of images (rows, height, width, channels).

    Args:
        arch: The architecture.
        params: By canonical path, in the canonical layout.
        x: The images.

    Example:
        >>> import jax.numpy as jnp
        >>> arch = ConvNet((1, 1), classes=1, bias=False)
        >>> params = {"0/weight": jnp.ones((1, 1, 3, 3)), "1/weight": jnp.ones((1, 1))}
        >>> float(convnet_logits(arch, params, jnp.ones((1, 2, 2, 1)))[0, 0])      # each place sees all four
        4.0
    """
    f = activation(arch.activation)
    pad = (arch.kernel // 2, arch.kernel // 2)
    for i, layer in enumerate(arch.layers):
        z = lax.conv_general_dilated(
            x,
            params[f"{i}/weight"],
            window_strides=(layer.stride, layer.stride),
            padding=(pad, pad),
            dimension_numbers=_LAYOUT,
            feature_group_count=layer.groups,
        )
        x = f(z + params[f"{i}/bias"] if arch.bias else z)
    head = len(arch.layers)
    logits = x.mean((1, 2)) @ params[f"{head}/weight"].T
    return logits + params[f"{head}/bias"] if arch.bias else logits
