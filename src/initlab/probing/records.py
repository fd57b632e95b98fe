"""What a probe gives: theory beside measurement for every layer, and what was found wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from initlab.core.facts.spec import ModelSpec
from initlab.core.signals.readings import Reading

Metric = Literal["signal", "activation", "gradient", "cosine", "dead", "saturated", "rank", "loss"]
Severity = Literal["alarm", "note"]
Grade = Literal["sick", "hard", "not judged"]
Verdict = Literal["sick", "hard", "healthy", "not judged"]
Mended = Literal["yes", "partly", "no", "not tried"]

_MOST = 700.0  # the largest power of e in float64, about


@dataclass(frozen=True)
class Expected:
    """What theory says of one place.

    Attributes:
        square: E[x^2].
        mean_square: (E x)^2 averaged over units, the part of ``square`` that all samples share where it is known; 0
            for a weighted sum without bias.
        shift: The part of ``square`` that added parameters, biases most of all, give to all samples alike.
        cosine: Of two different samples; NaN where it is not known.
        gradient: E[g^2] of the loss's gradient; None where the walk back did not reach.
        scatter: Std of ``ln square`` from draw to draw at this width.
        gradient_scatter: Std of ``ln gradient`` from draw to draw at this width.
        is_measured: Whether the walk could not know and went on from what was measured here.
        why: In words, why not; empty where it knew.
        gradient_why: In words, why ``gradient`` was taken from the measurement; empty where theory knew.
    """

    square: float
    mean_square: float = 0.0
    shift: float = 0.0
    cosine: float = 0.0
    gradient: float | None = None
    scatter: float = 0.0
    gradient_scatter: float = 0.0
    is_measured: bool = False
    why: str = ""
    gradient_why: str = ""


@dataclass(frozen=True)
class LayerStat:
    """One number of one layer: what theory says and what is there.

    Attributes:
        path: The place, as in ``Place.path``.
        metric: ``signal`` is E[z^2] of a weighted sum, ``activation`` E[a^2] behind it, ``gradient`` E[(dL/dz)^2].
        predicted: None where theory is silent.
        measured: Over the batch.
        stderr: Standard error of ``measured`` over the samples; NaN where it cannot be had.
    """

    path: str
    metric: Metric
    predicted: float | None
    measured: float
    stderr: float


@dataclass(frozen=True)
class WeightFacts:
    """What one parameter holds.

    Attributes:
        native: The framework's own name.
        std: Over its finite entries.
        mean: Of them.
        largest: Their largest magnitude.
        zeros: Share of entries that are exactly 0.
        broken: Entries that are NaN or infinite.
        smallest_normal: The smallest normal number of its dtype, below which precision is lost.
        equal_units: Rows that are equal to an earlier row, zero rows left out; of a table, those that are as good as
            equal too.
        equal_slices: Of stacked weights, such as experts and scanned layers, those that are equal to an earlier one;
            zero ones left out.
        digest: BLAKE2b over shape and canonical bytes, 16 hex digits; equal for clones.
        update_ratio: Root mean square of its gradient over that of its entries; NaN without a gradient or at zero.
        typical: Median magnitude of the entries that are not 0, from at most 1024 that are evenly spaced; NaN where
            there are none.
        is_varied: Whether most of 64 entries, evenly spaced, differ from each other: random numbers do, and those of an
            identity or of a bias that opens a gate do not.
    """

    native: str
    std: float
    mean: float
    largest: float
    zeros: float
    broken: int
    smallest_normal: float
    equal_units: int
    digest: str
    update_ratio: float = float("nan")
    is_varied: bool = True
    typical: float = float("nan")
    equal_slices: int = 0


@dataclass(frozen=True)
class Past:
    """How a recurrent layer passes gradients back in time.

    Attributes:
        native: The recurrent weight, by the framework's own name.
        path: The layer, as in ``Place.path``.
        gates: Blocks of the weight: 1 of a plain cell, 3 of a GRU, 4 of an LSTM.
        steps: Of the batch's sequences.
        factor: Of a squared gradient by one step back in time; NaN where values overflow on the way.
    """

    native: str
    path: str
    gates: int
    steps: int
    factor: float

    @property
    def ratio(self) -> float:
        """The squared gradient of the first step over that of the last."""
        return math.exp(min((self.steps - 1) * math.log(self.factor), _MOST)) if self.factor > 0.0 else self.factor


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        kind: What it is, as in the table of findings, e.g. ``"vanishing gradient"``.
        severity: ``alarm``: the model is sick, or hard to train; ``note``: worth knowing.
        where: The places or parameters, the worst first.
        what: What is the matter, with its numbers, in one sentence.
        fix: What to do about it, in one sentence.
        scheme: The scheme that would mend it; empty where none does.
        value: The number that was compared.
        limit: With this one.
        params: Globs of the parameters that the scheme is for; empty where it is for all weights.
        grade: Of an alarm. ``sick``: no optimiser trains the model; ``hard``: Adam or a warm-up does, plain SGD does
            not. Of a note ``not judged``: with it nothing can be said of the model.
        cause: The kind of the finding that it follows from; empty where it is a cause itself.
        zeros: Names of biases that look designed, and are what is the matter: with the scheme they start at zero.
        mended: Whether the scheme was seen to mend it, in a probe of the weights that it draws with seed 0. An offer
            that mends nothing is withdrawn: it was a ``scheme``, and that is empty then.

    Example:
        >>> finding = Finding("equal tokens", "alarm", ("q",), "...", "...", scheme="normal(std=0.02)", params=("q",))
        >>> finding.schemes
        {'q': 'normal(std=0.02)'}
    """

    kind: str
    severity: Severity
    where: tuple[str, ...]
    what: str
    fix: str
    scheme: str = ""
    value: float = float("nan")
    limit: float = float("nan")
    params: tuple[str, ...] = ()
    grade: Grade = "sick"
    cause: str = ""
    zeros: tuple[str, ...] = ()
    mended: Mended = "not tried"

    @property
    def schemes(self) -> str | dict[str, str]:
        """What ``initialize(model, ...)`` takes to mend it; empty where no scheme does."""
        if not self.scheme or not (self.params or self.zeros):
            return self.scheme
        return dict.fromkeys(self.params or ("*",), self.scheme) | dict.fromkeys(self.zeros, "zeros")


@dataclass(frozen=True, eq=False)
class Trial:
    """A mend that was tried: what a second probe shows of the model with the weights that it draws.

    Attributes:
        schemes: What ``initialize(model, ...)`` was told.
        evidence: All that is known of the model then; None where it failed.
        refused: Why, in words; empty where it did not.
    """

    schemes: str | Mapping[str, str]
    evidence: Evidence | None
    refused: str = ""


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is known of a probed model: what the checks of a diagnosis read.

    Attributes:
        model: The model's class name.
        framework: ``torch`` or ``keras``.
        spec: Every parameter.
        reading: What the pass showed.
        expected: What theory says, by the index of a place.
        weights: What the parameters hold, by native name.
        loss: What theory says of the initial loss; None where it is silent.
        notes: What could not be seen, in words.
        loss_scatter: Std of the logarithm of the loss from draw to draw of the weights.
        pasts: How its recurrent layers pass gradients back in time.
        trials: What became of the mends that were tried.
        step: Of a model that is being trained, the number of the pass, counted from 0; None of one that was probed.
        guessed: What the batch was, in words, where nobody gave one and it was guessed from the model; else empty.
    """

    model: str
    framework: str
    spec: ModelSpec
    reading: Reading
    expected: Mapping[int, Expected]
    weights: Mapping[str, WeightFacts]
    loss: float | None = None
    notes: tuple[str, ...] = field(default=())
    loss_scatter: float = 0.0
    pasts: tuple[Past, ...] = ()
    trials: tuple[Trial, ...] = ()
    step: int | None = None
    guessed: str = ""
