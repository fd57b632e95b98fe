"""What theory says of every place of a model, from its weights as they are and the batch it was given.

The weights count by their size alone: the prediction is that of independent, centred weights with the mean square of
the actual ones. Where theory cannot know what a place does, the walk says so and goes on from what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping

from initlab.core.facts.spec import ModelSpec
from initlab.core.signals.readings import Reading
from initlab.probing.predict.backward import walk_back
from initlab.probing.predict.forward import Walk, walk_forward
from initlab.probing.predict.loss import expected_loss
from initlab.probing.records import Evidence, Expected, Past, WeightFacts


def expect_places(reading: Reading, spec: ModelSpec, weights: Mapping[str, WeightFacts]) -> dict[int, Expected]:
    """What theory says of each place, by index; a place that neither theory nor the measurement tells is left out.

    Args:
        reading: The places, and what was measured of them.
        spec: Every parameter.
        weights: What they hold, by native name.

    Returns:
        A record a place. It never raises on account of the model: what is odd is taken from the measurement.

    Example:
        >>> from initlab.core.facts.spec import ParamSpec
        >>> from initlab.core.signals.sums import sums_of
        >>> from initlab.core.signals.readings import Place
        >>> from initlab.probing.measure.weights import facts_of
        >>> import numpy as np
        >>> places = (Place("input", "x", shape=(2, 2)), Place("weighted", "fc", (0,), (2, 3), params=("w",)))
        >>> reading = Reading(places, (1,), {0: sums_of([[1.0, 0.0], [0.0, 1.0]])}, {}, {}, 0.0, 0.0, "random")
        >>> spec = ModelSpec((ParamSpec(path="w", native="w", shape=(3, 2)),))
        >>> found = expect_places(reading, spec, {"w": facts_of(np.full((3, 2), -2.0), native="w")})
        >>> found[1].square      # 2 inputs of mean square 1/2, weights of mean square 4
        4.0
    """
    walk = Walk(reading, {p.native: p for p in spec.params}, weights)
    walk_forward(walk)
    gradients = walk_back(walk)
    found = {}
    for index, signal in walk.signals.items():
        gradient = gradients.get(index)
        found[index] = Expected(
            square=signal.square,
            mean_square=signal.mean**2,
            shift=signal.shift,
            cosine=signal.cosine,
            gradient=None if gradient is None else gradient.square,
            scatter=signal.scatter,
            gradient_scatter=0.0 if gradient is None else gradient.scatter,
            is_measured=signal.is_measured,
            why=signal.why,
            gradient_why="" if gradient is None else gradient.why,
        )
    return found


def gather_evidence(
    reading: Reading,
    spec: ModelSpec,
    weights: Mapping[str, WeightFacts],
    *,
    model: str,
    framework: str,
    pasts: tuple[Past, ...] = (),
) -> Evidence:
    """All that is known of a probed model: what was measured and what theory says.

    Args:
        reading: What the pass showed.
        spec: Every parameter.
        weights: What they hold, by native name.
        model: The model's class name.
        framework: Its framework.
        pasts: How its recurrent layers pass gradients back in time.
    """
    expected = expect_places(reading, spec, weights)
    loss, scatter = expected_loss(reading, expected) or (None, 0.0)
    notes = (*reading.notes, *_left_out(reading), *_not_judged(reading))
    return Evidence(model, framework, spec, reading, expected, weights, loss, notes, scatter, pasts)


def _not_judged(reading: Reading) -> list[str]:
    """That the first loss has no yardstick, and why."""
    why = "" if reading.guess is None else reading.guess.why
    return [f"the first loss is not judged: {why}"] if why else []


def _left_out(reading: Reading) -> list[str]:
    """That a model without a loss was followed backwards from its first output alone, where it has more."""
    rest = [reading.places[i].path for i in reading.outputs[1:] if i not in reading.backward]
    if reading.loss_kind != "random" or not rest:
        return []
    return [f"of {len(reading.outputs)} outputs the first alone was followed backwards; a loss of all follows them all"]
