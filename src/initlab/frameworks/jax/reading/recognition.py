"""JAX's functions of each entry in float64, by NumPy: an activation is told by its values, whatever it is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from numpy.typing import NDArray

from initlab.frameworks.jax.reading.jaxprs import Const, custom, flat
from initlab.frameworks.reading.graph import Function
from initlab.frameworks.reading.recognition import Recognised, recognised

Values = NDArray[np.float64]
_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _logistic(x: Values) -> Values:
    return np.where(x >= 0, 1.0, np.exp(np.minimum(x, 0.0))) / (1.0 + np.exp(-np.abs(x)))


def _chosen(which: Any, *cases: Any) -> Any:
    return (
        np.choose(np.asarray(which).astype(np.int64), cases) if len(cases) > 2 else np.where(which, cases[1], cases[0])
    )


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs, "acos": np.arccos, "acosh": np.arccosh, "add": np.add, "add_any": np.add, "and": np.logical_and,
    "asin": np.arcsin, "asinh": np.arcsinh, "atan": np.arctan, "atan2": np.arctan2, "atanh": np.arctanh,
    "cbrt": np.cbrt, "ceil": np.ceil, "clamp": lambda low, x, high: np.clip(x, low, high), "cos": np.cos,
    "cosh": np.cosh, "div": np.divide, "eq": np.equal, "erf": _erf, "erfc": _erfc, "exp": np.exp, "exp2": np.exp2,
    "expm1": np.expm1, "floor": np.floor, "ge": np.greater_equal, "gt": np.greater, "is_finite": np.isfinite,
    "le": np.less_equal, "log": np.log, "log1p": np.log1p, "logistic": _logistic, "lt": np.less, "max": np.maximum,
    "min": np.minimum, "mul": np.multiply, "ne": np.not_equal, "neg": np.negative, "not": np.logical_not,
    "or": np.logical_or, "pow": np.power, "rem": np.fmod, "round": np.round, "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "select_n": _chosen, "sign": np.sign, "sin": np.sin, "sinh": np.sinh, "sqrt": np.sqrt, "square": np.square,
    "sub": np.subtract, "tan": np.tan, "tanh": np.tanh, "xor": np.logical_xor,
}  # fmt: skip
# They give back what they got, or a number in more places.
SAME = frozenset({"convert_element_type", "copy", "copy_p", "name", "optimization_barrier", "reduce_precision",
                  "sharding_constraint", "stop_gradient", "real", "mesh_cast", "pvary"})  # fmt: skip
ELEMENTWISE = frozenset({*_FUNCTIONS, "integer_pow", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})


def run_equation(equation: core.JaxprEqn, given: Sequence[Any]) -> Any:
    """An equation's value for these arrays, in float64.

    Raises:
        NotImplementedError: It is no function of each entry.
    """
    name = str(equation.primitive.name)
    if name in SAME or name == "broadcast_in_dim":
        return given[0]
    if name == "integer_pow":
        return np.asarray(given[0], np.float64) ** int(equation.params["y"])
    inner = custom(equation)
    if inner is not None:
        return _run(inner, given)
    if name not in _FUNCTIONS:
        raise NotImplementedError(name)
    with np.errstate(all="ignore"):
        return _FUNCTIONS[name](*given)


def _run(closed: core.ClosedJaxpr, given: Sequence[Any]) -> Any:
    program = flat(closed)
    values: dict[int, Any] = dict(zip(program.inputs, given, strict=True))

    def value(one: int | Const) -> Any:
        return np.asarray(one.value) if isinstance(one, Const) else values[one]

    for step in program.steps:
        values[step.outputs[0]] = run_equation(step.equation, [value(one) for one in step.inputs])
    return value(program.outputs[0])


def recognise(function: Function) -> Recognised:
    """The activation that a function of each entry is.

    Example:
        >>> recognise(lambda z: z * _logistic(z)).f
        'silu'
    """
    return recognised(lambda x: evaluate(function, x))


def evaluate(function: Function, x: Values) -> Values | None:
    """What a function of arrays makes of numbers; None where it cannot take them."""
    try:
        made = np.asarray(function(x), np.float64)
    except (NotImplementedError, TypeError, ValueError):
        return None
    return made if made.ndim else np.broadcast_to(made, x.shape)


def activation_of(function: Callable[..., Any]) -> str | None:
    """The registered activation that one of JAX' functions is; None where it is none.

    Example:
        >>> import jax
        >>> activation_of(jax.nn.tanh)
        'tanh'
    """
    closed = jax.make_jaxpr(function)(jnp.zeros(3))
    return recognise(lambda z: _run(closed, [z])).f
