"""The function of a framework's own arrays behind each activation of the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation

Function: TypeAlias = Callable[..., Any]

# Off the round numbers, where rounding would put an entry on either side of a kink.
_TRIAL = np.linspace(-12.0, 12.0, 97, dtype=np.float32) + np.float32(0.0123)
_CLOSE = 1e-4  # float32 leaves 6e-8 an operation; formulas that lose three digits still pass
# NumPy's names for which another, that all three frameworks have, means the same of numbers that are compared.
_SAME = {
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "conjugate": "positive",
    "invert": "logical_not",
    "true_divide": "divide",
}


@dataclass(frozen=True)
class Arrays:
    """A framework's arrays, as far as a function of each entry is concerned.

    Attributes:
        framework: Its key in ``Activation.native``.
        title: Its name in a sentence.
        find: Its function behind a NumPy function's name, of arrays and numbers; None where it has none.
        cast: The first array with the numbers of the second's type.
        trial: What a function of its arrays makes of float32 numbers, as NumPy's own.
        home: What stands before a native name.
        own: Functions of its arrays by the activation's name, where it has no single one.
    """

    framework: str
    title: str
    find: Callable[[str], Function | None]
    cast: Callable[[Any, Any], Any]
    trial: Callable[[Function, NDArray[np.float32]], NDArray[Any]]
    home: str = ""
    own: Mapping[str, Function] = field(default_factory=dict)


def function_of(text: str, arrays: Arrays) -> Function:
    """The function of a framework's arrays behind an activation's name with options.

    It is the one that the activation was registered with for the framework, by name or as it is; else the activation's
    NumPy function itself, each of whose calls goes to the framework's function of that name.

    Args:
        text: E.g. ``"relu"`` or ``"leaky_relu(negative_slope=0.2)"``.
        arrays: The framework's.

    Raises:
        UnknownNameError: No activation has the name.
        OptionError: The activation has no such option; or its formula cannot be run on the framework's arrays, or
            gives other numbers there.
    """
    found = activation(text)
    native = found.native.get(arrays.framework)
    if callable(native):
        return _with(native, found.options)
    named = found.native_call(arrays.framework)
    if named is not None:
        module, _, name = f"{arrays.home}{named[0]}".rpartition(".")
        function = getattr(import_module(module), name)
        return function(**named[1]) if isinstance(function, type) else _with(function, named[1])
    if found.name in arrays.own:
        return _with(arrays.own[found.name], found.options)
    return _checked(found, arrays)


def _with(function: Function, options: Mapping[str, Any]) -> Function:
    if not options:
        return function

    def with_options(x: Any) -> Any:
        return function(x, **options)

    return with_options


def _checked(found: Activation, arrays: Arrays) -> Function:
    """The NumPy function made one of the framework's arrays, after a trial that it gives the same numbers."""

    def lifted(x: Any) -> Any:
        result = found.f(Lifted(x, arrays))  # type: ignore[arg-type]  # NumPy's functions take it as they take an array
        if not isinstance(result, Lifted):
            raise TypeError(f"it gives a {type(result).__name__} whatever the entries are")
        return arrays.cast(result.held, x)

    try:
        values = np.asarray(arrays.trial(lifted, _TRIAL), dtype=np.float64)
    except Exception as error:  # the formula is anyone's, and may fail on arrays that are not NumPy's in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _refusal(found, arrays, f"its formula does not run on {arrays.title}'s arrays: {reason}") from error
    wanted = found(_TRIAL)
    with np.errstate(invalid="ignore"):
        off = np.abs(values - wanted) > _CLOSE * np.maximum(np.abs(wanted), 1.0)
    off |= np.isnan(values) != np.isnan(wanted)
    if off.any():
        at = int(np.argmax(off))
        said = f"f({_TRIAL[at]:.4g}) is {values[at]:.4g} on {arrays.title}'s arrays and {wanted[at]:.4g} on NumPy's"
        raise _refusal(found, arrays, said)
    return lifted


def _refusal(found: Activation, arrays: Arrays, reason: str) -> OptionError:
    return OptionError(
        f"{arrays.title} has no function for '{found.call}'",
        where=reason,
        fix=f'register it with native={{"{arrays.framework}": f}}, f the full name of a function, or the function',
    )


class Lifted(NDArrayOperatorsMixin):
    """A framework's array that NumPy's functions of each entry take as if it were one of NumPy's.

    Args:
        held: The framework's array.
        arrays: Whose functions are called.
    """

    def __init__(self, held: Any, arrays: Arrays) -> None:
        self.held, self.arrays = held, arrays

    def call(self, name: str, *inputs: Any) -> Lifted:
        """What the framework's function of a NumPy name makes of arrays and numbers."""
        function = self.arrays.find(_SAME.get(name, name))
        if function is None:
            raise TypeError(f"{self.arrays.title} has no numpy.{name}")
        return Lifted(function(*map(_held, inputs)), self.arrays)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Lifted:
        out = options.pop("out", None)
        if method != "__call__" or ufunc.signature is not None or ufunc.nout != 1 or options:
            raise TypeError(f"numpy.{ufunc.__name__} is not called on each entry alone")
        result = self.call(ufunc.__name__, *inputs)
        if out is None:
            return result
        (target,) = out
        target.held = result.held  # in place, as in x *= 2
        return target  # type: ignore[no-any-return]

    def __array_function__(self, function: Function, types: object, args: Any, kwargs: Mapping[str, Any]) -> Any:
        rule = _FUNCTIONS.get(function.__name__)
        if rule is None:
            raise TypeError(f"numpy.{function.__name__} is no function of each entry that is known")
        return rule(self.call, *args, **kwargs)

    def __array__(self, *args: object, **kwargs: object) -> NDArray[Any]:
        raise TypeError("it makes a NumPy array of its argument")

    def __bool__(self) -> bool:
        raise TypeError("it asks whether its argument is true; numpy.where chooses by entry")

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "ndim"):
            return getattr(self.held, name)
        raise AttributeError(f"it asks its argument for .{name}")


def _held(value: Any) -> Any:
    if isinstance(value, Lifted):
        return value.held
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if np.ndim(value) == 0 and isinstance(value, int | float | np.number | np.ndarray):
        return float(value)
    raise TypeError("it joins its argument with a value that is no number")


def _clip(call: Function, x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    above = x if a_min is None else call("maximum", x, a_min)
    return above if a_max is None else call("minimum", above, a_max)


_FUNCTIONS: dict[str, Function] = {
    "clip": _clip,
    "where": lambda call, condition, x, y: call("where", condition, x, y),
    "zeros_like": lambda call, x: call("zeros_like", x),
    "ones_like": lambda call, x: call("ones_like", x),
    "full_like": lambda call, x, fill_value: call("multiply", call("ones_like", x), fill_value),
}
