"""The architectures of ``core.facts.arch`` as Keras models."""

from __future__ import annotations

from typing import Any

import keras

from initlab.core.facts.arch import Architecture, ConvNet, Mlp
from initlab.frameworks.keras.activations import activation
from initlab.frameworks.keras.writing.state import seeded


def build_mlp(arch: Mlp) -> Any:
    """The Keras model of an ``Mlp``; its canonical paths are those of ``arch.spec()``.

    Dense -> norm -> activation -> + skip -> dropout in each hidden layer, then the linear output layer, with Keras'
    own epsilon and momentum in the norms.

    Args:
        arch: The architecture.

    Returns:
        A functional ``keras.Model`` from (rows, features) to (rows, outputs).

    Raises:
        OptionError: An activation that Keras cannot make.

    Example:
        >>> model = build_mlp(Mlp((4, 8, 3), norm="layer"))
        >>> [v.path for v in model.trainable_variables][:4]
        ['0/kernel', '0/bias', 'norm_0/gamma', 'norm_0/beta']
    """
    f = activation(arch.activation)
    x = h = keras.Input((arch.widths[0],), name="x")
    for i, width in enumerate(arch.widths[1:]):
        z = keras.layers.Dense(width, use_bias=arch.bias, name=str(i))(h)
        if i == arch.depth - 1:
            return keras.Model(x, z, name="mlp")
        if arch.norm == "layer":
            z = keras.layers.LayerNormalization(name=f"norm_{i}")(z)
        elif arch.norm == "batch":
            z = keras.layers.BatchNormalization(name=f"norm_{i}")(z)
        a = keras.layers.Activation(f, name=f"activation_{i}")(z)
        h = keras.layers.Add(name=f"skip_{i}")([a, h]) if arch.has_skip(i) else a
        if arch.dropout:
            h = keras.layers.Dropout(arch.dropout, name=f"dropout_{i}")(h)
    raise AssertionError("an Mlp has an output layer")


def build_convnet(arch: ConvNet) -> Any:
    """The Keras model of a ``ConvNet``; its canonical paths are those of ``arch.spec()``.

    Padding is a layer of its own, since Keras' "same" pads strided convolutions unevenly.

    Args:
        arch: The architecture.

    Returns:
        A functional ``keras.Model`` from (rows, height, width, channels), of any height and width, to (rows, classes).

    Raises:
        OptionError: An activation that Keras cannot make.

    Example:
        >>> model = build_convnet(ConvNet((1, 4, 8), classes=3, strides=(2, 1)))
        >>> model.count_params(), model.output_shape      # (9 + 1) 4 + (4 * 9 + 1) 8 + (8 + 1) 3
        (363, (None, 3))
    """
    f = activation(arch.activation)
    last = "channels_last"
    x = h = keras.Input((None, None, arch.channels[0]), name="x")
    for i, (_, n_out, stride, groups) in enumerate(arch.layers):
        h = keras.layers.ZeroPadding2D(arch.kernel // 2, data_format=last, name=f"padding_{i}")(h)
        h = keras.layers.Conv2D(
            n_out, arch.kernel, strides=stride, groups=groups, use_bias=arch.bias, data_format=last, name=str(i)
        )(h)
        h = keras.layers.Activation(f, name=f"activation_{i}")(h)
    h = keras.layers.GlobalAveragePooling2D(data_format=last, name="pooling")(h)
    head = keras.layers.Dense(arch.classes, use_bias=arch.bias, name=str(len(arch.layers)))
    return keras.Model(x, head(h), name="convnet")


def build(arch: Architecture, *, seed: int = 0) -> Any:
    """The architecture as a functional model, with the weights that Keras itself gives its layers under a seed."""
    with seeded(seed):
        return build_mlp(arch) if isinstance(arch, Mlp) else build_convnet(arch)
