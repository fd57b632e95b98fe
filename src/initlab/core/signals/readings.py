"""What one batch shows inside a model: the places where a signal stands, and what was summed of it there.

A framework's adapter fills these records in one forward and backward pass; what they mean is decided above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

PlaceKind = Literal[
    "input",  # given to the model
    "weighted",  # a weighted sum of its first input, or a look-up in a table
    "activation",  # an activation of each entry of its first input
    "norm",  # its first input, normalised
    "sum",
    "product",
    "concat",
    "pool",  # means or maxima of its first input
    "dropout",
    "scale",  # its first input times a number
    "softmax",
    "mix",  # means of its second input, weighted by its first: attention
    "pass",  # the entries of its first input, moved about
    "unknown",
]
FactValue: TypeAlias = str | float | tuple[int, ...]

GRAM_ROWS = 32
"""Samples of a batch that are compared with each other."""

BINS = 60
"""Bins of a histogram, equal in width, over 5 root mean squares on both sides of zero."""


@dataclass(frozen=True)
class Place:
    """One value that a model makes on the way from its input to its output.

    Attributes:
        kind: How it is made.
        path: A name that people find again, no two alike: the module's own, with the activation behind a colon and a
            count behind a hash where it is used again, e.g. ``"blocks.0.fc"``, ``"blocks.0:gelu"``, ``"head#2"``.
        inputs: The places it is made of, by index, all smaller than its own; the first carries the signal.
        shape: Batch first.
        units: The axis of ``shape`` whose entries are units: channels, or features.
        params: Native names of the parameters in it; the weight before the bias, the scale before the shift.
        f: Of an activation, its call as in the registry of activations; None where it is not known.
        facts: What else decides the size of the signal. ``norm``: ``norm`` (batch, layer, rms, group, instance),
            ``eps``, ``groups``. ``weighted``: ``stride``, ``padding``, ``dilation``, ``groups`` of a convolution,
            ``table`` 1.0 of a look-up. ``pool``: ``how`` (mean, max), ``size`` (entries a pool). ``dropout``:
            ``rate``. ``scale``: ``factor``. ``pass``: ``multiplied`` 1.0 where the entries are also multiplied by
            numbers of no layer, as by rotary positions.
    """

    kind: PlaceKind
    path: str
    inputs: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    units: int = -1
    params: tuple[str, ...] = ()
    f: str | None = None
    facts: Mapping[str, FactValue] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Sums:
    """What was measured of one value, or of the loss's gradient by it, over one batch.

    Shares and means are over the finite entries. NaN stands where a thing cannot be had, or was not looked at.

    All entries count, with these exceptions. In the three numbers about directions, 500 entries or more of a sample may
    stand for all, in blocks that are evenly spaced: the standard error of a cosine c is then ``0.05 (1 - c^2)`` at most
    where entries are independent. Of tokens, 32 or more, evenly spaced, of 2 samples or more may stand for all,
    and of the weights of an attention that is one call, those of as many queries.

    Attributes:
        rows: Samples.
        entries: Numbers in all.
        units: Channels or features.
        mean: Of the entries.
        square: Their mean square.
        square_error: Standard error of ``square``, from the spread of the samples' own mean squares; NaN for one row.
        broken: Entries that are NaN or infinite.
        dead_units: Units that are 0 on the whole batch.
        equal_units: Units that are the same as an earlier one on the whole batch, zero ones left out.
        cosine: Mean cosine of two different samples, among the first ``GRAM_ROWS``.
        token_cosine: Mean cosine of two different tokens of one sample; for values of shape (rows, tokens, features).
        rank: Participation ratio ``tr(G)^2 / tr(G^2)`` of the samples' Gram matrix G, among the first ``GRAM_ROWS``:
            1 where all point the same way, their number where all are orthogonal and of one length.
        saturated: Of a value that a bounded activation takes: share of entries where its slope is below 5 % of its
            largest.
        entropy: Of a softmax: mean entropy over the logarithm of the number of places, in [0, 1].
        counts: Histogram, int64 of length ``BINS``; empty where none was asked for. Entries outside are in the last
            bins.
    """

    rows: int
    entries: int
    units: int
    mean: float
    square: float
    square_error: float = float("nan")
    broken: int = 0
    dead_units: int = 0
    equal_units: int = 0
    cosine: float = float("nan")
    token_cosine: float = float("nan")
    rank: float = float("nan")
    saturated: float = float("nan")
    entropy: float = float("nan")
    counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True)
class WeightGradient:
    """The loss's gradient by one parameter.

    Attributes:
        square: Mean square of its finite entries.
        broken: Entries that are NaN or infinite.
    """

    square: float
    broken: int


@dataclass(frozen=True)
class Guess:
    """What outputs that know nothing of the targets cost: the yardstick of the first loss.

    Attributes:
        value: The loss of the guess; NaN where the loss has no yardstick.
        how: ``uniform``: all classes alike. ``constant``: the best constant, one number an output unit. ``zero``:
            outputs of zero.
        classes: Of the uniform guess.
        growth: The power with which the loss grows with the size of the outputs: 2 of a squared error.
        why: In words, why there is none; empty where there is one.
    """

    value: float = float("nan")
    how: Literal["uniform", "constant", "zero", "none"] = "none"
    classes: int = 0
    growth: int = 1
    why: str = ""


@dataclass(frozen=True)
class BatchFacts:
    """What one array of a batch, or its targets, holds.

    Attributes:
        shape: Samples first.
        mean: Of the entries.
        square: Their mean square.
        least: The smallest.
        largest: The largest.
        constant: Columns of a table that are one number in all samples, and not zero; 0 of an array of another rank.
        columns: Columns of a table.
        constant_share: The share of the squares that the constant columns hold.
        repeated: Samples that are the same as an earlier one.
        is_whole: Whether the entries are whole numbers by their type.
    """

    shape: tuple[int, ...]
    mean: float
    square: float
    least: float
    largest: float
    constant: int = 0
    columns: int = 0
    constant_share: float = 0.0
    repeated: int = 0
    is_whole: bool = False

    @property
    def variance(self) -> float:
        """Of the entries.

        Example:
            >>> BatchFacts((2,), mean=3.0, square=10.0, least=2.0, largest=4.0).variance
            1.0
        """
        return max(self.square - self.mean**2, 0.0)


@dataclass(frozen=True, eq=False)
class Reading:
    """What one forward and backward pass of a batch showed.

    Attributes:
        places: Every value from the input to the output, in the order in which they were made.
        outputs: The places that the model returns, by index.
        forward: Sums of a place's value, by index; not every place is measured.
        backward: Sums of the loss's gradient by a place's value, by index.
        gradients: By the native name of a parameter.
        loss: The loss; NaN where none was given and the output was followed backwards by random numbers alone.
        loss_error: Its standard error over the samples; NaN where only the whole loss is known.
        loss_kind: ``cross_entropy``, ``mse``, ``given`` (the caller's own) or ``random``.
        notes: What could not be seen, in words.
        target_square: Mean square of the targets of a squared error; NaN for any other loss.
        guess: What a guess costs; None where there is no loss.
        batch: What the arrays of the batch hold, in the order in which they were given.
        targets: What the targets hold; None where none were given.
    """

    places: tuple[Place, ...]
    outputs: tuple[int, ...]
    forward: Mapping[int, Sums]
    backward: Mapping[int, Sums]
    gradients: Mapping[str, WeightGradient]
    loss: float
    loss_error: float
    loss_kind: Literal["cross_entropy", "mse", "given", "random"]
    notes: tuple[str, ...] = ()
    target_square: float = float("nan")
    guess: Guess | None = None
    batch: tuple[BatchFacts, ...] = ()
    targets: BatchFacts | None = None


def unscaled(found: Reading, factor: float) -> Reading:
    """The reading of the loss itself, where the loss that was followed was ``factor`` times it.

    Example:
        >>> found = Reading((), (), {}, {}, {"w": WeightGradient(64.0, 0)}, 12.0, float("nan"), "given")
        >>> unscaled(found, 4.0).loss, unscaled(found, 4.0).gradients["w"]
        (3.0, WeightGradient(square=4.0, broken=0))
    """
    if factor == 1.0:
        return found
    return replace(
        found,
        backward={at: _divide(one, factor) for at, one in found.backward.items()},
        gradients={name: WeightGradient(one.square / factor**2, one.broken) for name, one in found.gradients.items()},
        loss=found.loss / factor,
        loss_error=found.loss_error / factor,
    )


def _divide(one: Sums, factor: float) -> Sums:
    return replace(
        one,
        mean=one.mean / factor,
        square=one.square / factor**2,
        square_error=one.square_error / factor**2,
    )
