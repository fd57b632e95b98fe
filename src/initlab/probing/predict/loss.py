"""The loss that theory expects before the first step, from the size of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, hypot, isfinite, log

from initlab.core.errors import InitlabError
from initlab.core.signals.readings import Reading
from initlab.probing.predict.signals import alike
from initlab.probing.records import Expected
from initlab.theory import InitialLoss, initial_cross_entropy, initial_squared_error

_NORMAL_KINDS = frozenset({"weighted", "sum", "norm", "scale", "pass", "pool", "dropout", "mix"})


def expected_loss(reading: Reading, expected: Mapping[int, Expected]) -> tuple[float, float] | None:
    """The loss of outputs that know nothing of the targets, and the std of its logarithm from draw to draw.

    A loss strays with the size of the outputs, and the less the samples of a batch differ the more with the few
    numbers that they have in common.

    Args:
        reading: What the pass showed.
        expected: What theory says of each place.

    Returns:
        In nats for cross entropy; for squared errors the mean over outputs, where the reading tells the targets' size.
        None where theory is silent.
    """
    if not reading.outputs or reading.outputs[0] not in expected:
        return None
    place, output = reading.places[reading.outputs[0]], expected[reading.outputs[0]]
    if place.kind not in _NORMAL_KINDS or not isfinite(output.square) or len(place.shape) < 2:
        return None
    units = place.shape[place.units]
    try:
        found = _loss(reading, output.square, units)
        louder = _loss(reading, output.square * exp(output.scatter), units)
    except InitlabError:
        # Logits too large for the quadrature: their loss has no value worth telling.
        return None
    if found is None or louder is None or not found.mean > 0.0:
        return None
    together = found.deviation * alike(output.cosine, place.shape[0]) ** 0.5
    if reading.loss_kind == "mse":
        together /= units**0.5
    return found.mean, hypot(log(louder.mean / found.mean), together / found.mean)


def _loss(reading: Reading, square: float, units: int) -> InitialLoss | None:
    if reading.loss_kind == "cross_entropy":
        return initial_cross_entropy(units, square)
    if reading.loss_kind == "mse" and isfinite(reading.target_square):
        return initial_squared_error(square, target_second_moment=reading.target_square)
    return None
