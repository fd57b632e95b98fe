"""One forward and backward pass of a batch, summed at every place; the model is afterwards as it was."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Any

import keras
import numpy as np

from initlab.core.adapter import Capture, Overrides
from initlab.core.errors import InitlabError, OptionError, ShapeError
from initlab.core.generators import own_generators
from initlab.core.signals.readings import Reading
from initlab.frameworks.keras.autodiff import Start, autodiff
from initlab.frameworks.keras.describe import described
from initlab.frameworks.keras.probing.loss import Loss, OutputKind, guess_at, loss_of, outputs_of
from initlab.frameworks.keras.probing.recorder import Signals
from initlab.frameworks.keras.probing.sums import fetched
from initlab.frameworks.keras.reading.inputs import arguments, calls_kept, first_line, seeds_kept
from initlab.frameworks.keras.reading.parameters import Entry, check_model, entries, layers_of
from initlab.frameworks.keras.reading.passes import recorded
from initlab.frameworks.keras.reading.record import Recorder
from initlab.frameworks.keras.reading.trace import trace_of
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.reading.batches import batch_facts, check_finite, one_value_a_channel
from initlab.frameworks.reading.guess import Outputs
from initlab.frameworks.reading.loss import is_chance, stopped
from initlab.frameworks.reading.places import places
from initlab.frameworks.reading.records import Measured, by_place, reading_of


def capture(
    model: object, batch: object, *, targets: object = None, loss: Callable[..., Any] | None = None,
    histograms: bool = False, overrides: Overrides | None = None,
) -> Capture:  # fmt: skip
    """What one forward and backward pass of a batch shows of a built model, with ``training=True``.

    Variables, moving statistics, seed generators and the layers' own attributes are afterwards as they were, also
    after an error.

    Args:
        model: A ``keras.Model`` or layer.
        batch: An input, a tuple of inputs, or a mapping as the model takes it; samples first.
        targets: Whole numbers for the mean cross entropy of an output (n, classes) or (n, tokens, classes), real
            ones for the mean square error. Where the last activation is a softmax, its logarithm is taken; a
            sigmoid of one unit has the cross entropy of two classes.
        loss: A function of what the model returns, and of the targets where there are some; its value is a scalar.
            A ``keras.losses.Loss`` is given the targets first, as Keras does. Without it and targets, the output
            is followed backwards by standard normal numbers that are always the same.
        histograms: Whether to count entries.
        overrides: As in ``describe``.

    Raises:
        InitlabError: The model is not built: that would leave weights behind.
        ShapeError: The model does not take the batch, or the targets do not fit its output.
        DataError: The batch holds numbers that are not finite.
        OptionError: Nothing to follow backwards: frozen parameters, an output without gradient, a loss that is no
            scalar.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "tanh", name="hidden")])
        >>> reading = capture(model, np.array([[3.0, 4.0]])).reading
        >>> [place.kind for place in reading.places], reading.forward[0].square      # (9 + 16) / 2
        (['input', 'weighted', 'activation'], 12.5)
    """
    checked = check_model(model)
    check_built(checked)
    given = arguments(checked, batch)
    _check_finite(given)
    recorder, reading = one_pass(checked, given, targets=targets, loss=loss, histograms=histograms)
    found = entries(checked)
    with seeds_kept():
        return Capture(described(checked, found, trace_of(recorder, found), overrides), reading)


def one_pass(
    model: Any, given: tuple[Any, ...], *, targets: object = None, loss: Callable[..., Any] | None = None,
    histograms: bool = False, is_judged: bool = True,
) -> tuple[Recorder, Reading]:  # fmt: skip
    """One recorded pass of a built model in training mode, and what was summed there; the model is left as it was.

    Args:
        model: The model.
        given: The positional arguments of its call; numbers that are not finite may be there.
        targets: Whole numbers for cross entropy, real ones for the mean square error.
        loss: A function of the model's outputs, and of the targets where there are some; a ``keras.losses.Loss`` is
            given the targets first. Without targets and loss, a loss that the model returns itself is taken, else its
            output is followed backwards by fixed random numbers.
        histograms: Whether to count entries.
        is_judged: Whether a loss of the caller's is tried at other outputs, for what a guess costs.

    Raises:
        ShapeError: The model does not take the batch, or the targets do not fit its output.
        OptionError: Nothing to follow backwards.
    """
    found = entries(model)
    engine = autodiff()
    signals = Signals(engine, keras.config.image_data_format() == "channels_first", histograms)
    with seeds_kept(), calls_kept(model), _left_alone(model), engine.preserved():
        passed = _Pass(model, signals, found)
        value = passed.run(given, targets, loss)
        reading = _reading(passed, value)
        return passed.recorder, replace(reading, **passed.held(value, given, targets)) if is_judged else reading


def followable(found: Sequence[Entry]) -> list[Entry]:
    """The parameters that take a gradient.

    Raises:
        OptionError: None does.
    """
    wanted = [e for e in found if not e.frozen and "float" in keras.backend.standardize_dtype(e.variable.dtype)]
    if not wanted:
        raise OptionError("no parameter takes a gradient: all are frozen", fix="set trainable=True on those to train")
    return wanted


class _Pass:
    """One pass through a model, and what was seen of it."""

    def __init__(self, model: Any, signals: Signals, found: Sequence[Entry]) -> None:
        self.model, self.signals, self.found, self.wanted = model, signals, found, followable(found)
        self.recorder = Recorder(model, found, signals.engine, signals)
        self.gradients: dict[str, Measured] = {}
        self.loss: Loss | None = None

    def run(self, given: tuple[Any, ...], targets: object, loss: Callable[..., Any] | None) -> Any:
        """Forwards and backwards; the root's numbers."""
        engine = self.signals.engine

        def forward(leaves: list[Any]) -> Start:
            mapping = [(e.variable, self._followed(e, leaf)) for e, leaf in zip(self.wanted, leaves, strict=True)]
            # The loss is inside too: it may read variables, and the losses that layers added on the way.
            with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
                result = self._forward(given)
                self.loss = loss_of(result, targets, loss, self._output_kind(), engine)
            return self.loss.start

        value = engine.follow([entry.variable.value for entry in self.wanted], forward)
        assert self.loss is not None
        if not self.gradients:
            raise stopped(self.loss.goal.kind, "stop_gradient and code of NumPy")
        return value

    def held(self, value: Any, given: tuple[Any, ...], targets: object) -> dict[str, Any]:
        """What the batch and the targets hold, and what a guess costs."""
        assert self.loss is not None
        batch, goals = _arrays(given), _arrays(targets)
        against = batch if self.loss.goal.is_own else goals
        chance = self._output_kind() == "chance"
        cost = float("nan") if self.loss.goal.kind == "random" else float(to_numpy(value))
        signals = self.signals
        sums = [np.asarray(to_numpy(one), np.float32) for one in signals.heads.values()]
        heads = Outputs(sums, (-1,) * len(sums))
        guess = guess_at(self.loss, cost, signals.engine, against, is_chance=chance, heads=heads)
        return {"guess": guess, "batch": batch_facts(batch), "targets": next(iter(batch_facts(goals)), None)}

    def _forward(self, given: tuple[Any, ...]) -> Any:
        recorder = self.recorder
        for entry in self.found:
            recorder.parameter(entry, entry.variable.value)
        tensors = recorder.begin(keras.tree.map_structure(keras.ops.convert_to_tensor, given))
        try:
            with warnings.catch_warnings(), recorded(recorder):
                warnings.simplefilter("ignore")
                result = self.model(*tensors, training=True)
        except Exception as error:  # the model's own code, on an input that does not fit it
            raise recorder.fault or _refused(error, given) from error
        recorder.end(outputs_of(result))
        for node in recorder.graph.outputs:
            self.signals.settle(node)
        self._check_norms()
        return result

    def _followed(self, entry: Entry, leaf: Any) -> Any:
        def arrived(gradient: Any) -> None:
            self.gradients[entry.native] = self.signals.measure.weight(gradient)

        return self.signals.engine.listen(leaf, arrived)

    def _check_norms(self) -> None:
        """Raises ShapeError for a batch norm that was given one value a channel."""
        for node in self.recorder.graph.nodes:
            shape = node.shape or ()
            alone = node.facts.get("norm") == "batch" and node.form != "running" and node in self.signals.units
            if alone and prod(shape) == shape[self.signals.units[node]]:
                raise one_value_a_channel()

    def _output_kind(self) -> OutputKind:
        node = next(iter(self.recorder.graph.outputs), None)
        if node is None:
            return "logits"
        if node.form == "softmax":
            return "shares"
        return "chance" if is_chance(node, self.signals.recognised) else "logits"


def check_built(model: Any) -> None:
    """Raises InitlabError for a model that is not built: a pass would leave weights behind."""
    if not model.built or not model.weights:
        raise InitlabError(
            f"the model '{model.name}' is not built: it has no weights yet",
            where="model",
            fix="call the model once on an input",
        )


def _check_finite(given: tuple[Any, ...]) -> None:
    for x in keras.tree.flatten(given):
        array = to_numpy(x) if keras.ops.is_tensor(x) else np.asarray(x)
        if array.dtype.kind not in "iub":
            check_finite(int(np.count_nonzero(~np.isfinite(array.astype(np.float64)))))


def _arrays(value: object) -> list[np.ndarray[Any, Any]]:
    found = [one for one in keras.tree.flatten(value) if one is not None]
    return [to_numpy(one) if keras.ops.is_tensor(one) else np.asarray(one) for one in found]


def _refused(error: Exception, given: tuple[Any, ...]) -> ShapeError:
    shapes = ", ".join(str(tuple(x.shape)) for x in keras.tree.flatten(given))
    return ShapeError(
        f"the model does not take the batch: {first_line(error)}",
        where=f"batch of shape {shapes}",
        fix="give an input as the model gets it in training, samples first",
    )


@contextmanager
def _left_alone(model: Any) -> Iterator[None]:
    """Each layer's own attributes and losses are afterwards as they were."""
    before = [(layer, dict(vars(layer)), list(layer._losses), set(layer._loss_ids)) for layer in layers_of(model)]
    try:
        with own_generators(value for _, attributes, _, _ in before for value in attributes.values()):
            yield
    finally:
        for layer, attributes, losses, numbers in before:
            vars(layer).clear()
            vars(layer).update(attributes)
            layer._losses[:] = losses
            layer._loss_ids.clear()
            layer._loss_ids.update(numbers)


def _reading(passed: _Pass, value: Any) -> Reading:
    """The record of a pass, after its sums are fetched."""
    signals, graph, loss = passed.signals, passed.recorder.graph, passed.loss
    assert loss is not None
    owners = {e.native: str(e.layer.path or e.layer.name) for e in passed.found}
    placed = places(graph, recognise=signals.recognised, owners=owners, laid=signals.laid, outputs=graph.outputs)
    return reading_of(
        placed,
        graph.outputs,
        by_place(signals, placed),
        {e.native: passed.gradients[e.native] for e in passed.wanted if e.native in passed.gradients},
        fetched,
        goal=loss.goal,
        loss=math.nan if loss.goal.kind == "random" else float(to_numpy(value)),
        by_sample=None if loss.by_sample is None else to_numpy(loss.by_sample),
    )
