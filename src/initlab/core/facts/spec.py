"""Facts about one parameter and about one model: all a scheme ever sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal, get_args

from initlab.core.errors import OptionError, ShapeError

Role = Literal[
    "dense",
    "conv",
    "conv_transpose",
    "recurrent",
    "embedding",
    "bias",
    "norm_scale",
    "norm_bias",
    "scale",
    "unknown",
]
ROLES: tuple[Role, ...] = get_args(Role)
NormKind = Literal["batch", "layer", "unknown"]
LayerKind = Literal["attention", "bilinear", "conv_transpose", "lora"]
WEIGHT_ROLES: frozenset[str] = frozenset({"dense", "conv", "conv_transpose", "recurrent", "embedding"})


@dataclass(frozen=True)
class Axes:
    """Which axes of an einsum kernel are contracted with the input, appear in the output, or are stacked copies.

    Axes named by none of the three are receptive field. Stacked experts and scanned layers are ``batch`` axes: each
    slice is a weight of its own.

    Example:
        >>> Axes(inputs=(0,), outputs=(1, 2))      # a (d_model, heads, head_dim) query kernel
        Axes(inputs=(0,), outputs=(1, 2), batch=())
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    batch: tuple[int, ...] = ()


@dataclass(frozen=True)
class Branch:
    """The place of a layer in a residual branch.

    Attributes:
        layer: The layer's place in its branch, counted from 1.
        layers: Layers in the branch.
        branches: Residual branches in the model.
        is_last: Whether the layer writes into the residual sum.
        f_end: The activation at the branch's end, before the sum; None where it ends plain.
        is_normed: Whether a norm layer stands between the branch's last weight and the sum: it undoes every scale of
            that weight.
        index: Which of the branches it is, in the order in which the pass ends them, counted from 1; None where that
            is not seen. It is no part of what makes two places equal.
    """

    layer: int
    layers: int
    branches: int
    is_last: bool
    f_end: str | None = None
    is_normed: bool = False
    index: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Dynamics:
    """What a parameter does in a recurrence ``h' = a h + b x`` whose decay ``a`` is made of parameters.

    Attributes:
        part: ``step``: added to what softplus makes the step ``d`` of. ``rate``: the logarithm of A in
            ``a = exp(-d A)``. ``radius``: the inverse softplus of ``-log a`` for an open gate, in
            ``a = exp(-c gate softplus(p))``. ``skip``: the factor of what goes past the recurrence. ``decay``: the
            logarithm of the rate in ``a = exp(-exp(p))``, a number for each channel.
        states: Of a ``rate``, the axis of the states that one channel has; None where it has one.
        layer: Of a ``decay``, its rank among those of the model, counted from 1.
        layers: Of a ``decay``, how many there are.
    """

    part: Literal["step", "rate", "radius", "skip", "decay"]
    states: int | None = None
    layer: int = 1
    layers: int = 1


@dataclass(frozen=True)
class ParamSpec:
    """One parameter, in the canonical layout ``(out, in / groups, *kernel)``.

    Attributes:
        path: The canonical path, e.g. ``"0/weight"``.
        shape: The logical, global shape; never that of a shard.
        role: What the parameter does.
        groups: Groups of a convolution.
        stride: Stride of a convolution, an entry per kernel axis; empty means 1 everywhere.
        f_in: The activation that made the layer's input; None for the network's input (gain 1).
        f_out: The activation that takes the layer's output; None where there is none.
        in_moment: E[x^2] of the input, where ``f_in`` alone does not say it.
        unfollowed: What made the input, where nothing is known of its size; empty where something is.
        carried: E[x^2] with which the stream began that gates let past the layer, as the ``(1 - t) x`` of a highway:
            what the layer adds is to stay small beside it. None where there is none.
        summed: Residual branches whose ends are added to its input, with no norm layer behind them.
        frequency: The factor before the steep function that takes the layer's output, as the 30 of ``sin(30 z)``: it
            belongs to this weight, so that what the function takes has mean square 1; None where there is none.
        layer_shape: For a bias, the shape of its layer's weight; for a projection of attention that is stored alone,
            that of the one matrix that PyTorch makes of it and its siblings.
        layer_kind: The layer it belongs to, where a default depends on it: ``attention`` of the input
            projections, the biases and the learned key and value of multi-head attention; ``bilinear`` of weight and
            bias; ``conv_transpose`` of a bias, which then has the layer's ``groups`` too; ``lora`` of the first factor
            of a table's low-rank update, whose rows are no signal.
        axes: For an einsum kernel, its axes by role; the shape is then the kernel's own.
        blocks: Sizes along the outputs of packed weights (gates, QKV, gate and up): along axis 0, or along the first
            output axis of ``axes``; empty where nothing is packed.
        branch: The place in a residual branch; that of a norm's scale where it is the last before the sum.
        norm: The norm layer that takes the layer's output before any activation: ``batch`` takes the moments of each
            unit over rows or places, ``layer`` those of each row over its units; None where there is none.
        is_output: Whether the model is known to return what the weight makes, and no other weight to take it.
        tied_to: The path of the parameter this one shares its memory with.
        native: The framework's own name of the parameter.
        frozen: Whether the model's owner excluded it from training.
        intent: Why its present value is meant to stay, e.g. ``"LoRA B starts at zero"``; empty where nothing says so.
        is_obstacle: Whether ``intent`` says why the parameter cannot be drawn, rather than that its value is meant.
        padding_row: The row of a table that stays zero and is no part of its draw; None where there is none.
        is_drawable: Whether its numbers are of a type that initlab reads and draws.
        is_complex: Whether they are complex: what is said of their squares is then meant of ``|w|^2``.
        dynamics: What it does in a linear recurrence over time; None where it is in none.
        forget_block: Of the bias of an LSTM, the block that opens the forget gate, 0 where nothing is packed; None of
            every other parameter, and of the second of two biases that are summed.
        parts: The framework's own names of the parameters that it is computed from, as by a weight norm: they are set
            so that it is what was drawn. Empty where it is a parameter itself.
        has_memory: Whether its framework holds memory for it; on torch's ``meta`` device there is none.
        is_divided: Whether its layer uses it over its largest singular value, as a spectral norm does; what is drawn,
            read and compared is the weight before that.
        is_written: Whether its present numbers are known to have been written while its model was built.

    Raises:
        ShapeError: A size, group, stride, block or axis that does not fit the shape.
        OptionError: An unknown role.

    Example:
        >>> ParamSpec(path="0/weight", shape=(64, 4)).role
        'dense'
    """

    path: str = "weight"
    shape: tuple[int, ...] = ()
    role: Role = "dense"
    groups: int = 1
    stride: tuple[int, ...] = ()
    f_in: str | None = None
    f_out: str | None = None
    in_moment: float | None = None
    unfollowed: str = ""
    carried: float | None = None
    summed: int = 0
    frequency: float | None = None
    layer_shape: tuple[int, ...] | None = None
    layer_kind: LayerKind | None = None
    axes: Axes | None = None
    blocks: tuple[int, ...] = ()
    branch: Branch | None = None
    norm: NormKind | None = None
    is_output: bool = False
    tied_to: str | None = None
    native: str = ""
    frozen: bool = False
    intent: str = ""
    is_obstacle: bool = False
    padding_row: int | None = None
    is_drawable: bool = True
    dynamics: Dynamics | None = None
    forget_block: int | None = None
    is_written: bool = False
    parts: tuple[str, ...] = ()
    has_memory: bool = True
    is_divided: bool = False
    is_complex: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        self._check()

    def _check(self) -> None:
        if self.role not in ROLES:
            raise OptionError(f"unknown role '{self.role}'", where=self.path, fix=f"one of {', '.join(ROLES)}")
        if any(n < 0 for n in self.shape):
            raise ShapeError(f"a negative size in {self.shape}", where=self.path)
        if self.groups < 1 or (self.shape and self.shape[0] % self.groups):
            raise ShapeError(f"{self.groups} groups do not divide {self.shape[:1]}", where=self.path)
        if self.padding_row is not None and not (self.shape and 0 <= self.padding_row < self.shape[0]):
            raise ShapeError(f"row {self.padding_row} is none of shape {self.shape}", where=self.path)
        if self.stride and len(self.stride) != len(self.shape) - 2:
            raise ShapeError(f"stride {self.stride} for a kernel of shape {self.shape}", where=self.path)
        if self.axes is not None:
            named = (*self.axes.inputs, *self.axes.outputs, *self.axes.batch)
            if len(set(named)) != len(named) or any(not 0 <= axis < len(self.shape) for axis in named):
                raise ShapeError(f"axes {self.axes} do not fit shape {self.shape}", where=self.path)
        if self.blocks:
            length = sum(self.shape[self.block_axis : self.block_axis + 1])
            if sum(self.blocks) != length or min(self.blocks) < 1:
                text = f"blocks {self.blocks} do not add up to axis {self.block_axis} of {self.shape}"
                raise ShapeError(text, where=self.path)

    @property
    def size(self) -> int:
        """Number of entries."""
        return prod(self.shape)

    @property
    def is_weight(self) -> bool:
        """Whether a named scheme applies: a weight's role and rank 2 or more."""
        return self.role in WEIGHT_ROLES and len(self.shape) >= 2

    @property
    def block_axis(self) -> int:
        """The axis along which blocks are packed."""
        return self.axes.outputs[0] if self.axes is not None and self.axes.outputs else 0

    def block_specs(self) -> tuple[ParamSpec, ...]:
        """One spec for each packed block, or the spec itself where nothing is packed."""
        if not self.blocks:
            return (self,)
        before, after = self.shape[: self.block_axis], self.shape[self.block_axis + 1 :]
        return tuple(replace(self, shape=(*before, size, *after), blocks=()) for size in self.blocks)


Fidelity = Literal["exact", "traced", "declared", "partial"]


@dataclass(frozen=True)
class ModelSpec:
    """Every parameter of a model, in order of use.

    Attributes:
        params: The parameters.
        fidelity: How much of the graph is known: ``exact`` for our own architectures, ``traced`` from a graph,
            ``declared`` from module types alone, ``partial`` where a part was hidden.
        notes: What could not be seen, in words.
    """

    params: tuple[ParamSpec, ...]
    fidelity: Fidelity = "exact"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        paths = [p.path for p in self.params]
        twice = {path for path in paths if paths.count(path) > 1} if len(set(paths)) != len(paths) else set()
        if twice:
            raise ShapeError(f"two parameters share the path '{min(twice)}'", fix="give each its own name")

    def __getitem__(self, path: str) -> ParamSpec:
        for p in self.params:
            if p.path == path:
                return p
        raise KeyError(path)
