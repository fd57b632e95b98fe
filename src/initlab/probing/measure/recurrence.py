"""How recurrent layers pass gradients back in time, from their own weights and inputs of the size that was measured.

A squared gradient changes by one step back as a small difference of the state does by one step forward: both are
multiplied by the Jacobian of a step, forwards or transposed. Two states that nearly agree are followed under the same
inputs, and their difference is brought back to its first size after every step (Benettin et al. 1980, Meccanica 15);
gates, biases, identities and orthogonal matrices count as they are. For a plain cell of independent weights the
factor is ``n E[w²] E[f'(z)²]``, which is chi_1 of the layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Adapter
from initlab.core.draws.streams import stream
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws import Normal
from initlab.core.signals.readings import Place, Reading
from initlab.frameworks import FRAMEWORKS
from initlab.probing.records import Past
from initlab.theory import activation

Values = NDArray[np.float64]
State = tuple[Values, ...]
Step = Callable[[State, Values], State]

ENTRIES, FEWEST, MOST = 512, 2, 8
"""States of so many entries in all are followed, each of random inputs of its own; so few and so many at the least and
at most: the factor of a wide layer varies less."""
MOST_STEPS = 24
"""Steps that it is followed; a longer sequence goes on at the pace of the second half of them."""
_SMALL = 1e-6


@dataclass(frozen=True, eq=False)
class Cell:
    """The weights of one recurrent cell, the gates one after another along the first axis.

    Attributes:
        own: Of the state, ``(gates * n, n)``.
        entered: Of the input, ``(gates * n, inputs)``.
        bias: Of the sums, ``(gates * n,)``.
        own_bias: Of the state's part of the sums, which a reset gate may multiply.
        f: The activation of what is not a gate.
        has_update_first: Whether a cell of three has its update gate before its reset gate.
    """

    own: Values
    entered: Values
    bias: Values
    own_bias: Values
    f: str = "tanh"
    has_update_first: bool = False

    @property
    def gates(self) -> int:
        """Blocks of the weights: 1 of a plain cell, 3 of a GRU, 4 of an LSTM."""
        rows, columns = self.own.shape
        return int(rows // columns)


def pasts_of(model: object, adapter: Adapter, spec: ModelSpec, reading: Reading) -> tuple[Past, ...]:
    """How every recurrent layer of a model passes gradients back in time; those of an unknown form are left out.

    Args:
        model: The framework's model.
        adapter: Its framework's side.
        spec: Its parameters.
        reading: What a pass of a batch showed.
    """
    known = {p.native: p for p in spec.params}
    return tuple(
        past
        for index, place in enumerate(reading.places)
        if place.kind == "unknown" and place.inputs
        for past in _pasts(model, adapter, reading, index, [known[name] for name in place.params if name in known])
    )


def growth(cell: Cell, *, square: float) -> float:
    """The factor of a squared gradient by one step back in time; 0 where nothing passes, NaN where values overflow.

    Args:
        cell: The cell.
        square: E[x²] of its inputs.

    Example:
        >>> plain = Cell(0.5 * np.eye(4), np.ones((4, 1)), np.zeros(4), np.zeros(4), f="identity")
        >>> round(growth(plain, square=1.0), 6)      # 0.5²
        0.25
    """
    n, inputs = cell.own.shape[1], cell.entered.shape[1]
    step = _step(cell)
    count = min(max(ENTRIES // n, FEWEST), MOST)
    x = math.sqrt(square) * _normal_values((MOST_STEPS, count, inputs), "inputs")
    state = tuple(np.zeros((count, n)) for _ in range(2 if cell.gates == 4 else 1))
    apart = _to_unit_size(tuple(_normal_values((count, n), f"difference {at}") for at in range(len(state))))
    logs = []
    for at in range(MOST_STEPS):
        small = _SMALL * np.maximum(_size(state), 1.0)[:, None]
        # Both go through the weights at once: of a wide layer, reading them is what takes time.
        both = tuple(np.concatenate((s, s + small * d)) for s, d in zip(state, apart, strict=True))
        with np.errstate(over="ignore", invalid="ignore"):
            both = step(both, np.concatenate((x[at], x[at])))
            state = tuple(part[:count] for part in both)
            apart = tuple((part[count:] - part[:count]) / small for part in both)
            size = _size(apart)
        if not np.isfinite(size).all():
            return math.nan
        if not size.any():
            return 0.0
        logs.append(float(np.log(size[size > 0.0]).mean()))
        apart = _to_unit_size(apart)
    return math.exp(2.0 * float(np.mean(logs[MOST_STEPS // 2 :])))


def _pasts(
    model: object, adapter: Adapter, reading: Reading, index: int, params: Sequence[ParamSpec]
) -> Iterator[Past]:
    place = reading.places[index]
    source, steps = reading.places[place.inputs[0]], _steps(reading.places[place.inputs[0]])
    before, after = reading.forward.get(place.inputs[0]), reading.forward.get(index)
    if before is None or after is None or steps < 2:
        return
    order = FRAMEWORKS[adapter.framework].gru_update_first
    for u, w, biases in _cells(params):
        own, entered = (_values_of(model, adapter, p).reshape(p.shape[0], -1) for p in (u, w))
        rows = [row for p in biases for row in _values_of(model, adapter, p).reshape(-1, len(own))]
        bias, own_bias = (*rows, *(np.zeros(len(own)) for _ in range(2)))[:2]
        square = before.square if entered.shape[1] == _features(source) else after.square
        cell = Cell(own, entered, bias, own_bias, u.f_out or "tanh", has_update_first=order)
        if math.isfinite(square) and all(np.isfinite(part).all() for part in (own, entered, bias, own_bias)):
            yield Past(u.native, place.path, cell.gates, steps, growth(cell, square=square))


def _cells(params: Sequence[ParamSpec]) -> Iterator[tuple[ParamSpec, ParamSpec, Sequence[ParamSpec]]]:
    """The weights of the state and of the input, and the biases, of each cell of a layer; none of an unknown form."""
    own = [p for p in params if p.role == "recurrent"]
    entered = [p for p in params if p.role == "dense"]
    biases = [p for p in params if p.role == "bias"]
    each = len(biases) // max(len(own), 1)
    if len(biases) != each * len(own) or [p.shape[0] for p in own] != [p.shape[0] for p in entered]:
        return
    for at, (u, w) in enumerate(zip(own, entered, strict=True)):
        if _is_known(u):
            yield u, w, biases[at * each : (at + 1) * each]


def _values_of(model: object, adapter: Adapter, p: ParamSpec) -> Values:
    return np.asarray(adapter.read(model, p), np.float64)


def _is_known(p: ParamSpec) -> bool:
    """Whether the weights are those of a plain cell whose activation is known, of a GRU or of an LSTM."""
    gates = p.shape[0] / p.shape[1] if len(p.shape) == 2 else 0.0
    return gates in (3.0, 4.0) or (gates == 1.0 and p.f_out is not None)


def _features(place: Place) -> int:
    return place.shape[place.units] if len(place.shape) > place.units else 0


def _steps(place: Place) -> int:
    """The length of the sequences, samples first."""
    return place.shape[1] if len(place.shape) == 3 else 0


def _step(cell: Cell) -> Step:
    """One step of a cell: the state and an input in, the next state out."""
    return {3: _gru, 4: _lstm}.get(cell.gates, _plain)(cell)


def _plain(cell: Cell) -> Step:
    f = activation(cell.f)

    def step(state: State, x: Values) -> State:
        return (f(x @ cell.entered.T + state[0] @ cell.own.T + cell.bias + cell.own_bias),)

    return step


def _gru(cell: Cell) -> Step:
    """``h' = (1 - z) f(W x + r (U h + b)) + z h``, the reset gate behind the product as cuDNN has it."""
    f, n = activation(cell.f), cell.own.shape[1]
    at = (slice(n, 2 * n), slice(n)) if cell.has_update_first else (slice(n), slice(n, 2 * n))

    def step(state: State, x: Values) -> State:
        sums, own = x @ cell.entered.T + cell.bias, state[0] @ cell.own.T + cell.own_bias
        r, z = (_sigmoid(sums[:, part] + own[:, part]) for part in at)
        return ((1.0 - z) * f(sums[:, 2 * n :] + r * own[:, 2 * n :]) + z * state[0],)

    return step


def _lstm(cell: Cell) -> Step:
    """``c' = sigma(f) c + sigma(i) tanh(g)`` and ``h' = sigma(o) tanh(c')``, in the order i, f, g, o."""
    f, n = activation(cell.f), cell.own.shape[1]

    def step(state: State, x: Values) -> State:
        sums = x @ cell.entered.T + state[0] @ cell.own.T + cell.bias + cell.own_bias
        i, keep, g, o = (sums[:, at * n : (at + 1) * n] for at in range(4))
        c = _sigmoid(keep) * state[1] + _sigmoid(i) * f(g)
        return _sigmoid(o) * f(c), c

    return step


def _sigmoid(x: Values) -> Values:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _normal_values(shape: tuple[int, ...], name: str) -> Values:
    return np.asarray(Normal(1.0).draw(shape, stream(0, name, purpose="recurrence")), np.float64)


def _size(parts: State) -> Values:
    """The norm of each sequence's difference over that of all parts of the state."""
    size: Values = np.linalg.norm(np.concatenate(parts, axis=1), axis=1)
    return size


def _to_unit_size(parts: State) -> State:
    size = _size(parts)[:, None]
    return tuple(part / np.where(size > 0.0, size, 1.0) for part in parts)
