"""The steps of a model's own training, some of them measured: a pass of the very batch and weights, before the step.

Keras compiles its training step, so nothing can listen inside of it. While a model is watched, the function that runs
a step (``model.train_function``, made by ``model.make_train_function``) is held in another, which takes the next batch
out of the iterator, measures it, and hands on an iterator that gives the same batch again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any
from weakref import WeakSet

import keras

from initlab.core.errors import InitlabError, OptionError
from initlab.core.signals.readings import Reading, unscaled
from initlab.frameworks.keras.probing.capture import check_built, followable, one_pass
from initlab.frameworks.keras.reading.parameters import check_model, entries
from initlab.frameworks.keras.tensors import to_numpy

OnReading = Callable[[int, Reading], None]

_WATCHED: WeakSet[Any] = WeakSet()


@contextmanager
def watch(
    model: object, *, every: int, on_reading: OnReading, scale: Callable[[], float] | None = None
) -> Iterator[None]:
    """A context in which every so many training steps of a model are measured as ``capture`` does.

    Keras compiles its step, so the measurement is a pass of its own, of the step's batch, weights, dropout masks
    and loss, right before the step; the training goes on as without it. A ``train_step`` of the user's runs as it
    is, and what is measured is ``compute_loss``, or, where nothing is compiled or overridden, the loss that
    ``capture`` takes. Loops that call neither ``fit`` nor ``train_on_batch`` are not seen. A step that cannot be
    measured is warned of. After the context, no trace of it is left in the model.

    Args:
        model: The built model whose ``fit`` or ``train_on_batch`` is called.
        every: Steps from one that is measured to the next; the first one is. With ``steps_per_execution`` above 1
            it is the first of the next execution, and an execution counts as that many.
        on_reading: Is given the number of the step, counted from 0, and its reading, while the variables are those
            of the reading.
        scale: What the model's own loss is multiplied with; loss and gradients are divided by it. Loss scaling by
            the optimiser is undone without it.

    Raises:
        OptionError: ``every`` below 1, not a ``keras.Model``, no parameter that takes a gradient, several
            replicas, or a model that is watched already.
        InitlabError: The model is not built.

    Example:
        >>> import numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> seen = []
        >>> with watch(model, every=2, on_reading=lambda step, reading: seen.append(step)):
        ...     history = model.fit(np.ones((10, 2)), np.ones(10), batch_size=2, verbose=0)
        >>> seen
        [0, 2, 4]
    """
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise OptionError(f"every must be 1 or more, got {every!r}", where="every", fix="give a whole number")
    checked = check_model(model)
    _check_trainer(checked)
    check_built(checked)
    followable(entries(checked))
    if checked in _WATCHED:
        raise OptionError(f"the model '{checked.name}' is watched already", fix="leave the first watch before")
    _WATCHED.add(checked)
    try:
        with _Watcher(checked, every, on_reading, scale).in_place():
            yield
    finally:
        _WATCHED.discard(checked)


@dataclass(eq=False)
class _Watcher:
    """Counts the training steps of a model and measures some."""

    model: Any
    every: int
    on_reading: OnReading
    scale: Callable[[], float] | None
    steps: int = 0
    due: int = 0

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model's training function is held, and so is each that it makes."""
        attributes, make = vars(self.model), self.model.make_train_function
        before = attributes.get("make_train_function")

        def made(*args: Any, **kwargs: Any) -> Any:
            result = make(*args, **kwargs)
            self._hold()
            return result

        attributes["make_train_function"] = made
        self._hold()
        try:
            yield
        finally:
            del attributes["make_train_function"]
            if before is not None:
                attributes["make_train_function"] = before
            if isinstance(self.model.train_function, _Held):
                self.model.train_function = self.model.train_function.function

    def _hold(self) -> None:
        function = self.model.train_function
        if function is not None and not isinstance(function, _Held):
            self.model.train_function = _Held(function, self)

    def read(self, batch: Any) -> None:
        """Measure a batch on the model's present variables."""
        try:
            found = _reading(self.model, batch)
        except InitlabError as error:  # a step that would run is not stopped by what cannot be measured
            warnings.warn(f"step {self.steps} is not measured: {error}", stacklevel=2)
            return
        self.on_reading(self.steps, found if self.scale is None else unscaled(found, float(self.scale())))


@dataclass(eq=False)
class _Held:
    """A training function whose steps are counted, and measured where one is due.

    It is called as Keras calls the function itself: with an iterator of batches, or a list of one on the torch back
    end; on the JAX back end with the state of all variables before it.
    """

    function: Callable[..., Any]
    watcher: _Watcher

    def __call__(self, *args: Any) -> Any:
        watcher = self.watcher
        width = watcher.model.steps_per_execution
        is_due = watcher.steps >= watcher.due
        if is_due:
            *state, source = args
            try:
                batch, source = _peeked(source, width)
            except StopIteration:
                return self.function(*args)  # on TensorFlow, Keras counts a step of the optimiser before it finds out
            with _present(watcher.model, *state):
                watcher.read(batch)
            args = (*state, source)
        result = self.function(*args)
        if is_due:
            watcher.due = (watcher.steps // watcher.every + 1) * watcher.every
        watcher.steps += width
        return result


def _check_trainer(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise OptionError(
            f"a {type(model).__name__} is not trained by itself",
            where="model",
            fix="watch the model whose fit you call",
        )
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is not None and strategy.num_replicas_in_sync > 1:
        raise OptionError(
            "a model in several replicas has no batch of its own",
            where="model",
            fix="call initlab.probe between epochs",
        )


def _peeked(source: Any, width: int) -> tuple[Any, Any]:
    """The next batch, and a source that gives all batches from this one on.

    Raises:
        StopIteration: There is none.
    """
    if isinstance(source, list | tuple):
        return source[0], source
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if isinstance(source, tf.data.Iterator):
            return _peeked_dataset(tf, source, width)
    batch = next(source)
    return batch, chain((batch,), source)


def _peeked_dataset(tf: Any, source: Any, width: int) -> tuple[Any, Any]:
    """The same of an iterator over a data set: the batches of one execution are put into a data set of their own.

    It is of the same type, with the same unknown sizes, so that the same compiled function takes it.
    """
    batches = list(islice(source, width))
    if not batches:
        raise StopIteration
    parts = [
        tf.data.experimental.from_variant(
            tf.data.experimental.to_variant(tf.data.Dataset.from_tensors(batch)), source.element_spec
        )
        for batch in batches
    ]
    again = parts[0]
    for part in parts[1:]:
        again = again.concatenate(part)
    first = keras.tree.map_structure(lambda x: None if isinstance(x, tf.experimental.Optional) else x, batches[0])
    return first, iter(again)


@contextmanager
def _present(model: Any, state: Sequence[Sequence[Any]] = ()) -> Iterator[None]:
    """Inside, the variables hold the values of a state: on the JAX back end they are empty while ``fit`` runs."""
    if not state:
        yield
        return
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    pairs = [pair for group, values in zip(groups, state, strict=True) for pair in zip(group, values, strict=True)]
    before = [(variable, variable._value) for variable, _ in pairs]
    try:
        for variable, value in pairs:
            variable._value = value
        yield
    finally:
        for variable, value in before:
            variable._value = value


def _reading(model: Any, batch: Any) -> Reading:
    """What one pass of a batch shows, with the loss that the model's training step follows."""
    try:
        x, y, weights = (_tensors(part) for part in keras.utils.unpack_x_y_sample_weight(batch))
    except ValueError as error:
        raise OptionError("the batch is not (x, y, sample_weight)", where="batch") from error
    if any(part is None for part in keras.tree.flatten(x)):
        raise OptionError("an input of the model is None", where="batch")
    if not _has_loss(model):
        return one_pass(model, (x,), targets=y, is_judged=False)[1]
    optimizer = model.optimizer

    def loss(y_pred: Any) -> Any:
        value = model._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weights, training=True)
        return value if optimizer is None else optimizer.scale_loss(value)

    factor = 1.0 if optimizer is None else float(to_numpy(optimizer.scale_loss(keras.ops.ones(()))))
    return unscaled(one_pass(model, (x,), loss=loss, is_judged=False)[1], factor)


def _has_loss(model: Any) -> bool:
    """Whether ``compute_loss`` gives the loss: a training step of the user's may follow one that is not known."""
    kind = type(model)
    return (
        model._compile_loss is not None
        or kind.train_step is keras.Model.train_step
        or kind.compute_loss is not keras.Model.compute_loss
    )


def _tensors(structure: Any) -> Any:
    def tensor(x: Any) -> Any:
        return x if x is None or keras.ops.is_tensor(x) else keras.ops.convert_to_tensor(x)

    return keras.tree.map_structure(tensor, structure)
