"""One forward and backward pass of a batch, summed at every place; the model is afterwards as it was."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from initlab.core.adapter import Capture, Overrides
from initlab.core.errors import DataError, InitlabError, OptionError, ShapeError
from initlab.core.signals.readings import Reading
from initlab.frameworks.keras.probing.autodiff import Start, autodiff
from initlab.frameworks.keras.probing.hearing import heard
from initlab.frameworks.keras.probing.loss import Loss, OutputKind, loss_of, outputs_of
from initlab.frameworks.keras.probing.places import places
from initlab.frameworks.keras.probing.recorder import Ear
from initlab.frameworks.keras.probing.sums import Measure, Measured, fetched, sums, weight_gradient
from initlab.frameworks.keras.reading.describe import describe
from initlab.frameworks.keras.reading.inputs import arguments, calls_kept, first_line, seeds_kept
from initlab.frameworks.keras.reading.parameters import Entry, check_model, entries, layers_of
from initlab.frameworks.keras.reading.record import LOCK, is_open
from initlab.frameworks.keras.writing.memory import to_numpy
from initlab.frameworks.reading.loss import stopped


def taps(
    model: object, batch: object, *, targets: object = None, loss: Callable[..., Any] | None = None,
    histograms: bool = False,
) -> Reading:  # fmt: skip
    """What one pass of the batch shows in a built model, with ``training=True``; the model is left as it was.

    Args:
        model: A ``keras.Model`` or layer.
        batch: An input, a tuple of inputs, or a mapping as the model takes it; samples first.
        targets: Whole numbers for cross entropy, real ones for the mean square error.
        loss: A function of the model's outputs, and of the targets where there are some; a ``keras.losses.Loss`` is
            given the targets first. Without targets and loss, a loss that the model returns itself is taken, else its
            output is followed backwards by fixed random numbers.
        histograms: Whether to count entries.

    Raises:
        InitlabError: The model is not built.
        ShapeError: The model does not take the batch, or the targets do not fit its output.
        DataError: The batch holds numbers that are not finite.
        OptionError: Nothing to follow backwards.
    """
    checked = check_model(model)
    check_built(checked)
    given = arguments(checked, batch)
    _check_finite(given)
    return one_pass(checked, given, targets=targets, loss=loss, histograms=histograms)


def capture(
    model: object, batch: object, *, targets: object = None, loss: Callable[..., Any] | None = None,
    histograms: bool = False, overrides: Overrides | None = None,
) -> Capture:  # fmt: skip
    """The parameters of a model and the sums of its values; see ``KerasAdapter.capture``."""
    reading = taps(model, batch, targets=targets, loss=loss, histograms=histograms)
    with _left_alone(check_model(model)):
        spec = describe(model, overrides=overrides)
        if spec.fidelity != "traced":
            spec = describe(model, example=batch, overrides=overrides)
    return Capture(spec, reading)


def one_pass(
    model: Any, given: tuple[Any, ...], *, targets: object = None, loss: Callable[..., Any] | None = None,
    histograms: bool = False,
) -> Reading:  # fmt: skip
    """``taps`` of a built model, on the positional arguments of its call; numbers that are not finite may be there."""
    found = entries(model)
    wanted = followable(found)
    engine = autodiff()
    ear = Ear(engine, Measure(engine), _owned(model, found), histogram=histograms)
    with LOCK, seeds_kept(), calls_kept(model), _left_alone(model), engine.preserved():
        passed = _Pass(model, ear, found, wanted)
        value = passed.run(given, targets, loss)
        return _reading(passed, value)


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
    """One pass through a model, and what was heard of it."""

    def __init__(self, model: Any, ear: Ear, found: Sequence[Entry], wanted: Sequence[Entry]) -> None:
        self.model, self.ear, self.found, self.wanted = model, ear, found, wanted
        self.gradients: dict[str, Measured] = {}
        self.outputs: tuple[int, ...] = ()
        self.loss: Loss | None = None

    def run(self, given: tuple[Any, ...], targets: object, loss: Callable[..., Any] | None) -> Any:
        """Forwards and backwards; the root's numbers."""

        def forward(leaves: list[Any]) -> Start:
            mapping = [(e.variable, self._heard(e, leaf)) for e, leaf in zip(self.wanted, leaves, strict=True)]
            # The loss is inside too: it may read variables, and the losses that layers added on the way.
            with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
                result = self._forward(given)
                self.loss = loss_of(result, targets, loss, self._output_kind(), self.ear.engine)
            return self.loss.start

        value = self.ear.engine.follow([entry.variable.value for entry in self.wanted], forward)
        assert self.loss is not None
        if not self.gradients:
            raise stopped(self.loss.goal.kind, "stop_gradient and code of NumPy")
        return value

    def _forward(self, given: tuple[Any, ...]) -> Any:
        ear = self.ear
        for entry in self.found:
            ear.parameter(entry.variable.value, entry.native)
        tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, given)
        for x in keras.tree.flatten(tensors):
            ear.given(x)
        try:
            with warnings.catch_warnings(), heard(ear, self.model):
                warnings.simplefilter("ignore")
                result = self.model(*tensors, training=True)
        except Exception as error:  # the model's own code, on an input that does not fit it
            raise ear.refusal or _refused(error, given) from error
        self._finish(result)
        return result

    def _heard(self, entry: Entry, leaf: Any) -> Any:
        def arrived(gradient: Any) -> None:
            self.gradients[entry.native] = self.ear.measure.weight(gradient)

        return self.ear.engine.listen(leaf, arrived)

    def _finish(self, result: Any) -> None:
        with self.ear.paused():
            numbers = [n for x in outputs_of(result) if (n := self.ear.node(x)) is not None]
            for n in numbers:
                self.ear.settle(n)
        self.outputs = tuple(dict.fromkeys(numbers))

    def _output_kind(self) -> OutputKind:
        if not self.outputs:
            return "logits"
        node = self.ear.nodes[self.outputs[0]]
        if node.kind == "softmax":
            return "shares"
        return "chance" if node.kind == "function" and node.f == "sigmoid" else "logits"


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
        if array.dtype.kind in "iub":
            continue
        broken = int(np.count_nonzero(~np.isfinite(array.astype(np.float64))))
        if broken:
            raise DataError(
                f"the batch holds {broken} {'number that is' if broken == 1 else 'numbers that are'} NaN or infinite",
                where="batch",
                fix="leave them out",
            )


def _refused(error: Exception, given: tuple[Any, ...]) -> ShapeError:
    shapes = ", ".join(str(tuple(x.shape)) for x in keras.tree.flatten(given))
    return ShapeError(
        f"the model does not take the batch: {first_line(error)}",
        where=f"batch of shape {shapes}",
        fix="give an input as the model gets it in training, samples first",
    )


def _owned(model: Any, found: Sequence[Entry]) -> dict[int, tuple[str, ...]]:
    """The native names of each layer's parameters; of a recurrent or wrapping layer, also those of what it runs."""
    own: dict[int, tuple[str, ...]] = {}
    for entry in found:
        own[id(entry.layer)] = (*own.get(id(entry.layer), ()), entry.native)
    closed = [layer for layer in layers_of(model) if not is_open(layer)]
    inside = {
        id(layer): tuple(name for part in layers_of(layer) for name in own.get(id(part), ()))
        for layer in closed
        if hasattr(layer, "cell") or hasattr(layer, "layer")
    }
    return own | inside


@contextmanager
def _left_alone(model: Any) -> Iterator[None]:
    """Each layer's own attributes and losses are afterwards as they were."""
    before = [(layer, dict(vars(layer)), list(layer._losses), set(layer._loss_ids)) for layer in layers_of(model)]
    try:
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
    ear, loss = passed.ear, passed.loss
    assert loss is not None
    placed, of = places(ear, passed.outputs)
    every: list[Measured] = [*ear.forward.values(), *ear.backward.values(), *passed.gradients.values()]
    numbers = dict(zip(map(id, every), fetched(every), strict=True))
    beyond: Mapping[int, float] = {at: float(to_numpy(count)) for at, count in ear.saturated.items()}
    return Reading(
        places=placed,
        outputs=tuple(dict.fromkeys(of[n] for n in passed.outputs if n in of)),
        forward={
            of[at]: sums(one, numbers[id(one)], saturated=beyond.get(at)) for at, one in ear.forward.items() if at in of
        },
        backward={of[at]: sums(one, numbers[id(one)]) for at, one in ear.backward.items() if at in of},
        gradients={
            e.native: weight_gradient(passed.gradients[e.native], numbers[id(passed.gradients[e.native])])
            for e in passed.wanted
            if e.native in passed.gradients
        },
        loss=float("nan") if loss.goal.kind == "random" else float(to_numpy(value)),
        loss_error=loss.error(),
        loss_kind=loss.goal.kind,
        notes=loss.goal.notes,
        target_square=loss.goal.target_square,
    )
