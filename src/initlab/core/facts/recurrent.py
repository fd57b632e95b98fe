"""A recurrent network that reads a row as a sequence: described once, as data."""

from __future__ import annotations

from dataclasses import dataclass

from initlab.core.errors import OptionError
from initlab.core.facts.arch import Norm
from initlab.core.facts.spec import ModelSpec, ParamSpec

RECURRENT_WEIGHT = "1/weight"
"""Path of the weight that a state is multiplied by at every step."""


@dataclass(frozen=True)
class Recurrent:
    """``state_t = f(W_in x_t + W_rec state_(t-1) + b)`` from a state of zeros; a linear layer reads the last state.

    Attributes:
        inputs: Numbers of one step; a row holds the steps one after the other.
        width: Units of the state.
        outputs: Numbers that the network gives for a row.
        steps: Length of a sequence.
        activation: ``f``, a name of ``initlab list activations``.
        bias: Whether the state and the output have a bias.

    Raises:
        OptionError: A size below 1.

    Example:
        >>> net = Recurrent(inputs=2, width=8, outputs=3, steps=50)
        >>> [(p.path, p.shape) for p in net.spec().params if p.is_weight]
        [('0/weight', (8, 2)), ('1/weight', (8, 8)), ('2/weight', (3, 8))]
        >>> net.parameters      # 8 (2 + 8 + 1) + 3 (8 + 1), whatever the number of steps
        115
    """

    inputs: int
    width: int
    outputs: int
    steps: int
    activation: str = "tanh"
    bias: bool = True

    def __post_init__(self) -> None:
        for name in ("inputs", "width", "outputs", "steps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"{name} must be a whole number of 1 or more, got {value!r}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Sizes of what is computed for a row: the sequence, the state at each step, and the outputs."""
        return (self.inputs * self.steps, *(self.width,) * self.steps, self.outputs)

    @property
    def depth(self) -> int:
        """Number of weights: into the state, from state to state, and out of it."""
        return 3

    @property
    def dropout(self) -> float:
        """0: nothing is dropped."""
        return 0.0

    @property
    def norm(self) -> Norm:
        """``none``."""
        return "none"

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.size for p in self.spec().params)

    def spec(self) -> ModelSpec:
        """Every parameter, in order of use, with the activations around it."""
        f, n = self.activation, self.width
        params = [
            ParamSpec(path="0/weight", shape=(n, self.inputs), f_out=f),
            ParamSpec(path=RECURRENT_WEIGHT, shape=(n, n), role="recurrent", f_in=f, f_out=f),
            ParamSpec(path="2/weight", shape=(self.outputs, n), f_in=f),
        ]
        if self.bias:
            params.insert(2, ParamSpec(path="1/bias", shape=(n,), role="bias", layer_shape=(n, n)))
            params.append(ParamSpec(path="2/bias", shape=(self.outputs,), role="bias", layer_shape=(self.outputs, n)))
        return ModelSpec(tuple(params))
