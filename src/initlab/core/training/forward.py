"""The forward pass of ``core.facts.arch.Mlp``, of one model, on the arrays of any library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from initlab.core.facts.arch import NORM_EPSILON, NORM_MOMENTUM, Mlp

A = TypeVar("A")
Moments: TypeAlias = dict[str, tuple[A, A]]
_KINDS = ("mean", "var")


class Forward(NamedTuple, Generic[A]):
    """What one pass over a batch gives.

    Attributes:
        logits: (rows, outputs).
        activations: For each hidden layer the output of its nonlinearity, before skip and dropout, (rows, width); of a
            recurrent net the state after the first and after the last step.
        moments: For each batch norm the batch's mean and variance, each (width,).
    """

    logits: A
    activations: tuple[A, ...]
    moments: Moments[A]


def forward(
    arch: Mlp,
    x: Any,
    *,
    dense: Callable[[Any, int], Any],
    activated: Callable[[Any, int], tuple[Any, Moments[Any]]],
    drop: Callable[[Any, int], Any] | None = None,
) -> Forward[Any]:
    """Dense -> norm -> activation -> + skip -> dropout in each hidden layer, then the linear output layer.

    Args:
        arch: The architecture.
        x: (rows, features).
        dense: From a layer's input and its index, counted from 0, to its sums.
        activated: From these to the activation of their norm, and the moments of a batch norm by its name.
        drop: Applied to a hidden layer's output and its index; None drops nothing.

    Example:
        >>> out = forward(Mlp((1, 1, 1)), 3.0, dense=lambda h, i: 2.0 * h, activated=lambda z, i: (z - 1.0, {}))
        >>> out.logits, out.activations      # 2 (2 * 3 - 1)
        (10.0, (5.0,))
    """
    activations: list[Any] = []
    moments: Moments[Any] = {}
    for i in range(arch.depth - 1):
        a, batch = activated(dense(x, i), i)
        activations.append(a)
        moments |= batch
        h = a + x if arch.has_skip(i) else a
        x = h if drop is None else drop(h, i)
    return Forward(dense(x, arch.depth - 1), tuple(activations), moments)


def running(params: Mapping[str, A], moments: Moments[A]) -> dict[str, A]:
    """All that a model holds by canonical path: its parameters, and the running moments of its batch norms.

    Example:
        >>> running({"0/weight": 2.0}, {"norm_0": (0.5, 1.5)})
        {'0/weight': 2.0, 'norm_0/running_mean': 0.5, 'norm_0/running_var': 1.5}
    """
    kept = {f"{name}/running_{kind}": x for name, pair in moments.items() for kind, x in zip(_KINDS, pair, strict=True)}
    return {**params, **kept}


def normed(
    arch: Mlp,
    params: Mapping[str, A],
    z: Any,
    i: int,
    *,
    moments_of: Callable[[A, int], tuple[A, A]],
    sqrt: Callable[[Any], Any],
    running: Moments[A] | None = None,
) -> tuple[A, Moments[A]]:
    """The norm of a hidden layer, and the moments by which it normalised; without a norm, ``z`` itself and none.

    Args:
        arch: The architecture.
        params: The norm's scale and bias, by canonical path.
        z: (rows, width).
        i: The layer, counted from 0.
        moments_of: Mean and variance over an axis: over units, -1, which is kept, or over rows, 0.
        sqrt: The library's.
        running: Running moments for the batch norms, as at evaluation; None takes those of the batch itself.

    Returns:
        (rows, width), and for a batch norm the mean and variance, each (width,), by its name.
    """
    moments: Moments[A] = {}
    if arch.norm == "none":
        return z, moments
    name = f"norm_{i}"
    if arch.norm == "layer":
        mean, var = moments_of(z, -1)
    else:
        mean, var = moments[name] = moments_of(z, 0) if running is None else running[name]
    spread: Any = sqrt(var + NORM_EPSILON)  # type: ignore[operator]
    return (z - mean) / spread * params[f"{name}/scale"] + params[f"{name}/bias"], moments


def initial_moments(arch: Any, full: Callable[[int, float], A]) -> Moments[A]:
    """Running moments before training: mean 0 and variance 1 for each batch norm.

    Args:
        arch: The architecture, or a recurrent one, which has no norms.
        full: So many equal numbers.
    """
    if arch.norm != "batch":
        return {}
    return {f"norm_{i}": (full(n, 0.0), full(n, 1.0)) for i, n in enumerate(arch.widths[1:-1])}


def moved(running: Moments[Any], batch: Moments[Any]) -> Moments[Any]:
    """Running moments after one batch: ``momentum * running + (1 - momentum) * batch``.

    Example:
        >>> moved({"norm_0": (0.0, 1.0)}, {"norm_0": (100.0, 1.0)})["norm_0"][0]      # momentum 0.99
        1.0000000000000009
    """
    return {
        name: (
            mean * NORM_MOMENTUM + batch[name][0] * (1.0 - NORM_MOMENTUM),
            var * NORM_MOMENTUM + batch[name][1] * (1.0 - NORM_MOMENTUM),
        )
        for name, (mean, var) in running.items()
    }
