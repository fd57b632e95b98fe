"""Reverse-mode differentiation on each of Keras' back ends, with an ear at any value: forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np

Heard: TypeAlias = Callable[[Any], None]


@dataclass(frozen=True)
class Start:
    """Where a backward pass begins.

    Attributes:
        root: The tensor that is followed backwards.
        cotangent: What it is multiplied with, of its shape; None for a scalar.
    """

    root: Any
    cotangent: Any = None


@dataclass(frozen=True)
class Autodiff:
    """What one back end offers.

    Attributes:
        listen: The same tensor, whose gradient is handed to a function when it arrives in the backward pass.
        plain: A tensor's numbers, followed by no gradient.
        follow: Runs a function of fresh leaves forwards, then backwards from where it says; returns the root's
            numbers.
        is_abstract: Whether a tensor stands for numbers that are not there.
        tensor_types: The classes of tensors, whose operators are methods.
        at_hand: A tensor as an array on the same memory, where that is the CPU's and NumPy sums it sooner: jax would
            compile each function for each shape; else the tensor.
        compiled: A function of tensors as the back end runs it best.
        preserved: A context after which the back end's own global generators are as they were.
        wide: A context in which the back end reckons in float64.
    """

    listen: Callable[[Any, Heard], Any]
    plain: Callable[[Any], Any]
    follow: Callable[[Sequence[Any], Callable[[list[Any]], Start]], Any]
    is_abstract: Callable[[Any], bool]
    tensor_types: tuple[type, ...]
    at_hand: Callable[[Any], Any]
    compiled: Callable[[Callable[..., Any]], Callable[..., Any]]
    preserved: Callable[[], AbstractContextManager[None]]
    wide: Callable[[], AbstractContextManager[object]]


def autodiff() -> Autodiff:
    """That of the present back end."""
    return {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}[keras.backend.backend()]()


def _jax() -> Autodiff:
    import jax

    def listen(x: Any, heard: Heard) -> Any:
        @jax.custom_vjp
        def same(x: Any) -> Any:
            return x

        def backward(_: None, gradient: Any) -> tuple[Any]:
            heard(gradient)
            return (gradient,)

        same.defvjp(lambda x: (x, None), backward)
        return same(x)

    def plain(x: Any) -> Any:
        if not isinstance(x, jax.core.Tracer):
            return x
        seen: list[Any] = []

        @jax.custom_vjp
        def look(x: Any) -> Any:
            return x

        def forward(x: Any) -> tuple[Any, None]:
            seen.append(x)
            return x, None

        look.defvjp(forward, lambda _, gradient: (gradient,))
        look(x)
        return seen[0] if seen else x

    def follow(leaves: Sequence[Any], forward: Callable[[list[Any]], Start]) -> Any:
        cotangent: list[Any] = []

        def root(values: list[Any]) -> Any:
            start = forward(values)
            cotangent.append(jax.numpy.ones_like(start.root) if start.cotangent is None else start.cotangent)
            return start.root

        value, back = jax.vjp(root, list(leaves))
        back(cotangent[0])
        return value

    def is_abstract(x: Any) -> bool:
        return isinstance(plain(x), jax.core.Tracer)

    def at_hand(x: Any) -> Any:
        return np.asarray(x) if all(device.platform == "cpu" for device in x.devices()) else x

    array = type(jax.numpy.zeros(()))

    def wide() -> AbstractContextManager[object]:
        context: AbstractContextManager[object] = jax.enable_x64(True)
        return context

    return Autodiff(listen, plain, follow, is_abstract, (jax.core.Tracer, array), at_hand, jax.jit, nullcontext, wide)


def _tensorflow() -> Autodiff:
    import tensorflow as tf

    def listen(x: Any, heard: Heard) -> Any:
        def gradient_of(gradient: Any) -> Any:
            heard(tf.convert_to_tensor(gradient))
            return gradient

        return tf.custom_gradient(lambda x: (tf.identity(x), gradient_of))(x)

    def follow(leaves: Sequence[Any], forward: Callable[[list[Any]], Start]) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            values = [tf.identity(leaf) for leaf in leaves]
            for value in values:
                tape.watch(value)
            start = forward(values)
        tape.gradient(start.root, values, output_gradients=start.cotangent)
        return start.root

    def is_abstract(x: Any) -> bool:
        return not hasattr(x, "numpy")

    def at_hand(x: Any) -> Any:
        return x.numpy() if "CPU" in x.device else x

    kinds = (tf.Tensor,)
    return Autodiff(listen, tf.stop_gradient, follow, is_abstract, kinds, at_hand, _same, nullcontext, nullcontext)


def _torch() -> Autodiff:
    import torch

    def listen(x: Any, heard: Heard) -> Any:
        if x.requires_grad:
            x.register_hook(lambda gradient: heard(gradient.detach()))
        return x

    def plain(x: Any) -> Any:
        return x.detach()

    def follow(leaves: Sequence[Any], forward: Callable[[list[Any]], Start]) -> Any:
        with torch.enable_grad():
            values = [leaf.detach().requires_grad_() for leaf in leaves]
            start = forward(values)
            if start.root.requires_grad:
                torch.autograd.grad([start.root], values, [start.cotangent], allow_unused=True)
        return start.root.detach()

    @contextmanager
    def preserved() -> Iterator[None]:
        devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        with torch.random.fork_rng(devices):
            yield

    def is_abstract(x: Any) -> bool:
        return bool(x.is_meta)

    return Autodiff(listen, plain, follow, is_abstract, (torch.Tensor,), _same, _same, preserved, nullcontext)


def _same(x: Any) -> Any:
    return x
