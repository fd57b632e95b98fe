"""Activations: one NumPy function each, with its options, kinks, derivative, source and native names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from initlab.core.calls import OptionValue, format_call, parse_call
from initlab.core.erf import Array, RealFunction
from initlab.core.errors import OptionError
from initlab.core.registry import Registry
from initlab.theory.differentiation import find_kinks, numerical_derivative

Kinks: TypeAlias = tuple[float, ...] | Callable[..., tuple[float, ...]] | None


@dataclass(frozen=True, eq=False)
class Activation:
    """One activation with its options bound: ``f`` is a function of a float64 array alone.

    The same name and options give the same object, so an activation is a key of caches.

    Attributes:
        name: The registered name, or the function's own for one that is not registered.
        f: The function.
        kinks: Where ``f`` or one of its derivatives jumps, ascending.
        derivative: ``f'``; at a kink the value that the frameworks use. None where only values are known.
        options: Every option with its value.
        aliases: Other names.
        native: A framework ("torch", "keras", "jax") and its name for this function: a full path for torch and jax,
            the name in ``keras.activations`` for Keras. Where it takes arguments they follow as in
            ``"jax.nn.elu(alpha=alpha)"``; a bare option name stands for this activation's value of it. In place of a
            name, a function of the framework's arrays with the same options. Without either, a framework runs ``f``
            itself on its arrays, if that is made of NumPy functions of each entry.
        formula: The definition, in plain text.
        source: Where it comes from.
        rounding: The spacing of its numbers beside 1: 0 for float64, more for a function that gives narrower ones.

    Example:
        >>> a = activation("leaky_relu(negative_slope=0.2)")
        >>> a(np.array([-1.0, 3.0]))
        array([-0.2,  3. ])
        >>> a.slope(np.array([-1.0, 3.0]))
        array([0.2, 1. ])
        >>> a.call
        'leaky_relu(negative_slope=0.2)'
    """

    name: str
    f: RealFunction
    kinks: tuple[float, ...] = ()
    derivative: RealFunction | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    native: Mapping[str, str | Callable[..., Any]] = field(default_factory=dict)
    formula: str = ""
    source: str = ""
    rounding: float = 0.0

    def __call__(self, x: ArrayLike) -> Array:
        """``f(x)`` in float64, of the shape of ``x``."""
        return np.asarray(self.f(np.asarray(x, dtype=np.float64)), dtype=np.float64)

    def slope(self, x: ArrayLike) -> Array:
        """``f'(x)``: the derivative where it is known, else a numerical one (about 1e-11 relative)."""
        rule = self.derivative or numerical_derivative(self.f, kinks=self.kinks)
        return np.asarray(rule(np.asarray(x, dtype=np.float64)), dtype=np.float64)

    @property
    def call(self) -> str:
        """The text that ``activation`` turns into this object: the name and the options that are not the default."""
        if self.name not in ACTIVATIONS:
            return self.name
        usual = ACTIVATIONS[self.name].options
        return format_call(self.name, {k: v for k, v in self.options.items() if v != usual[k]})

    def native_call(self, framework: str) -> tuple[str, dict[str, OptionValue]] | None:
        """The framework's name for this function and the arguments beside ``x``; None where it has none.

        An option that is not at its default and that the framework's function does not take gives None as well.

        Example:
            >>> activation("elu", alpha=0.5).native_call("jax")
            ('jax.nn.elu', {'alpha': 0.5})
            >>> activation("softplus", beta=2.0).native_call("jax") is None
            True
        """
        named = self.native.get(framework)
        if not isinstance(named, str):
            return None
        path, _, rest = named.partition("(")
        arguments = parse_call(f"native({rest}")[1] if rest else {}
        usual = ACTIVATIONS[self.name].options
        if any(v != usual[k] and k not in arguments.values() for k, v in self.options.items()):
            return None
        return path, {k: self.options.get(v, v) if isinstance(v, str) else v for k, v in arguments.items()}


ACTIVATIONS: Registry[Activation] = Registry(
    "activation", listing="initlab list activations", group="initlab.activations"
)
"""Every registered activation, with its options at their defaults."""


@dataclass(frozen=True, eq=False)
class _Definition:
    """An activation before its options are bound; the fields are those of ``register_activation``."""

    name: str
    function: Callable[..., Array]
    kinks: Kinks
    derivative: Callable[..., Array] | None
    aliases: tuple[str, ...]
    positive: tuple[str, ...]
    native: Mapping[str, str | Callable[..., Any]]
    formula: str
    source: str

    def bind(self, options: Mapping[str, OptionValue]) -> Activation:
        for key in self.positive:
            _check_positive(self.name, key, options[key])
        f: RealFunction = partial(self.function, **options) if options else self.function
        slope = partial(self.derivative, **options) if self.derivative is not None and options else self.derivative
        declared = self.kinks(**options) if callable(self.kinks) else self.kinks
        kinks = find_kinks(f) if declared is None else tuple(sorted(set(declared)))
        return Activation(self.name, f, kinks, slope, options, self.aliases, self.native, self.formula, self.source)


_DEFINITIONS: dict[str, _Definition] = {}


def register_activation(
    name: str,
    *,
    kinks: Kinks = None,
    derivative: Callable[..., Array] | None = None,
    aliases: tuple[str, ...] = (),
    positive: tuple[str, ...] = (),
    native: Mapping[str, str | Callable[..., Any]] | None = None,
    formula: str = "",
    source: str = "",
) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """A decorator that registers a NumPy function; its keyword-only arguments are the activation's options.

    Args:
        name: The name, in snake case.
        kinks: Where the function or a derivative jumps: a tuple, or a function of the options; ``()`` says that there
            are none, and None has them found from values.
        derivative: The derivative, with the same options; without one a numerical rule is used.
        aliases: Other names.
        positive: The options that must be above zero.
        native: The frameworks' own names or functions, see ``Activation.native``.
        formula: The definition, in plain text.
        source: Where it comes from.

    Returns:
        The decorator, which returns the function as it was.

    Raises:
        OptionError: A name that is taken, or an option without a default.

    Example:
        >>> @register_activation("shifted_relu", kinks=lambda shift: (shift,), formula="max(x - shift, 0)")
        ... def shifted_relu(x, *, shift=1.0):
        ...     return np.maximum(x - shift, 0.0)
        >>> activation("shifted_relu(shift=0.5)")([0.0, 2.0])
        array([0. , 1.5])
    """

    def register(function: Callable[..., Array]) -> Callable[..., Array]:
        usual = _options_of(function, name)
        definition = _Definition(
            name, function, kinks, derivative, aliases, positive, dict(native or {}), formula, source
        )
        ACTIVATIONS.add(name, definition.bind(usual), aliases=aliases)
        _DEFINITIONS[name] = definition
        return function

    return register


def activation(f: str | Activation | Callable[..., ArrayLike], **options: OptionValue) -> Activation:
    """The activation of a name, of a text like ``"elu(alpha=0.5)"``, or of any NumPy function of one array.

    A function that takes only scalars is applied entry by entry. Its kinks are found from its values
    (``find_kinks``) and its derivative is numerical.

    Args:
        f: A name or alias, a text with options, an ``Activation``, or a function.
        options: Options of a name; they go before those in its text.

    Returns:
        The activation; the same object for the same name and options.

    Raises:
        UnknownNameError: No activation has that name.
        OptionError: An option that the activation does not have or a value out of range; a function that is not one
            of a real array.

    Example:
        >>> activation("ReLU").name, activation("swish").name
        ('relu', 'silu')
        >>> activation(lambda x: np.maximum(x, -0.5)).kinks[0].__round__(9)
        -0.5
    """
    if isinstance(f, Activation):
        if options and not f.options:
            raise OptionError(f"'{f.name}' has no option '{next(iter(options))}'", fix="its options: none")
        return activation(f.name, **{**f.options, **options}) if options else f
    if not isinstance(f, str):
        if options:
            raise OptionError(f"options {', '.join(options)} for a function", fix="bind them with functools.partial")
        return _from_function(f)
    name, inside = parse_call(f)
    registered = ACTIVATIONS[name]
    wanted = {**inside, **options}
    unknown = [key for key in wanted if key not in registered.options]
    if unknown:
        known = ", ".join(registered.options) or "none"
        raise OptionError(f"'{registered.name}' has no option '{unknown[0]}'", where=f, fix=f"its options: {known}")
    for key, value in wanted.items():
        _check_number(registered.name, key, value)
    changed = {key: value for key, value in wanted.items() if value != registered.options[key]}
    return _rebound(registered.name, tuple(sorted(changed.items()))) if changed else registered


def registered_function(f: str) -> Callable[..., Array]:
    """The NumPy function that an activation was registered with, as it was written.

    Args:
        f: A name or alias, or a text with options.

    Raises:
        UnknownNameError: No activation has that name.

    Example:
        >>> registered_function("elu(alpha=0.5)").__name__
        'elu'
    """
    return _DEFINITIONS[ACTIVATIONS[parse_call(f)[0]].name].function


@lru_cache(maxsize=512)
def _rebound(name: str, changed: tuple[tuple[str, OptionValue], ...]) -> Activation:
    return _DEFINITIONS[name].bind({**ACTIVATIONS[name].options, **dict(changed)})


def _check_number(name: str, key: str, value: OptionValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise OptionError(f"option {key}={value!r} of '{name}' is not a number", fix="give a finite number")
    return value


def _check_positive(name: str, key: str, value: OptionValue) -> None:
    if _check_number(name, key, value) <= 0:
        raise OptionError(f"option {key}={value!r} of '{name}' is not above zero", fix="give a positive number")


def _options_of(function: Callable[..., Array], name: str) -> dict[str, OptionValue]:
    options: dict[str, OptionValue] = {}
    for key, parameter in list(inspect.signature(function).parameters.items())[1:]:
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
            raise OptionError(f"argument '{key}' of activation '{name}'", fix="make it keyword-only, with a default")
        options[key] = parameter.default
    return options


def _from_function(function: Callable[..., ArrayLike]) -> Activation:
    if not callable(function):
        raise OptionError(f"{function!r} is no activation", fix="give a name or a NumPy function")
    name = getattr(function, "__name__", type(function).__name__)
    f, rounding = _as_array_function(function, name)
    kinks = find_kinks(f, rounding=rounding)
    return Activation(name, f, kinks, formula=f"{name}(x)", source="given as a function", rounding=rounding)


def _as_array_function(function: Callable[..., ArrayLike], name: str) -> tuple[RealFunction, float]:
    """The function made to map float64 arrays to float64 arrays, without warnings, and the rounding of its own type.

    A function of another library's arrays counts by its numbers: one of JAX gives float32, whatever it is given.
    """
    trial = np.array([-1.5, -0.5, 0.25, 1.25])

    def whole(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return _as_float64(np.asarray(function(x)))

    def padded(x: Array) -> Array:
        # A library that compiles does so for every length that it is given: let there be few.
        flat = np.ravel(x)
        full = np.concatenate([flat, np.zeros((1 << max(len(flat) - 1, 0).bit_length()) - len(flat))])
        return whole(full)[: len(flat)].reshape(np.shape(x))

    def by_entry(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return _as_float64(np.array([function(v) for v in np.ravel(x)])).reshape(np.shape(x))

    for f in (whole, by_entry):
        try:
            if f(trial).shape == trial.shape:
                return (f, 0.0) if f is by_entry else _by_own_type(function, trial, whole, padded)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            continue
    raise OptionError(f"the function '{name}' does not map an array of numbers to as many", fix="give one that does")


def _by_own_type(
    function: Callable[..., ArrayLike], trial: Array, whole: RealFunction, padded: RealFunction
) -> tuple[RealFunction, float]:
    given = function(trial)
    dtype = np.asarray(given).dtype
    rounding = float(np.finfo(dtype).eps) if dtype.kind == "f" and dtype.itemsize < trial.itemsize else 0.0
    return whole if isinstance(given, np.ndarray) else padded, rounding


def _as_float64(values: NDArray[np.generic]) -> Array:
    if values.dtype.kind not in "biuf":
        raise TypeError("not real numbers")
    return values.astype(np.float64)
