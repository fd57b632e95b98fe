"""Layers that a framework does not bring: what each of their parameters is, and what their call does to the signal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, get_args

from initlab.core.errors import OptionError
from initlab.core.facts.spec import ROLES, Axes, Role
from initlab.core.registry import Registry, summary

SignalKind = Literal["weighted", "norm", "pass", "unknown"]
SIGNAL_KINDS: tuple[SignalKind, ...] = get_args(SignalKind)


@dataclass(frozen=True)
class LayerParam:
    """What one parameter of a layer is, in the framework's own layout.

    Without ``axes`` a weight is stored as the framework's own layers store theirs: PyTorch's ``(out, in / groups,
    *kernel)``, Keras' and Flax' ``(*kernel, in / groups, out)``.

    Attributes:
        role: What it does.
        axes: The stored axes by what they do, where they stand otherwise; draws then follow the stored order.
        groups: Groups of a convolution.
        stride: Stride of a convolution, an entry per kernel axis.
        blocks: Sizes of the weights that are packed along the outputs; each is drawn as one of its own.
        weight: Of a bias, the name of the layer's parameter that it is added to the sums of.
        f_in: The activation inside of the layer that made its input, ``identity`` for a plain value; None where its
            input comes from outside.
        f_out: The activation inside of the layer that takes its output; None where its output leaves the layer.
        kept: Why no scheme draws it; empty where one may.

    Raises:
        OptionError: An unknown role.

    Example:
        >>> LayerParam("dense", axes=Axes(inputs=(1,), outputs=(0, 2))).axes.inputs
        (1,)
    """

    role: Role
    axes: Axes | None = None
    groups: int = 1
    stride: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    weight: str = ""
    f_in: str | None = None
    f_out: str | None = None
    kept: str = ""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise OptionError(f"unknown role '{self.role}'", where="LayerParam", fix=f"one of {', '.join(ROLES)}")


@dataclass(frozen=True)
class Held:
    """How large a parameter of a layer is, as a probe finds it.

    Attributes:
        square: E[w^2].
        forward: ``fan_in * E[w^2]``, what a weighted sum multiplies E[x^2] by; ``square`` where there is no fan.
        backward: ``fan_out * E[w^2]``, what it multiplies E[g^2] by on the way back; ``square`` where there is no fan.
    """

    square: float
    forward: float
    backward: float


MomentRule: TypeAlias = Callable[[float, Mapping[str, Held]], float]
ParamsRule = Callable[..., Mapping[str, LayerParam]]
F = TypeVar("F", bound=ParamsRule)


@dataclass(frozen=True, eq=False)
class Layer:
    """An entry of the registry.

    Attributes:
        name: The registered name.
        kinds: Classes, or their full names.
        params: ``params(layer)``: what each parameter is, by its name in the layer.
        signal: What a call does, as one value; None where its operations are followed one by one.
        second_moment: From E[x^2] of the input, and how large the parameters are, to that of the output.
        gradient: The same from E[g^2] by the output to that by the input.
    """

    name: str
    kinds: tuple[type | str, ...]
    params: ParamsRule
    signal: SignalKind | None = None
    second_moment: MomentRule | None = None
    gradient: MomentRule | None = None

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return summary(self.params)

    def facts_of(self, layer: object) -> Mapping[str, LayerParam]:
        """What each parameter of a layer is, by its name in the layer.

        Raises:
            OptionError: The function does not give a mapping of ``LayerParam``, or it raises.
        """
        try:
            found = self.params(layer)
            wrong = next((name for name, one in found.items() if not isinstance(one, LayerParam)), None)
        except (Exception, SystemExit) as error:  # the function is anyone's
            said = f"what was registered for '{self.name}' raises {type(error).__name__}: {error}"
            raise OptionError(said, where=type(layer).__name__, fix="mend it, or take the registration out") from error
        if wrong is not None:
            said = f"what was registered for '{self.name}' gives no LayerParam for '{wrong}'"
            raise OptionError(said, where=type(layer).__name__, fix='give one, e.g. LayerParam("dense")')
        return found


LAYERS: Registry[Layer] = Registry("layer", listing="initlab list layers", group="initlab.layers")
"""The layers that were registered, by name."""


def register_layer(
    *kinds: type | str,
    name: str,
    signal: SignalKind | None = None,
    second_moment: MomentRule | None = None,
    gradient: MomentRule | None = None,
) -> Callable[[F], F]:
    """Make known what the parameters of a layer are, so that it is planned, audited and probed as the frameworks' own.

    Args:
        kinds: Its classes, of any framework, or their full names, ``"package.module.Class"``: a name imports nothing.
            Subclasses are the same layer, unless they are registered themselves.
        name: The layer's name.
        signal: What its call does to the signal, where its operations shall not be followed one by one: ``weighted``,
            a weighted sum, or several in a row, of its first input; ``norm``, its first input at mean square 1;
            ``pass``, the entries of its first input, moved about; ``unknown``, none of these.
        second_moment: ``rule(square, held) -> square``: from E[x^2] of the input to E[z^2] of the output; ``held`` says
            how large each parameter is, by name (``Held``). Without it a probe goes on from what it measured, and says
            so, but for a ``weighted`` layer of one weight, a ``norm`` and a ``pass``.
        gradient: The same from E[g^2] by the output to that by the input.

    Returns:
        A decorator of ``function(layer) -> {parameter's name: LayerParam}``, which gives it back unchanged; the first
        line of its docstring is what ``initlab list layers`` prints.

    Raises:
        OptionError: The name is taken; no class, or an unknown signal; a rule without a signal.

    Example:
        A matrix as the product of two, ``z = v (u x)``:

        >>> @register_layer(
        ...     "doctest_package.LowRank",
        ...     name="doctest_low_rank",
        ...     signal="weighted",
        ...     second_moment=lambda square, held: square * held["u"].forward * held["v"].forward,
        ... )
        ... def low_rank(layer):
        ...     '''Two factors of a dense weight, and a bias.'''
        ...     u, v = LayerParam("dense", f_out="identity"), LayerParam("dense", f_in="identity")
        ...     return {"u": u, "v": v, "bias": LayerParam("bias", weight="v")}
        >>> layer = LAYERS["doctest_low_rank"]      # E[u^2] = 1 / fan_in, E[v^2] = 2 / fan_in
        >>> layer.second_moment(3.0, {"u": Held(0.1, 1.0, 0.5), "v": Held(0.2, 2.0, 1.0)})
        6.0
    """
    if not kinds:
        raise OptionError("no class", where=name, fix='register_layer("package.module.Class", name=...)')
    if signal is not None and signal not in SIGNAL_KINDS:
        raise OptionError(f"no signal '{signal}'", where=name, fix=f"one of {', '.join(SIGNAL_KINDS)}")
    if signal is None and (second_moment is not None or gradient is not None):
        raise OptionError("a rule for a layer whose operations are followed", where=name, fix='give signal="unknown"')

    def register(function: F) -> F:
        LAYERS.add(name, Layer(name, kinds, function, signal, second_moment, gradient))
        _FOUND.clear()
        return function

    return register


_FOUND: dict[type, Layer | None] = {}


def layer_of(kind: type) -> Layer | None:
    """What a class, or the nearest class above it, was registered as; None for one that nobody registered.

    Example:
        >>> layer_of(dict) is None
        True
    """
    if kind not in _FOUND:
        registered = [(one, LAYERS[name]) for name in LAYERS for one in LAYERS[name].kinds]
        found = (layer for base in kind.__mro__ for one, layer in registered if _is(base, one))
        _FOUND[kind] = next(found, None) if registered else None
    return _FOUND[kind]


def _is(kind: type, given: type | str) -> bool:
    if not isinstance(given, str):
        return kind is given
    module, _, name = given.rpartition(".")
    # A package may offer a class under a shorter name than that of the module that defines it.
    return kind.__name__ == name and (kind.__module__ == module or getattr(sys.modules.get(module), name, None) is kind)
