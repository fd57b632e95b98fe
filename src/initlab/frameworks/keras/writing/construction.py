"""The construction of a Keras model watched: every variable that is made, and what is assigned to it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import keras
from keras.src.backend.common.variables import Variable
from keras.src.layers.layer import Layer

from initlab.core.facts.provenance import Provenance, Write
from initlab.frameworks.keras.reading.marks import stamps
from initlab.frameworks.keras.reading.parameters import entries, numbers
from initlab.frameworks.reading.callers import Homes, cut, line_of, said
from initlab.frameworks.reading.marks import digest
from initlab.frameworks.reading.provenance import Histories, History, Same, remember, settled

_KERAS = Path(keras.__file__).parent
_HOMES = Homes(
    [
        __file__,
        contextmanager.__code__.co_filename,
        *(str(path) for path in (_KERAS / "src").iterdir() if path.name != "applications"),
        str(_KERAS.parent / "tensorflow"),
        str(_KERAS.parent / "jax"),
        str(_KERAS.parent / "torch"),
    ]
)


class KerasConstruction:
    """Which initializer made each variable, for which layer, and who wrote into it since."""

    def __init__(self) -> None:
        self._histories = Histories()
        self._made_at: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    @property
    def is_alive(self) -> bool:
        """Whether any variable is still there."""
        return len(self._histories) > 0

    def of(self, model: object) -> tuple[Provenance, ...]:
        """The writers of every parameter, which are remembered beside the model."""
        found = tuple(self._provenance(e.native, e.variable) for e in entries(model))
        remember(model, found, lambda names: stamps(model, names))
        return found

    def _provenance(self, native: str, variable: Any) -> Provenance:
        shape = tuple(variable.shape)
        history = self._histories[variable]
        if history is None or history.last is None or not history.stands(_stamp(variable)):
            return Provenance(native, shape, "unknown", None, () if history is None else tuple(history.before))
        return Provenance(native, shape, "written", settled(history.last, numbers(variable)), tuple(history.before))

    def layer(self, layer: Any) -> None:
        """Remember the line that made a layer: its variables may be made much later, when it is first called."""
        caller, _ = _HOMES.caller(sys._getframe(2))
        self._made_at[layer] = line_of(caller)

    def made(self, variable: Any, initializer: Any) -> None:
        """Remember what made a variable."""
        frame: FrameType | None = sys._getframe(2)
        caller, _ = _HOMES.caller(frame)
        layer = _layer_of(frame)
        where = self._made_at.get(layer, "") if layer is not None else ""
        is_default = _is_default(layer, initializer)
        write = Write(_law(initializer), where or line_of(caller), is_default, _is_random(initializer))
        self._histories[variable] = History(write, _stamp(variable))

    def assigned(self, variable: Any, value: object) -> None:
        """Remember what was assigned to a variable."""
        caller, _ = _HOMES.caller(sys._getframe(2))
        history = self._histories[variable] or History(None, None)
        history.write(Write(f"assign({said(value)})", line_of(caller)), _stamp(variable))
        self._histories[variable] = history


def _layer_of(frame: FrameType | None) -> Any:
    """The layer that makes a variable: the innermost one at work."""
    while frame is not None:
        layer = frame.f_locals.get("self") if frame.f_code.co_varnames[:1] == ("self",) else None
        if isinstance(layer, Layer):
            return layer
        frame = frame.f_back
    return None


def _is_default(layer: Any, initializer: object) -> bool:
    """Whether a layer of Keras' own has this initializer without having been given it."""
    if layer is None or not _is_of_keras(layer):
        return False
    defaults = {n: p.default for n, p in inspect.signature(type(layer).__init__).parameters.items()}
    names = [name for name, held in vars(layer).items() if held is initializer and name.lstrip("_") in defaults]
    return not names or any(_law(defaults[name.lstrip("_")]) == _law(initializer) for name in names)


def _is_of_keras(one: object) -> bool:
    return type(one).__module__.startswith("keras.")


def _law(initializer: object) -> str:
    if isinstance(initializer, str):
        initializer = keras.initializers.get(initializer)
    if not isinstance(initializer, keras.initializers.Initializer):
        name = getattr(initializer, "__name__", None)
        return f"{name}()" if name else f"the value given, {said(initializer)}"
    defaults = {n: p.default for n, p in inspect.signature(type(initializer).__init__).parameters.items()}
    try:
        config: Mapping[str, object] = initializer.get_config()
    except NotImplementedError:  # Keras' base class has none, and asks for one only where a model is saved
        config = {}
    told = [f"{n}={said(v)}" for n, v in config.items() if n != "seed" and (n not in defaults or defaults[n] != v)]
    return cut(f"{type(initializer).__name__}({', '.join(told)})")


def _is_random(initializer: object) -> bool | None:
    if isinstance(initializer, str):
        initializer = keras.initializers.get(initializer)
    is_keras = isinstance(initializer, keras.initializers.Initializer) and _is_of_keras(initializer)
    return True if hasattr(initializer, "seed") else False if is_keras else None


def _stamp(variable: Any) -> object:
    """What tells a variable's present value from a later one: the array itself where a back end changes none."""
    value = variable._value
    if value is None or keras.config.backend() == "jax":
        return Same(value)
    return digest(numbers(variable))


@contextmanager
def construction() -> Iterator[KerasConstruction]:
    """Within it, the variables of every model that is built are seen.

    Example:
        >>> with construction() as seen:
        ...     net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, bias_initializer="ones")])
        >>> [(one.last.law, one.last.is_default) for one in seen.of(net)]
        [('GlorotUniform()', True), ('Ones()', False)]
    """
    watch, inside = KerasConstruction(), [0]
    make, assign, start = Variable.__init__, Variable.assign, Layer.__init__

    def made(self: Any, initializer: Any, *args: Any, **kwargs: Any) -> None:
        inside[0] += 1
        try:
            make(self, initializer, *args, **kwargs)
        finally:
            inside[0] -= 1
        watch.made(self, initializer)

    def assigned(self: Any, value: Any) -> Any:
        given = assign(self, value)
        if not inside[0]:
            watch.assigned(self, value)
        return given

    def started(self: Any, *args: Any, **kwargs: Any) -> None:
        start(self, *args, **kwargs)
        watch.layer(self)

    Variable.__init__, Variable.assign, Layer.__init__ = made, assigned, started
    try:
        yield watch
    finally:
        Variable.__init__, Variable.assign, Layer.__init__ = make, assign, start
