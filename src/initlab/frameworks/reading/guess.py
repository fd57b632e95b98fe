"""What a guess costs: the yardstick of the first loss, found from the loss itself and not from its name.

Cross entropy has the uniform guess; a distance to numbers has the best constant, one number an output unit; any other
loss has its value at outputs of zero. A loss without a floor, one that compares samples with each other, and one that
draws at random have none. A framework gives the outputs as NumPy arrays and the loss as a function of other ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import stream
from initlab.core.laws import Normal
from initlab.core.signals.readings import Guess

Floats = NDArray[np.floating[Any]]
Values: TypeAlias = list[Floats]
Tried: TypeAlias = Callable[[Values], tuple[float, Values]]

_SAME = 1e-4  # of a loss in float32, summed in another order
_NEAR = 1e-3  # of shares that add up to 1
_MOST = 1 << 22  # entries of outputs that are tried at other values
_STEPS = 48  # of a descent; a step doubles while its sign holds, so that they reach 1e7 times the first
_HALVINGS = 48  # from 1e6 times the outputs to the rounding of float32
_EVEN = 0.1  # by which the slopes on both sides of a distance may differ, so far out
_FAR = 1e6  # times the outputs: a squared error is symmetric there, whatever its targets
_ROWS = 256  # of logits that are reckoned with at a time
_IGNORED = -100  # the class that frameworks leave out


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model returned, as NumPy arrays.

    Attributes:
        values: Those with real numbers and samples; the main one first.
        units: Of each, the axis of its units.
        is_chance: Whether the main one is a sigmoid.
    """

    values: Values
    units: tuple[int, ...]
    is_chance: bool = False


def uniform_guess(classes: int) -> Guess:
    """Of cross entropy: ``ln K``, whatever the shares of the classes in the batch.

    Example:
        >>> round(uniform_guess(10).value, 3)
        2.303
    """
    return Guess(math.log(classes), "uniform", classes) if classes > 1 else Guess(why="there is one class")


def constant_guess(targets: Floats, units: int) -> Guess:
    """Of a squared error: the variance of the targets, by output unit over all samples and positions.

    Example:
        >>> constant_guess(np.array([[1.0, 10.0], [3.0, 10.0]]), -1).value      # variances 1 and 0
        0.5
    """
    by_unit = np.moveaxis(targets.astype(np.float64), units, -1)
    by_unit = by_unit.reshape(-1, by_unit.shape[-1] if targets.ndim > 1 else 1)
    return _constant(float(by_unit.var(axis=0).mean()), float(np.square(by_unit).mean()), 2)


def guess_inside(loss: float, outputs: Outputs, candidates: Sequence[NDArray[Any]]) -> Guess | None:
    """What a guess costs of a loss that is cross entropy or a squared error of the main output; None where it is not.

    Whether it is is told by its value: that of the arrays which fit, for language models with the next token as class.

    Args:
        loss: Its value.
        outputs: What the model returned.
        candidates: Arrays that may be its targets.
    """
    if not outputs.values or not math.isfinite(loss):
        return None
    main = outputs.values[0]
    fitting = [c for c in candidates if c.dtype.kind in "iub" and main.ndim > 1 and _fits(c, main.shape)]
    for found, classes in _entropies(main, fitting):
        if math.isclose(found, loss, rel_tol=_SAME):
            return uniform_guess(classes)
    for numbers in candidates:
        if numbers.dtype.kind == "f" and numbers.size == main.size and numbers.shape[:1] == main.shape[:1]:
            apart = np.square(main.astype(np.float64) - numbers.reshape(main.shape)).mean()
            if math.isclose(float(apart), loss, rel_tol=_SAME):
                return constant_guess(numbers.reshape(main.shape), outputs.units[0])
    return None


def guess_by_heads(losses: Sequence[float], heads: Outputs, candidates: Sequence[NDArray[Any]]) -> Guess | None:
    """What a guess costs of a sum of losses of which a head's outputs give some; None where they give none.

    The others are counted as they are.

    Args:
        losses: Their values.
        heads: Weighted sums behind which there are no others.
        candidates: Arrays that may be targets.

    Example:
        >>> head, classes = np.array([[9.0, 0.0], [9.0, 0.0]]), np.array([1, 1])     # wrong by 9
        >>> found = guess_by_heads([9.0001234, 0.5], Outputs([head], (-1,)), [classes])
        >>> round(found.value - 0.5, 3), found.how                                   # ln 2
        (0.693, 'uniform')
    """
    left, cost, known = list(losses), 0.0, list[Guess]()
    for head, units in zip(heads.values, heads.units, strict=True):
        for loss in left:
            found = guess_inside(loss, Outputs([head], (units,)), candidates)
            if found is not None and found.how != "none":
                left.remove(loss)
                known.append(found)
                cost += found.value
                break
    if not known:
        return None
    one = known[0] if len(losses) == 1 else replace(known[0], classes=0)
    return replace(one, value=cost + sum(left))


def guess_by_trying(loss: float, outputs: Outputs, tried: Tried, *, largest_target: float = 0.0) -> Guess:
    """What a guess costs of any loss, from its values and gradients at other outputs.

    Args:
        loss: Its value.
        outputs: What the model returned.
        tried: The loss at other outputs, and its gradients by them.
        largest_target: The largest magnitude of the targets, where they are known.
    """
    if not math.isfinite(loss):
        return Guess(why="it is not finite")
    try:
        return _by_trying(loss, outputs, tried, largest_target)
    except Exception as error:  # the caller's own loss, at outputs that the model does not give
        return Guess(why=f"it cannot be had at other outputs: {type(error).__name__}")


def replaced(result: Any, arrays: Mapping[int, Any]) -> Any:
    """What a model returned, with other arrays in the place of its own, which are told by ``id``."""
    if id(result) in arrays:
        return arrays[id(result)]
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*(replaced(one, arrays) for one in result))
    if isinstance(result, list | tuple):
        return type(result)(replaced(one, arrays) for one in result)
    if isinstance(result, Mapping):
        found: Any = copy(result)
        for name, one in result.items():
            found[name] = replaced(one, arrays)
        return found
    held = getattr(result, "__dict__", None)
    if held is None or isinstance(result, type) or hasattr(result, "dtype"):
        return result
    found = copy(result)
    found.__dict__.update({name: replaced(one, arrays) for name, one in held.items()})
    return found


def _by_trying(loss: float, outputs: Outputs, tried: Tried, largest_target: float) -> Guess:
    again, slopes = tried(outputs.values)
    if not math.isclose(again, loss, rel_tol=_SAME, abs_tol=_SAME) or tried(outputs.values)[0] != again:
        return Guess(why="it is another number for the same outputs")
    asked = _Asked(outputs, tuple(i for i, slope in enumerate(slopes) if slope.any()), tried)
    if not asked.used:
        return Guess(why="it does not depend on what the model returns")
    at_zero, _ = asked.at([asked.links[i].of(np.zeros_like(outputs.values[i])) for i in asked.used])
    is_small = sum(outputs.values[i].size for i in asked.used) <= _MOST
    if is_small and _compares_samples(asked, slopes):
        return Guess(why="it compares the samples of a batch with each other")
    classes = _classes_of(at_zero, outputs.values[asked.used[0]].shape)
    if classes:
        return Guess(at_zero, "uniform", classes)
    if not is_small:
        return Guess(why="the outputs are too many to be tried at other values")
    if not math.isfinite(at_zero):
        return Guess(why="it is not finite at outputs of zero")
    far = max(_FAR * (1.0 + max(float(np.abs(outputs.values[i]).max()) for i in asked.used)), 1e3 * largest_target)
    growth = _growth(asked, far)
    if growth:
        return _constant(_best_constant(asked, far), at_zero, growth)
    if min(loss, at_zero, _descended(asked)) < -_SAME * max(abs(loss), abs(at_zero)):
        return Guess(why="it has no floor at zero")
    return Guess(at_zero, "zero") if at_zero > 0.0 else Guess(why="outputs of zero cost nothing")


@dataclass(frozen=True, eq=False)
class _Link:
    """How an output depends on a free number: shares, their logarithms and chances have a limited range."""

    how: Literal["free", "shares", "logs", "chance"]
    axis: int = -1

    def of(self, free: Floats) -> Floats:
        """The output."""
        if self.how == "free":
            return free
        if self.how == "chance":
            return np.asarray(1.0 / (1.0 + np.exp(-free.astype(np.float64))), free.dtype)
        apart = free - free.max(axis=self.axis, keepdims=True)
        logs = apart - np.log(np.exp(apart).sum(axis=self.axis, keepdims=True))
        return np.asarray(np.exp(logs) if self.how == "shares" else logs, free.dtype)

    def back(self, made: Floats, slope: Floats) -> Floats:
        """The gradient by the free number, of that by the output."""
        if self.how == "free":
            return slope
        if self.how == "chance":
            return np.asarray(slope * made * (1.0 - made))
        if self.how == "shares":
            return np.asarray(made * (slope - (made * slope).sum(axis=self.axis, keepdims=True)))
        return np.asarray(slope - np.exp(made) * slope.sum(axis=self.axis, keepdims=True))


@dataclass(frozen=True, eq=False)
class _Asked:
    """A loss of those outputs that it depends on."""

    outputs: Outputs
    used: tuple[int, ...]
    tried: Tried

    @cached_property
    def links(self) -> dict[int, _Link]:
        """Of each output that is used."""
        return {i: _link(self.outputs, i) for i in self.used}

    def at(self, parts: Sequence[Floats]) -> tuple[float, Values]:
        """The loss and its gradients where the used outputs are these."""
        given = list(self.outputs.values)
        for i, part in zip(self.used, parts, strict=True):
            given[i] = part.astype(given[i].dtype, copy=False)
        loss, slopes = self.tried(given)
        return loss, [slopes[i] for i in self.used]


def _link(outputs: Outputs, at: int) -> _Link:
    value = outputs.values[at]
    if at == 0 and outputs.is_chance:
        return _Link("chance")
    for axis in (-1, 1) if value.ndim > 1 else ():
        if value.shape[axis] < 2:
            continue
        if value.min() >= 0.0 and np.allclose(value.sum(axis=axis), 1.0, atol=_NEAR):
            return _Link("shares", axis)
        if value.max() <= 0.0 and np.allclose(np.exp(value).sum(axis=axis), 1.0, atol=_NEAR):
            return _Link("logs", axis)
    return _Link("free")


def _constant(best: float, at_zero: float, growth: int) -> Guess:
    if best <= _SAME**growth * at_zero * _SAME:
        return Guess(why="the targets are all the same")
    return Guess(best, "constant", growth=growth)


def _fits(classes: NDArray[Any], shape: tuple[int, ...]) -> bool:
    return classes.size > 0 and classes.shape in (shape[:-1], (*shape[:-1], 1), (*shape[:1], *shape[2:]))


def _entropies(logits: Floats, candidates: Sequence[NDArray[Any]]) -> Iterator[tuple[float, int]]:
    """Cross entropy against each array of classes, at its own place and at the place before."""
    if not candidates:
        return
    axes = [-1] if logits.ndim < 3 else [-1, 1]
    for axis in axes:
        last = np.moveaxis(logits, axis, -1)
        rows = last.reshape(-1, last.shape[-1])
        fitting = [c.reshape(last.shape[:-1]) for c in candidates if c.size == len(rows) and c.max() < rows.shape[1]]
        logs = _log_sums(rows) if fitting else None
        for classes in fitting:
            for shifted in (classes, _next(classes)) if classes.ndim > 1 else (classes,):
                if logs is not None and (found := _entropy(rows, logs, shifted.reshape(-1))) is not None:
                    yield found, rows.shape[1]


def _log_sums(rows: Floats) -> NDArray[np.float64]:
    found = []
    for at in range(0, len(rows), _ROWS):
        part = rows[at : at + _ROWS].astype(np.float32, copy=False)
        top = part.max(axis=1)
        found.append(top.astype(np.float64) + np.log(np.exp(part - top[:, None]).sum(axis=1, dtype=np.float64)))
    return np.concatenate(found)


def _entropy(rows: Floats, logs: NDArray[np.float64], classes: NDArray[Any]) -> float | None:
    known = np.flatnonzero(classes != _IGNORED)
    if not known.size or classes[known].min() < 0:
        return None
    return float(np.mean(logs[known] - rows[known, classes[known].astype(np.int64)]))


def _next(classes: NDArray[Any]) -> NDArray[np.int64]:
    shifted = np.full(classes.shape, _IGNORED, np.int64)
    shifted[:, :-1] = classes[:, 1:]
    return shifted


def _classes_of(at_zero: float, shape: tuple[int, ...]) -> int:
    """The classes of a loss that costs ``ln K`` at outputs that know nothing; two for each output; 0 for none."""
    known = (n for n in (*shape[-1:], *shape[1:2], 2) if n > 1)
    return next((n for n in known if math.isclose(at_zero, math.log(n), rel_tol=1e-5)), 0)


def _noise(value: Floats) -> Floats:
    size = float(np.sqrt(np.square(value.astype(np.float64)).mean())) or 1.0
    drawn = Normal(size).draw(value.shape, stream(0, "output", purpose="probe"))
    return np.asarray(drawn, value.dtype)


def _compares_samples(asked: _Asked, slopes: Values) -> bool:
    """Whether another output of the first sample turns the gradients by those of the others."""
    values = [asked.outputs.values[i] for i in asked.used]
    if len(values[0]) < 3:
        return False
    noise = [asked.links[i].of(_noise(value[:1])) for i, value in zip(asked.used, values, strict=True)]
    _, after = asked.at([np.concatenate([new, value[1:]]) for new, value in zip(noise, values, strict=True)])
    before = [slopes[i] for i in asked.used]
    first, second = (np.concatenate([one[1:].ravel() for one in each]).astype(np.float64) for each in (before, after))
    sizes = float(np.linalg.norm(first) * np.linalg.norm(second))
    return sizes > 0.0 and float(first @ second) < (1.0 - _SAME) * sizes


def _growth(asked: _Asked, far: float) -> int:
    """The power with which a distance to numbers grows, 2 or 1; 0 of a loss that is none.

    Far out on both sides it rises in every entry, as steeply on the one as on the other.
    """
    if any(link.how != "free" for link in asked.links.values()):
        return 0
    values = [asked.outputs.values[i] for i in asked.used]
    found = [asked.at([np.full_like(value, side * far) for value in values]) for side in (1.0, -1.0, 2.0)]
    if not all(math.isfinite(loss) for loss, _ in found):
        return 0
    rises, falls = (np.concatenate([one.ravel() for one in slopes]).astype(np.float64) for _, slopes in found[:2])
    known = (rises != 0.0) | (falls != 0.0)
    rises, falls = rises[known], falls[known]
    if not rises.size or not (rises > 0.0).all() or not (falls < 0.0).all():
        return 0
    is_even = bool((np.abs(rises + falls) <= _EVEN * rises).all())
    return (2 if found[2][0] > 3.0 * found[0][0] else 1) if is_even else 0


def _best_constant(asked: _Asked, far: float) -> float:
    """The least loss of outputs that are one number a unit, each found by halving where the gradient has no sign."""
    values, units = asked.outputs.values, asked.outputs.units
    shapes = [_one_a_unit(values[i], units[i]) for i in asked.used]
    low, high = ([np.full(shape, side * far) for shape in shapes] for side in (-1.0, 1.0))
    least = math.inf
    for _ in range(_HALVINGS):
        middle = [(a + b) / 2.0 for a, b in zip(low, high, strict=True)]
        loss, slopes = asked.at([np.broadcast_to(m, values[i].shape) for i, m in zip(asked.used, middle, strict=True)])
        least = min(least, loss)
        for k, (slope, shape) in enumerate(zip(slopes, shapes, strict=True)):
            axes = tuple(axis for axis, n in enumerate(shape) if n == 1)
            rises = slope.sum(axis=axes, keepdims=True, dtype=np.float64) > 0.0
            low[k], high[k] = np.where(rises, low[k], middle[k]), np.where(rises, middle[k], high[k])
    return least


def _one_a_unit(value: Floats, units: int) -> tuple[int, ...]:
    kept = units % value.ndim if value.ndim > 1 else -1
    return tuple(n if i == kept else 1 for i, n in enumerate(value.shape))


def _descended(asked: _Asked) -> float:
    """The least loss on a way downhill from outputs of zero, or below zero.

    Each entry has a step of its own, twice as long while its sign holds (Riedmiller and Braun 1993, Rprop): nothing but
    signs counts, so that no entry's scale has to be known.
    """
    links = [asked.links[i] for i in asked.used]
    free = [np.zeros(asked.outputs.values[i].shape) for i in asked.used]
    steps, before = [np.full(part.shape, 0.1) for part in free], [np.zeros(part.shape) for part in free]
    least = math.inf
    for _ in range(_STEPS):
        made = [link.of(part) for link, part in zip(links, free, strict=True)]
        loss, slopes = asked.at(made)
        if not math.isfinite(loss) or least < 0.0:
            break
        least = min(least, loss)
        for link, value, slope, part, step, last in zip(links, made, slopes, free, steps, before, strict=True):
            sign = np.sign(link.back(value, slope))
            step *= np.where(sign * last > 0, 2.0, np.where(sign * last < 0, 0.5, 1.0))
            part -= sign * step
            last[...] = sign
    return least
