"""A training loop's own passes, some of them summed: the user's batch, the user's loss, the user's backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from initlab.core.errors import OptionError
from initlab.core.signals.readings import Reading, unscaled
from initlab.frameworks.reading.graph import Graph
from initlab.frameworks.reading.records import Measured
from initlab.frameworks.torch.probing.capture import (
    begin_forward,
    finish_forward,
    followable,
    hook,
    names_of,
    reading,
    unhook,
    unwrapped,
)
from initlab.frameworks.torch.probing.recorder import Signals
from initlab.frameworks.torch.probing.sums import measure_weight
from initlab.frameworks.torch.reading.parameters import entries
from initlab.frameworks.torch.reading.record import Recorder
from initlab.frameworks.torch.reading.trace import parameter_nodes
from initlab.frameworks.torch.reading.untouched import eager

OnReading = Callable[[int, Reading], None]

_WATCHED: WeakSet[nn.Module] = WeakSet()


@contextmanager
def watch(
    model: object, *, every: int, on_reading: OnReading, scale: Callable[[], float] | None = None
) -> Iterator[None]:
    """A context in which every so many training passes of a model are summed as ``capture`` does.

    The user's own batches, losses and backward passes are read; the loss itself is not known. Passes in evaluation
    mode or without gradients do not count. After the context, no trace of it is left in the model.

    Args:
        model: The module that the loop calls.
        every: Passes from one that is summed to the next; the first one is.
        on_reading: Is given the number of the pass, counted from 0, and its reading, when the next pass begins or
            the context ends.
        scale: What the loss is multiplied with, e.g. ``scaler.get_scale``; gradients are divided by it.

    Raises:
        OptionError: ``every`` below 1, no parameter that takes a gradient, or a model that is watched already.

    Example:
        >>> import torch
        >>> net, seen = torch.nn.Linear(2, 1), []
        >>> with watch(net, every=2, on_reading=lambda step, reading: seen.append(step)):
        ...     for _ in range(5):
        ...         net(torch.ones(3, 2)).sum().backward()
        >>> seen
        [0, 2, 4]
    """
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise OptionError(f"every must be 1 or more, got {every!r}", where="every", fix="give a whole number")
    followable(entries(model))
    assert isinstance(model, nn.Module)
    bare = unwrapped(model)
    if bare in _WATCHED:
        raise OptionError(f"this {type(bare).__name__} is watched already", fix="leave the first watch before")
    watcher = _Watcher(model, bare, every, on_reading, scale)
    handles = [
        model.register_forward_pre_hook(watcher.enter, with_kwargs=True),
        model.register_forward_hook(watcher.leave, with_kwargs=True, always_call=True),
    ]
    _WATCHED.add(bare)
    try:
        yield
        watcher.finish()
    finally:
        watcher.drop()
        _WATCHED.discard(bare)
        for handle in handles:
            handle.remove()


@dataclass(eq=False)
class _Pass:
    """A pass that is being summed."""

    step: int
    signals: Signals
    recorder: Recorder
    factor: float
    stack: ExitStack
    wanted: Mapping[str, Tensor]
    gradients: dict[str, Measured] = field(default_factory=dict)
    handles: list[RemovableHandle] = field(default_factory=list)

    def close(self) -> None:
        """Leave aside what still arrives."""
        self.signals.is_over = True
        self.stack.close()
        unhook(self.wanted.values(), self.handles)


@dataclass(eq=False)
class _Watcher:
    """Counts the training passes of a model and sums some."""

    model: nn.Module
    bare: nn.Module
    every: int
    on_reading: OnReading
    scale: Callable[[], float] | None
    steps: int = 0
    present: _Pass | None = None
    is_inside: bool = False

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A pass begins."""
        if self.is_inside or not self.bare.training or not torch.is_grad_enabled():
            return
        step, self.steps = self.steps, self.steps + 1
        if self.present is not None:
            self.finish()
        if step % self.every == 0:
            self._begin(step, args, kwargs)

    def _begin(self, step: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found = entries(self.model)
        graph = Graph()
        signals = Signals(graph, **names_of(self.model, found))
        recorder = Recorder(graph, parameter_nodes(found), signals)
        begin_forward(signals, recorder, args, kwargs)
        factor = 1.0 if self.scale is None else float(self.scale())
        wanted = followable(found)
        self.present = _Pass(step, signals, recorder, factor, ExitStack(), wanted)
        for native, tensor in wanted.items():
            self.present.handles.append(self._hooked(native, tensor, self.present))
        self.present.stack.enter_context(eager())
        self.present.stack.enter_context(signals.inside_modules())
        self.present.stack.enter_context(recorder.whole_layers(self.bare))
        self.present.stack.enter_context(recorder)
        self.is_inside = True

    def _hooked(self, native: str, tensor: Tensor, present: _Pass) -> RemovableHandle:
        def arrived(gradient: Tensor) -> None:
            present.gradients[native] = measure_weight(gradient)

        return hook(tensor, arrived)

    def leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """A pass ends, with None where it failed."""
        if not self.is_inside or self.present is None:
            return
        self.is_inside = False
        self.present.stack.close()
        if result is None:
            self.drop()
        else:
            finish_forward(self.present.signals, self.present.recorder, result)

    def drop(self) -> None:
        """Forget the pass that is being summed."""
        present, self.present, self.is_inside = self.present, None, False
        if present is not None:
            present.close()

    def finish(self) -> None:
        """Hand over the pass that was summed."""
        present = self.present
        if present is None:
            return
        self.drop()
        notes = [] if present.gradients else ["no backward pass followed, so there are no gradients"]
        in_order = {name: present.gradients[name] for name in present.wanted if name in present.gradients}
        found = reading(present.signals, in_order, None, notes)
        self.on_reading(present.step, unscaled(found, present.factor))
