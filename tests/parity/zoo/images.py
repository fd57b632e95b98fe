"""Convolutions and pooling: overlapping, global, grouped, depthwise, transposed, with skips and norms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import keras
import torch
from flax import nnx
from keras import layers, ops
from tests.parity.zoo.net import RNGS, ZEROS, Input, Net, conv, flax_net, linear, torch_net
from torch import nn
from torch.nn import functional

IMAGE = (Input((8, 6, 2), is_image=True),)
EPSILON = 1e-3


def _flat(m, h):
    """Global means, then the head, in PyTorch."""
    return m.head(h.mean((2, 3)))


# Max pooling, without overlap and with it


def _torch_max(size: int, stride: int) -> nn.Module:
    def body(m, x):
        h = functional.max_pool2d(functional.relu(m.a(x)), size, stride)
        return _flat(m, functional.relu(m.b(h)))

    return torch_net(body, a=nn.Conv2d(2, 5, 3, padding=1), b=nn.Conv2d(5, 7, 3, padding=1), head=nn.Linear(7, 3))


def _keras_pooled(pool: layers.Layer) -> keras.Model:
    x = keras.Input((8, 6, 2))
    h = pool(layers.Conv2D(5, 3, padding="same", activation="relu", name="a")(x))
    h = layers.Conv2D(7, 3, padding="same", activation="relu", name="b")(h)
    return keras.Model(x, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(h)))


def _flax_pooled(pool) -> nnx.Module:
    def body(m, x):
        h = pool(jax.nn.relu(m.a(x)))
        return m.head(jax.nn.relu(m.b(h)).mean((1, 2)))

    return flax_net(body, a=conv(2, 5, (3, 3)), b=conv(5, 7, (3, 3)), head=linear(7, 3))


def _torch_average() -> nn.Module:
    net = _torch_max(2, 2)

    def body(m, x):
        return _flat(m, functional.relu(m.b(functional.avg_pool2d(functional.relu(m.a(x)), 2))))

    net.body = body
    return net


# The largest of each channel, and a flattened map


def _torch_global_max() -> nn.Module:
    return torch_net(
        lambda m, x: m.head(torch.tanh(m.a(x)).amax((2, 3))), a=nn.Conv2d(2, 5, 3, padding=1), head=nn.Linear(5, 3)
    )


def _keras_global_max() -> keras.Model:
    x = keras.Input((8, 6, 2))
    h = layers.GlobalMaxPooling2D()(layers.Conv2D(5, 3, padding="same", activation="tanh", name="a")(x))
    return keras.Model(x, layers.Dense(3, name="head")(h))


def _torch_flat() -> nn.Module:
    # Channels last before it is flattened: the head's weight then has the order of the other two.
    return torch_net(
        lambda m, x: m.head(torch.relu(m.a(m.pad(x))).permute(0, 2, 3, 1).flatten(1)),
        pad=nn.ZeroPad2d(1),
        a=nn.Conv2d(2, 3, 3, stride=2),
        head=nn.Linear(36, 4),
    )


def _keras_flat() -> keras.Model:
    x = keras.Input((8, 6, 2))
    h = layers.Conv2D(3, 3, strides=2, activation="relu", name="a")(layers.ZeroPadding2D(1)(x))
    return keras.Model(x, layers.Dense(4, name="head")(layers.Flatten()(h)))


def _flax_flat() -> nnx.Module:
    return flax_net(
        lambda m, x: m.head(jax.nn.relu(m.a(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))).reshape((x.shape[0], -1))),
        a=conv(2, 3, (3, 3), strides=2, padding="VALID"),
        head=linear(36, 4),
    )


# Groups, one channel each, one place each


def _torch_grouped() -> nn.Module:
    def body(m, x):
        h = functional.relu(m.grouped(functional.relu(m.stem(x))))
        return _flat(m, functional.relu(m.point(m.depth(h))))

    return torch_net(
        body,
        stem=nn.Conv2d(2, 8, 1),
        grouped=nn.Conv2d(8, 12, 3, padding=1, groups=4),
        depth=nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False),
        point=nn.Conv2d(12, 7, 1),
        head=nn.Linear(7, 3),
    )


def _keras_grouped() -> keras.Model:
    x = keras.Input((8, 6, 2))
    h = layers.Conv2D(8, 1, activation="relu", name="stem")(x)
    h = layers.Conv2D(12, 3, padding="same", groups=4, activation="relu", name="grouped")(h)
    h = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depth")(h)
    h = layers.Conv2D(7, 1, activation="relu", name="point")(h)
    return keras.Model(x, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(h)))


def _flax_grouped() -> nnx.Module:
    def body(m, x):
        h = jax.nn.relu(m.grouped(jax.nn.relu(m.stem(x))))
        return m.head(jax.nn.relu(m.point(m.depth(h))).mean((1, 2)))

    return flax_net(
        body,
        stem=conv(2, 8, (1, 1)),
        grouped=conv(8, 12, (3, 3), feature_group_count=4),
        depth=conv(12, 12, (3, 3), feature_group_count=12, use_bias=False),
        point=conv(12, 7, (1, 1)),
        head=linear(7, 3),
    )


# Transposed, and a U with a skip


def _torch_transposed() -> nn.Module:
    def body(m, x):
        return m.out(functional.relu(m.up(functional.relu(m.down(x))))).permute(0, 2, 3, 1)

    return torch_net(
        body, down=nn.Conv2d(2, 5, 2, stride=2), up=nn.ConvTranspose2d(5, 4, 2, stride=2), out=nn.Conv2d(4, 2, 1)
    )


def _keras_transposed() -> keras.Model:
    x = keras.Input((8, 6, 2))
    h = layers.Conv2D(5, 2, strides=2, activation="relu", name="down")(x)
    h = layers.Conv2DTranspose(4, 2, strides=2, activation="relu", name="up")(h)
    return keras.Model(x, layers.Conv2D(2, 1, name="out")(h))


def _flax_up(n_in: int, n_out: int) -> nnx.Module:
    return nnx.ConvTranspose(
        n_in, n_out, (2, 2), strides=2, transpose_kernel=True, padding="VALID", kernel_init=ZEROS, rngs=RNGS
    )


def _flax_transposed() -> nnx.Module:
    def body(m, x):
        return m.out(jax.nn.relu(m.up(jax.nn.relu(m.down(x)))))

    return flax_net(body, down=conv(2, 5, (2, 2), strides=2), up=_flax_up(5, 4), out=conv(4, 2, (1, 1)))


def _torch_u() -> nn.Module:
    def body(m, x):
        skip = functional.relu(m.a(x))
        low = functional.relu(m.b(functional.max_pool2d(skip, 2)))
        return m.out(functional.relu(m.c(torch.cat([skip, m.up(low)], 1)))).permute(0, 2, 3, 1)

    return torch_net(
        body,
        a=nn.Conv2d(2, 4, 3, padding=1),
        b=nn.Conv2d(4, 6, 3, padding=1),
        up=nn.ConvTranspose2d(6, 3, 2, stride=2),
        c=nn.Conv2d(7, 5, 3, padding=1),
        out=nn.Conv2d(5, 2, 1),
    )


def _keras_u() -> keras.Model:
    x = keras.Input((8, 6, 2))
    skip = layers.Conv2D(4, 3, padding="same", activation="relu", name="a")(x)
    low = layers.Conv2D(6, 3, padding="same", activation="relu", name="b")(layers.MaxPooling2D(2)(skip))
    joined = layers.Concatenate()([skip, layers.Conv2DTranspose(3, 2, strides=2, name="up")(low)])
    h = layers.Conv2D(5, 3, padding="same", activation="relu", name="c")(joined)
    return keras.Model(x, layers.Conv2D(2, 1, name="out")(h))


def _flax_u() -> nnx.Module:
    def body(m, x):
        skip = jax.nn.relu(m.a(x))
        low = jax.nn.relu(m.b(nnx.max_pool(skip, (2, 2), strides=(2, 2))))
        return m.out(jax.nn.relu(m.c(jnp.concatenate([skip, m.up(low)], -1))))

    return flax_net(
        body,
        a=conv(2, 4, (3, 3)),
        b=conv(4, 6, (3, 3)),
        up=_flax_up(6, 3),
        c=conv(7, 5, (3, 3)),
        out=conv(5, 2, (1, 1)),
    )


# Residual blocks of convolutions and batch norms


def _torch_batch_norm() -> nn.Module:
    def body(m, x):
        h = functional.relu(m.norm0(m.stem(x)))
        h = functional.relu(h + m.norm2(m.b(functional.relu(m.norm1(m.a(h))))))
        return _flat(m, h)

    parts = {f"norm{i}": nn.BatchNorm2d(6, eps=EPSILON) for i in range(3)}
    layer = lambda n: nn.Conv2d(n, 6, 3, padding=1, bias=False)  # noqa: E731
    return torch_net(body, stem=layer(2), a=layer(6), b=layer(6), **parts, head=nn.Linear(6, 3))


def _keras_batch_norm() -> keras.Model:
    def layer(name):
        return layers.Conv2D(6, 3, padding="same", use_bias=False, name=name)

    def norm(i):
        return layers.BatchNormalization(epsilon=EPSILON, name=f"norm{i}")

    x = keras.Input((8, 6, 2))
    h = layers.ReLU()(norm(0)(layer("stem")(x)))
    h = layers.ReLU()(layers.Add()([h, norm(2)(layer("b")(layers.ReLU()(norm(1)(layer("a")(h)))))]))
    return keras.Model(x, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(h)))


def _flax_batch_norm() -> nnx.Module:
    def body(m, x):
        h = jax.nn.relu(m.norm0(m.stem(x)))
        h = jax.nn.relu(h + m.norm2(m.b(jax.nn.relu(m.norm1(m.a(h))))))
        return m.head(h.mean((1, 2)))

    parts = {f"norm{i}": nnx.BatchNorm(6, epsilon=EPSILON, rngs=RNGS) for i in range(3)}
    layer = lambda n: conv(n, 6, (3, 3), use_bias=False)  # noqa: E731
    return flax_net(body, stem=layer(2), a=layer(6), b=layer(6), **parts, head=linear(6, 3))


def _torch_group_norm() -> nn.Module:
    return torch_net(
        lambda m, x: _flat(m, functional.silu(m.norm(m.a(x)))),
        a=nn.Conv2d(2, 6, 3, padding=1),
        norm=nn.GroupNorm(3, 6, eps=EPSILON),
        head=nn.Linear(6, 3),
    )


def _keras_group_norm() -> keras.Model:
    x = keras.Input((8, 6, 2))
    h = layers.GroupNormalization(3, epsilon=EPSILON, name="norm")(layers.Conv2D(6, 3, padding="same", name="a")(x))
    return keras.Model(x, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(ops.silu(h))))


def _flax_group_norm() -> nnx.Module:
    return flax_net(
        lambda m, x: m.head(jax.nn.silu(m.norm(m.a(x))).mean((1, 2))),
        a=conv(2, 6, (3, 3)),
        norm=nnx.GroupNorm(6, num_groups=3, epsilon=EPSILON, rngs=RNGS),
        head=linear(6, 3),
    )


# Squeeze and excitation


def _torch_squeeze() -> nn.Module:
    def body(m, x):
        h = functional.relu(m.a(x))
        gate = torch.sigmoid(m.grow(functional.relu(m.shrink(h.mean((2, 3))))))
        return _flat(m, functional.relu(m.b(h * gate[:, :, None, None])))

    return torch_net(
        body,
        a=nn.Conv2d(2, 8, 3, padding=1),
        shrink=nn.Linear(8, 3),
        grow=nn.Linear(3, 8),
        b=nn.Conv2d(8, 5, 1),
        head=nn.Linear(5, 3),
    )


def _keras_squeeze() -> keras.Model:
    x = keras.Input((8, 6, 2))
    h = layers.Conv2D(8, 3, padding="same", activation="relu", name="a")(x)
    small = layers.Dense(3, activation="relu", name="shrink")(layers.GlobalAveragePooling2D()(h))
    gate = layers.Reshape((1, 1, 8))(layers.Dense(8, activation="sigmoid", name="grow")(small))
    h = layers.Conv2D(5, 1, activation="relu", name="b")(layers.Multiply()([h, gate]))
    return keras.Model(x, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(h)))


def _flax_squeeze() -> nnx.Module:
    def body(m, x):
        h = jax.nn.relu(m.a(x))
        gate = jax.nn.sigmoid(m.grow(jax.nn.relu(m.shrink(h.mean((1, 2))))))
        return m.head(jax.nn.relu(m.b(h * gate[:, None, None, :])).mean((1, 2)))

    return flax_net(
        body, a=conv(2, 8, (3, 3)), shrink=linear(8, 3), grow=linear(3, 8), b=conv(8, 5, (1, 1)), head=linear(5, 3)
    )


NETS = (
    Net(
        "max pooling",
        lambda: _torch_max(2, 2),
        lambda: _keras_pooled(layers.MaxPooling2D(2)),
        lambda: _flax_pooled(lambda h: nnx.max_pool(h, (2, 2), strides=(2, 2))),
        IMAGE,
        classes=3,
    ),
    Net(
        "overlapping max pooling",
        lambda: _torch_max(3, 1),
        lambda: _keras_pooled(layers.MaxPooling2D(3, strides=1)),
        lambda: _flax_pooled(lambda h: nnx.max_pool(h, (3, 3), strides=(1, 1))),
        IMAGE,
    ),
    Net(
        "average pooling",
        _torch_average,
        lambda: _keras_pooled(layers.AveragePooling2D(2)),
        lambda: _flax_pooled(lambda h: nnx.avg_pool(h, (2, 2), strides=(2, 2))),
        IMAGE,
        classes=3,
    ),
    Net(
        "the largest of each channel",
        _torch_global_max,
        _keras_global_max,
        lambda: flax_net(lambda m, x: m.head(jnp.tanh(m.a(x)).max((1, 2))), a=conv(2, 5, (3, 3)), head=linear(5, 3)),
        IMAGE,
    ),
    Net("a strided convolution, flattened", _torch_flat, _keras_flat, _flax_flat, IMAGE, classes=4),
    Net("grouped, depthwise and pointwise convolutions", _torch_grouped, _keras_grouped, _flax_grouped, IMAGE),
    Net("a transposed convolution", _torch_transposed, _keras_transposed, _flax_transposed, IMAGE),
    Net("a U with a skip", _torch_u, _keras_u, _flax_u, IMAGE),
    Net("batch norms in a residual block", _torch_batch_norm, _keras_batch_norm, _flax_batch_norm, IMAGE, classes=3),
    Net("a group norm", _torch_group_norm, _keras_group_norm, _flax_group_norm, IMAGE),
    Net("squeeze and excitation", _torch_squeeze, _keras_squeeze, _flax_squeeze, IMAGE, classes=3),
)
