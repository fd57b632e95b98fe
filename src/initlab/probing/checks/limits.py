"""The limits between a healthy model and a sick one, each with the reason of its default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from initlab.core.errors import OptionError
from initlab.core.facts.garbage import LARGEST


def _limit(default: float, reason: str) -> float:
    # What ``field`` gives is a float for a type checker, as in every data class.
    value: float = field(default=default, metadata={"reason": reason})
    return value


@dataclass(frozen=True)
class Limits:
    """The limits of a healthy model; ``print`` them to see the reason of each.

    Attributes:
        ratio: E[z²] and the squared gradient stay within 1 / ratio and ratio times, from the first hidden layer to the
            last; E[z²] within 1 / (ratio * layers) on its way down.
        deviations: Standard deviations of the finite-width logarithm by which ``ratio`` is widened.
        steep: The gradient ratio whose depth is told.
        fade_hard: Factor by which signal and squared gradient together may shrink before plain SGD stops training.
        fade_sick: The same before nothing trains it.
        grow_hard: Factor by which they may grow before plain SGD stops.
        grow_sick: The same before nothing trains it.
        chaos_sick: Factor by which the squared gradient may grow at a signal that keeps its size, before nothing does.
        dead_layer: Share of a layer's units that may be zero on the whole batch beyond what theory explains.
        dead_net: The same over all one-sided activations of the model.
        cosine_note: ``1 - cosine`` of different inputs, over that of the inputs themselves: a note below.
        cosine_alarm: The same: an alarm below.
        shallow: Hidden layers up to which a lost separation is a note only.
        saturated: Share of a layer's entries that may be saturated.
        loss_errors: Standard errors by which the loss may be off its prediction.
        loss_share: Share of the prediction by which it may be off besides.
        loss_note: Multiple of the logarithm of the number of classes: a note above.
        loss_alarm: The same: an alarm above.
        loss_sick: The same: no optimiser trains the model in the steps that it has.
        error_note: Multiple of the squared error of the best constant: a note above. Its root, of a loss that grows
            like its outputs.
        error_alarm: The same: an alarm above.
        error_sick: The same: no optimiser trains the model in the steps that it has.
        constant: Share of a table's columns, or of its squares, that one number in all samples may make.
        input_note: Root mean square of the inputs, or 1 over their largest: a note above.
        input_alarm: The same: an alarm above.
        input_sick: The same: no optimiser trains the model in the steps that it has.
        entropy: Relative entropy of an attention below which it looks at one place only.
        uniform: Distance from 1 of that entropy within which all places count the same.
        same: Distance of a cosine from 1 within which two tokens are the same.
        forgets: Factor of a squared gradient by one step back in time below which a recurrent layer keeps nothing.
        outlying: Factor from the usual magnitude of a weight's entries to their root mean square.
        wild: Magnitude of a weight that no initializer writes.
        unseen: Share of a model's numbers that may be unseen: more, and the model is not judged.
        underflow: Share of a weight's entries that may be below the smallest normal number of its type.

    Raises:
        OptionError: A limit that is not a positive number.

    Example:
        >>> Limits(ratio=100.0).changed
        {'ratio': 100.0}
    """

    ratio: float = _limit(
        10.0, "a learning rate makes up for a factor of 3 in amplitude; a critical tanh fades like 1/depth"
    )
    deviations: float = _limit(3.0, "99.7 % of the draws of one narrow net lie within")
    steep: float = _limit(1e3, "beyond it one learning rate cannot serve both ends of the net")
    fade_hard: float = _limit(1e8, "eight default ReLU layers keep 9e-8, and SGD trains them; ten keep 3e-9")
    fade_sick: float = _limit(1e16, "twelve of SiLU keep 5e-14, and Adam trains them; twenty of ReLU keep 2e-17")
    grow_hard: float = _limit(1e4, "no rate fits first and last layers that differ by so much")
    grow_sick: float = _limit(1e30, "Adam divides by the gradient's size; beyond this float32 ends")
    chaos_sick: float = _limit(1e5, "two steps in nearly the same direction part: what is learned is forgotten")
    dead_layer: float = _limit(0.5, "half of a layer that no sample wakes is a layer of half the width")
    dead_net: float = _limit(0.2, "a ReLU net at its critical scale stays below it but for what correlation explains")
    cosine_note: float = _limit(1e-2, "a hundredth of the difference of two samples is left to learn from")
    cosine_alarm: float = _limit(2e-5, "twelve default tanh layers leave 1.5e-4, and SGD trains them; eight SiLU 3e-6")
    shallow: float = _limit(3.0, "two Glorot sigmoid layers reach a cosine of 0.999 and still train")
    saturated: float = _limit(0.6, "where most slopes are below 5 % of the largest, no gradient passes")
    loss_errors: float = _limit(3.0, "99.7 % of the batches lie within")
    loss_share: float = _limit(0.1, "theory of wide nets leaves out so much at a width of 100")
    loss_note: float = _limit(1.5, "outputs that know nothing cost ln K, plus half the variance of the logits")
    loss_alarm: float = _limit(3.0, "the first steps do nothing but make the logits smaller")
    loss_sick: float = _limit(
        1e8, "three layers of N(0, 1) start at 100 times, ten at 10^7 times, and Adam trains both"
    )
    error_note: float = _limit(10.0, "outputs three times as large as the targets' spread are undone in a few steps")
    error_alarm: float = _limit(100.0, "the first steps do nothing but bring the outputs to the targets' size")
    error_sick: float = _limit(1e4, "outputs or targets 100 times too large are not reached in the steps there are")
    constant: float = _limit(0.15, "the corners of a picture are a tenth of it, and harm nothing")
    input_note: float = _limit(10.0, "a step that fits the other weights is 100 times too long for the first ones")
    input_alarm: float = _limit(30.0, "a step that fits the other weights is 1000 times too long for the first ones")
    input_sick: float = _limit(1e3, "a step that fits the other weights is 10^6 times too long for the first ones")
    entropy: float = _limit(0.01, "a softmax with one winner passes no gradient to its logits")
    uniform: float = _limit(1e-6, "equal logits up to rounding: keys get no gradient where queries are zero")
    same: float = _limit(1e-6, "what rounding in float32 leaves of 1 - cosine")
    forgets: float = _limit(
        1e-2, "one step back leaves a tenth of an amplitude: three leave a thousandth, and that is no memory"
    )
    outlying: float = _limit(30.0, "a few entries are the whole layer, and the rest of it might as well be zero")
    wild: float = _limit(LARGEST, "no initializer writes such a number, and memory that nobody wrote is full of them")
    unseen: float = _limit(0.1, "a verdict over nine tenths of the numbers is one over the model")
    underflow: float = _limit(0.1, "below the smallest normal number digits are lost, and then all")

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            if not (math.isfinite(value) and value > 0.0):
                raise OptionError(f"the limit '{name}' is {value!r}", fix="give a positive number")

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why each default is what it is."""
        return {f.name: str(f.metadata["reason"]) for f in fields(self)}

    @property
    def changed(self) -> dict[str, float]:
        """The limits that are not the defaults."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    def to_dict(self) -> dict[str, float]:
        """The limits by name."""
        return {f.name: float(getattr(self, f.name)) for f in fields(self)}

    def __str__(self) -> str:
        return "\n".join(f"{name:<12} {self.to_dict()[name]:<6g} {why}" for name, why in self.reasons.items())
