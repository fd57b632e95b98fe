"""The broken networks of the museum in Keras, each beside its healthy twin.

Each pair is a function ``broken_NAME`` and a function ``mended_NAME``; what the two share stands between them. Every
initializer has a seed of its own, so that Keras' global one is left alone.
"""

from __future__ import annotations

import math
from types import FunctionType
from typing import Any

import keras

from initlab.core.errors import OptionError

# A Keras model or layer; the package has no types.
Model = Any
Initializer = Any


def exhibit(name: str) -> FunctionType:
    """The function that builds a model.

    Raises:
        OptionError: There is none of that name.
    """
    found = globals().get(name)
    if not isinstance(found, FunctionType):
        raise OptionError(f"the museum has no Keras model '{name}'", fix="initlab museum list")
    return found


def normal(std: float, seed: int) -> Initializer:
    """A normal law of mean 0 with a seed of its own."""
    return keras.initializers.RandomNormal(stddev=std, seed=seed)


def mlp(
    activation: str, *, depth: int, width: int, gain: float = 1.0, bias_std: float = 0.0, bias: float = 0.0
) -> Model:
    """Dense layers whose weights have std ``gain / sqrt(fan_in)``."""
    hidden = []
    for i in range(depth):
        biases = normal(bias_std, 1000 + i) if bias_std else keras.initializers.Constant(bias)
        weights = normal(gain / math.sqrt(width), i)
        hidden.append(keras.layers.Dense(width, activation, kernel_initializer=weights, bias_initializer=biases))
    head = keras.layers.Dense(10, kernel_initializer=normal(width**-0.5, depth))
    return keras.Sequential([keras.Input((64,)), *hidden, head])


def filled(model: Model, value: float) -> Model:
    """The model with every parameter set to one value."""
    for variable in model.trainable_variables:
        variable.assign(keras.ops.full(variable.shape, value))
    return model


# 1


def broken_zeros() -> Model:
    """Every hidden layer starts at zero."""
    return filled(mlp("relu", depth=3, width=64), 0.0)


def mended_zeros() -> Model:
    """Draw the weights at random and keep zero for the biases."""
    return mlp("relu", depth=3, width=64, gain=math.sqrt(2.0))


# 2


def broken_constant() -> Model:
    """All weights have one value."""
    return filled(mlp("tanh", depth=3, width=64), 0.05)


def mended_constant() -> Model:
    """Draw at random from a fixed seed: that can be repeated too."""
    return mlp("tanh", depth=3, width=64)


# 3


def broken_loud_relu() -> Model:
    """Standard normal weights in a deep ReLU net."""
    width = 64
    return mlp("relu", depth=10, width=width, gain=math.sqrt(width))


def mended_loud_relu() -> Model:
    """Divide by the root of the fan: std sqrt(2 / fan_in) for ReLU."""
    return mlp("relu", depth=10, width=64, gain=math.sqrt(2.0))


# 5


def broken_depthwise() -> Model:
    """Depthwise kernels with the fan of a full convolution."""
    # he_normal takes the fan of a depthwise kernel for that of a full convolution: channels * 9.
    return separable_net(lambda seed: keras.initializers.HeNormal(seed=seed))


def separable_net(depthwise: Any, channels: int = 32) -> Model:
    """Blocks of a depthwise and a pointwise convolution, without norms."""
    layers: list[Any] = [
        keras.layers.Conv2D(
            channels, 3, padding="same", activation="relu", use_bias=False, kernel_initializer=he_of(9 * 3, 0)
        )
    ]
    for i in range(1, 4):
        layers += [
            keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, depthwise_initializer=depthwise(i)),
            keras.layers.Conv2D(
                channels, 1, activation="relu", use_bias=False, kernel_initializer=he_of(channels, 10 + i)
            ),
        ]
    head = keras.layers.Dense(10, kernel_initializer=normal(channels**-0.5, 20))
    return keras.Sequential([keras.Input((3, 12, 12)), first_to_last(), *layers, pooled(), head])


def he_of(fan: int, seed: int) -> Initializer:
    """He's normal law for a fan."""
    return normal(math.sqrt(2.0 / fan), seed)


def first_to_last() -> Any:
    """Channels first to channels last."""
    return keras.layers.Permute((2, 3, 1))


def pooled() -> Any:
    """The mean over places."""
    return keras.layers.GlobalAveragePooling2D()


def mended_depthwise() -> Model:
    """Take the fan from in_channels / groups, as the weight's shape has it."""
    return separable_net(lambda seed: normal(1.0 / 3.0, seed))


# 6


def broken_tied_embedding() -> Model:
    """A tied head on an embedding of variance 1."""
    return tied_model(std=1.0)


def tied_model(*, std: float, words: int = 1000, width: int = 512) -> Model:
    """Words in, words out, through one table."""
    table = keras.layers.Embedding(words, width, embeddings_initializer=normal(std, 0))
    inputs = keras.Input((16,), dtype="int64")
    hidden = keras.layers.Dense(width, "gelu", kernel_initializer=normal(width**-0.5, 1))(table(inputs))
    hidden = keras.layers.Dense(width, kernel_initializer=normal(width**-0.5, 2))(hidden)
    return keras.Model(inputs, TiedHead(table)(keras.layers.LayerNormalization()(hidden)))


class TiedHead(keras.layers.Layer):  # type: ignore[misc]
    """A head whose weights are an embedding's."""

    def __init__(self, table: Any) -> None:
        super().__init__()
        self.table = table

    def call(self, hidden: Any) -> Any:
        """Logits."""
        return keras.ops.matmul(hidden, keras.ops.transpose(self.table.embeddings))


def mended_tied_embedding() -> Model:
    """Draw a tied embedding with std 0.02, or 1/sqrt(width)."""
    return tied_model(std=0.02)


# 7


def broken_cloned_layers() -> Model:
    """Encoder layers that are copies of one."""
    shared = normal(32**-0.5, seed=0)  # draws the same numbers wherever it is used
    return token_net([shared] * 4)


def token_net(initializers: list[Initializer], width: int = 32) -> Model:
    """Dense layers on tokens, the mean over them, and a head."""
    layers = [keras.layers.Dense(width, "tanh", kernel_initializer=one) for one in initializers]
    head = keras.layers.Dense(10, kernel_initializer=normal(width**-0.5, 9))
    return keras.Sequential([keras.Input((10, width)), *layers, keras.layers.GlobalAveragePooling1D(), head])


def mended_cloned_layers() -> Model:
    """Draw every layer anew after the encoder is built; in Keras, give each layer an initializer of its own."""
    return token_net([normal(32**-0.5, seed=i) for i in range(4)])


# 9


def broken_dead_relu() -> Model:
    """ReLUs that a bias has killed."""
    return mlp("relu", depth=3, width=64, gain=math.sqrt(2.0), bias=-3.0)


def mended_dead_relu() -> Model:
    """Set the biases of ReLU layers to zero."""
    return mlp("relu", depth=3, width=64, gain=math.sqrt(2.0))


# 10


def broken_tanh_gain() -> Model:
    """Fifty layers of tanh at a gain of 5/3."""
    return mlp("tanh", depth=50, width=64, gain=5.0 / 3.0)


def mended_tanh_gain() -> Model:
    """Go to the edge of chaos: std 1.327/sqrt(fan_in) with biases of std 0.224."""
    return mlp("tanh", depth=50, width=64, gain=math.sqrt(1.76095), bias_std=math.sqrt(0.05))


# 11


def broken_zero_queries() -> Model:
    """Learnable queries that start at zero."""
    return query_pool("zeros")


def query_pool(initializer: Initializer, *, width: int = 32) -> Model:
    """A few learnable queries look at the tokens of a sample."""
    inputs = keras.Input((12, width))
    tokens = keras.layers.Dense(width, kernel_initializer=normal(width**-0.5, 0))(inputs)
    queries = Queries(initializer, width=width)(tokens)
    attention = keras.layers.MultiHeadAttention(4, width // 4)
    found = keras.layers.GlobalAveragePooling1D()(attention(queries, tokens))
    for i, variable in enumerate(attention.trainable_variables):
        if variable.name == "kernel":  # one seeded initializer would draw queries, keys and values alike
            variable.assign(normal(width**-0.5, 100 + i)(variable.shape))
    return keras.Model(inputs, keras.layers.Dense(10, kernel_initializer=normal(width**-0.5, 2))(found))


class Queries(keras.layers.Layer):  # type: ignore[misc]
    """A few learnable queries, the same for every sample."""

    def __init__(self, initializer: Initializer, *, width: int, count: int = 4) -> None:
        super().__init__()
        self.queries = self.add_weight(shape=(count, width), initializer=initializer, name="queries")

    def call(self, tokens: Any) -> Any:
        """The queries, once a sample."""
        rows = keras.ops.shape(tokens)[0]
        return keras.ops.broadcast_to(self.queries, (rows, *self.queries.shape))


def mended_zero_queries() -> Model:
    """Draw the queries at random, std 0.02."""
    return query_pool(normal(0.02, 3))


# 12


def broken_sigmoid_stack() -> Model:
    """A stack of sigmoids."""
    return mlp("sigmoid", depth=8, width=64)


def mended_sigmoid_stack() -> Model:
    """Take tanh or ReLU with its own gain; a norm in between helps a sigmoid."""
    return mlp("tanh", depth=8, width=64)


# 14


def broken_saturated() -> Model:
    """Tanh units that stand at their ends."""
    return mlp("tanh", depth=4, width=64, gain=8.0)


def mended_saturated() -> Model:
    """Divide by the root of the fan."""
    return mlp("tanh", depth=4, width=64)


# 15


def broken_growing_stream() -> Model:
    """A residual stream that doubles in every block."""
    return residual_mlp(scale=1.0)


def residual_mlp(*, scale: float, width: int = 64, depth: int = 16) -> Model:
    """Residual blocks without norms."""
    x = inputs = keras.Input((width,))
    for i in range(depth):
        branch = keras.layers.Dense(width, "relu", kernel_initializer=normal(width**-0.5, 2 * i))(x)
        last = normal(scale * math.sqrt(2.0 / width), 2 * i + 1)
        x = keras.layers.Add()([x, keras.layers.Dense(width, kernel_initializer=last)(branch)])
    return keras.Model(inputs, keras.layers.Dense(10, kernel_initializer=normal(width**-0.5, 2 * depth))(x))


def mended_growing_stream() -> Model:
    """Start the last layer of every branch at zero, or scale it by 1/sqrt(L)."""
    return residual_mlp(scale=16**-0.5)
