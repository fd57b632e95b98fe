"""How a tensor of unknown origin was made of earlier ones, told by its values.

A back end's own functions and the operators of plain tensors leave no record. What they made is compared with what is
known: an earlier tensor, an activation of one, the sum of two, an activation of such a sum, or such a sum's one term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.frameworks.keras.writing.memory import to_numpy
from initlab.theory import ACTIVATIONS, activation

_SAMPLE = 4096
_PLAUSIBLE = tuple(name for name in ACTIVATIONS if name not in ("identity", "sign", "threshold", "hard_shrink"))

Sample = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Step:
    """One step of an origin that fits.

    Attributes:
        kind: ``identity``, ``add``, or the activation's name.
        inputs: The tensors it took.
        output: The tensor it made.
        function: What it did, on tensors.
    """

    kind: str
    inputs: tuple[Any, ...]
    output: Any
    function: Callable[..., Any]


def steps(tensor: Any, earlier: Sequence[Any]) -> tuple[Step, ...]:
    """The steps from earlier tensors, of as many entries, to this one; the latest tensors are tried first.

    Values of one sign alone do not tell one activation from another, so they give no steps.

    Args:
        tensor: Of unknown origin.
        earlier: Tensors that may have been its origin, in order.

    Returns:
        The steps in order; empty where nothing fits.

    Example:
        >>> x = keras.ops.convert_to_tensor([[-2.0, -1.0, 0.5, 3.0]])
        >>> y = keras.ops.convert_to_tensor([[1.0, -2.0, 4.0, -1.5]])
        >>> [step.kind for step in steps(keras.ops.relu(x + y), [x, y])]
        ['add', 'relu']
    """
    known = [(x, _sample(x)) for x in reversed(earlier)]
    return next(_fitting(tensor, _sample(tensor), known), ())


def _fitting(tensor: Any, made: Sample, known: Sequence[tuple[Any, Sample]]) -> Iterator[tuple[Step, ...]]:
    for x, a in known:
        if _close(made, a):
            yield (Step("identity", (x,), tensor, _same),)
    for x, a in known:
        if name := _activation(made, a):
            yield (Step(name, (x,), tensor, _on_tensors(name)),)
    for (x, a), (y, b) in combinations(known, 2):
        if _close(made, a + b):
            yield (_sum(x, y, tensor),)
    for (x, a), (y, b) in combinations(known, 2):
        if name := _activation(made, a + b):
            between = _sum(x, y, keras.ops.add(x, y))
            yield between, Step(name, (between.output,), tensor, _on_tensors(name))
    for (x, a), (y, b) in permutations(known, 2):
        if name := _activation(made - a, b):
            term = Step(name, (y,), _on_tensors(name)(y), _on_tensors(name))
            yield term, _sum(x, term.output, tensor)


def _sum(x: Any, y: Any, made: Any) -> Step:
    return Step("add", (x, y), made, keras.ops.add)


def _sample(tensor: Any) -> Sample:
    flat = to_numpy(tensor).reshape(-1)
    return flat[:: max(flat.size // _SAMPLE, 1)].astype(np.float64)


def _close(a: Sample, b: Sample) -> bool:
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4))  # float32, and back ends that shorten exp and erf


def _activation(made: Sample, x: Sample) -> str | None:
    if not (x.min() < -0.05 and x.max() > 0.05):
        return None
    few = slice(None, None, 64)
    for name in _PLAUSIBLE:
        with np.errstate(all="ignore"):
            if _close(made[few], activation(name)(x[few])) and _close(made, activation(name)(x)):
                return name
    return None


def _same(x: Any) -> Any:
    return x


def _on_tensors(name: str) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        return keras.ops.convert_to_tensor(activation(name)(to_numpy(x)).astype(np.float32))

    return call
