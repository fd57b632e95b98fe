"""One forward and backward pass of a batch, summed at every place; the model is afterwards as it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from initlab.core.adapter import Capture, Overrides
from initlab.core.errors import InitlabError, OptionError
from initlab.core.signals.readings import Reading
from initlab.frameworks.reading.batches import batch_facts, check_finite, one_value_a_channel
from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.reading.guess import Outputs
from initlab.frameworks.reading.loss import Goal, is_chance, main_output
from initlab.frameworks.reading.places import places
from initlab.frameworks.reading.records import Measured, by_place, reading_of
from initlab.frameworks.torch.describe import described
from initlab.frameworks.torch.probing.loss import ARRAYS, Start, array_of, guess_at, start_of
from initlab.frameworks.torch.probing.recorder import Signals, has_numbers
from initlab.frameworks.torch.probing.sums import fetched, measure_weight
from initlab.frameworks.torch.reading.lazy import give_shapes
from initlab.frameworks.torch.reading.parameters import Entry, entries
from initlab.frameworks.torch.reading.record import Recorder, arguments, refused, returned, tensors
from initlab.frameworks.torch.reading.trace import parameter_nodes, read_graph
from initlab.frameworks.torch.reading.untouched import check_unscripted, eager, preserved

_LARGE = 1 << 16  # entries of a gradient that is let go as soon as it is summed
_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})


def capture(
    model: object, batch: object, *, targets: object = None, loss: Callable[..., Any] | None = None,
    histograms: bool = False, overrides: Overrides | None = None,
) -> Capture:  # fmt: skip
    """What one forward and backward pass of a batch shows of a model, in training mode.

    Parameters, gradients, buffers, modes, hooks and generators are afterwards as they were, also after an error.

    Args:
        model: The module; one in training mode keeps the modes of its parts, any other is put into training mode.
        batch: An input, a tuple of inputs, or a mapping of arguments by name; samples first.
        targets: Whole numbers for the mean cross entropy of an output (n, classes) or (n, tokens, classes), real
            ones for the mean square error.
        loss: A function of what the model returns, and of the targets where there are some; its value is a scalar.
            Without it and targets, a loss that the model returns itself is followed backwards, else its output is,
            by standard normal numbers that are always the same.
        histograms: Whether to count entries.
        overrides: As in ``describe``.

    Raises:
        ShapeError: The model does not take the batch, or the targets do not fit its output.
        DataError: The batch holds numbers that are not finite.
        OptionError: Nothing to follow backwards: frozen parameters, an output without gradient, a loss that is no
            scalar.
        InitlabError: Parameters without memory.

    Example:
        >>> import numpy as np
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        >>> reading = capture(net, np.array([[3.0, 4.0]], np.float32)).reading
        >>> [place.path for place in reading.places], reading.forward[0].square      # (9 + 16) / 2
        (['input', '0', '1:tanh', '2'], 12.5)
    """
    give_shapes(model, batch)
    found = entries(model)
    assert isinstance(model, nn.Module)
    graph, summed = one_pass(model, found, batch, targets=targets, loss=loss, histograms=histograms)
    return Capture(described(model, found, read_graph(graph, model, found), overrides), summed)


def one_pass(
    model: nn.Module, found: Sequence[Entry], batch: object, *, targets: object = None,
    loss: Callable[..., Any] | None = None, histograms: bool = False,
) -> tuple[Graph, Reading]:  # fmt: skip
    """The graph of one pass of the batch and what was summed there, in training mode; the model is left as it was.

    Args:
        model: The module; one in training mode keeps the modes of its parts, any other is put into training mode.
        found: Its parameters.
        batch: An input, a tuple of inputs, or a mapping of arguments by name; samples first.
        targets: Whole numbers for cross entropy, real ones for the mean square error.
        loss: A function of the model's outputs, and of the targets where there are some. Without targets and loss, a
            loss that the model returns itself is taken, else its output is followed backwards by fixed random numbers.
        histograms: Whether to count entries.

    Raises:
        ShapeError: The model does not take the batch, or the targets do not fit its output.
        DataError: The batch holds numbers that are not finite.
        OptionError: Nothing to follow backwards.
    """
    check_unscripted(model)
    wanted = followable(found)
    bare = unwrapped(model)
    args, kwargs = arguments(batch, bare)
    _check(args, kwargs)
    graph = Graph()
    signals = Signals(graph, histogram=histograms, **names_of(model, found))
    recorder = Recorder(graph, parameter_nodes(found), signals)
    begin_forward(signals, recorder, args, kwargs)
    with preserved(bare, training=True), eager(), _own_casts():
        try:
            with signals.inside_modules(), recorder.whole_layers(bare), recorder:
                result = bare(*args, **kwargs)
        except InitlabError:
            raise
        except Exception as error:
            if recorder.fault is not None:
                raise recorder.fault from None
            raise _refused(error, batch, bare) from error
        finish_forward(signals, recorder, result)
        start = start_of(result, targets, loss, units=_units(signals, recorder, main_output(result, ARRAYS)))
        held = _held(recorder, signals, start, result, targets, [*tensors((args, kwargs))])
        del result, args, kwargs
        gradients = _backward(start, wanted, signals)
        return graph, replace(reading(signals, gradients, start), **held)


def _held(
    recorder: Recorder, signals: Signals, start: Start, result: object, targets: object, given: Sequence[Tensor]
) -> dict[str, Any]:
    """What the batch and the targets hold, and what a guess costs."""
    main = main_output(result, ARRAYS)
    rest = [t for t in returned(result) if t is not main and t.is_floating_point() and t.dim() > 0]
    found = [] if main is None else [main] if start.goal.is_own else [main, *rest]
    node = None if main is None else recorder.node(main)

    def outputs() -> Outputs:
        if not found:
            units = tuple(signals.layouts[head].units for head in signals.heads)
            return Outputs([array_of(tensor) for tensor in signals.heads.values()], units)
        units = tuple(_units(signals, recorder, tensor) for tensor in found)
        return Outputs([array_of(tensor) for tensor in found], units, is_chance(node, signals.recognised))

    against: list[Any] = [*tensors(targets)]
    against = against or ([] if targets is None or isinstance(targets, Mapping) else [array_of(targets)])
    batch, goals = [array_of(one) for one in given if has_numbers(one)], [array_of(one) for one in against]
    guess = guess_at(start, result, found, outputs, given if start.goal.is_own else against)
    return {"guess": guess, "batch": batch_facts(batch), "targets": next(iter(batch_facts(goals)), None)}


def _units(signals: Signals, recorder: Recorder, tensor: Tensor | None) -> int:
    layout = None if tensor is None else signals.layouts.get(recorder.node(tensor))
    return -1 if layout is None else layout.units


def followable(found: Sequence[Entry]) -> dict[str, Tensor]:
    """The parameters that take a gradient, by native name.

    Raises:
        OptionError: There are none.
    """
    wanted: dict[str, Tensor] = {e.native: e.tensor for e in found if e.native == e.first and e.tensor.requires_grad}
    if not wanted:
        raise OptionError("no parameter takes a gradient: all are frozen", fix="set requires_grad on those to train")
    return wanted


def _check(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    for tensor in map(_stored, tensors((args, kwargs))):
        # The length is not finite where an entry is not, at a tenth of the cost of looking at each.
        if tensor.is_floating_point() and not bool(torch.isfinite(torch.linalg.vector_norm(tensor))):
            check_finite(tensor.numel() - int(torch.isfinite(tensor).sum()))


def _stored(tensor: Tensor) -> Tensor:
    """The entries of a sparse tensor that it stores; of any other all."""
    if tensor.layout == torch.strided:
        return tensor
    return tensor.coalesce().values() if tensor.is_sparse else tensor.values()


def _refused(error: Exception, batch: object, model: nn.Module) -> InitlabError:
    if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):
        return one_value_a_channel()
    return refused(error, batch, model, "batch")


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside ``torch.compile``, ``DistributedDataParallel`` and ``DataParallel``."""
    while True:
        parallel = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
        inner = model._modules.get("module" if parallel else "_orig_mod")
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def names_of(model: nn.Module, found: Sequence[Entry]) -> dict[str, Any]:
    """The names of a model's modules by ``id``, which of them hold no others, and the owners of its parameters."""
    named = {id(module): (_plain(name), module) for name, module in model.named_modules()}
    paths = {key: name for key, (name, _) in named.items()}
    leaves = frozenset(name for name, module in named.values() if name and not module._modules)
    return {"paths": paths, "owners": {e.native: _plain(e.module) for e in found}, "leaves": leaves}


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


@contextmanager
def _own_casts() -> Iterator[None]:
    """Inside, autocast keeps no weights for the passes that come after."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


def begin_forward(signals: Signals, recorder: Recorder, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Note and sum what the model is given."""
    for tensor in tensors((args, kwargs)):
        node = signals.graph.add(Node("input", shape=tuple(tensor.shape)))
        recorder.keep(tensor, node)
        signals.given(node, tensor)


def finish_forward(signals: Signals, recorder: Recorder, result: object) -> None:
    """Sum what the model returned, and note what that is; the main output first."""
    main = main_output(result, ARRAYS)
    order = sorted(returned(result), key=lambda tensor: tensor is not main)
    for tensor in order:
        signals.activation(recorder.node(tensor), tensor)
    signals.graph.outputs = tuple(dict.fromkeys(recorder.node(tensor) for tensor in order))


def _backward(start: Start, wanted: Mapping[str, Tensor], signals: Signals) -> dict[str, Measured]:
    by = None if start.gradient is None else [start.gradient]
    if signals.hidden and _has_reentrant(start.root):
        found = _accumulated(start, list(wanted.values()))
        return {name: measure_weight(g) for name, g in zip(wanted, found, strict=True) if g is not None}
    return _measured_on_the_way(start, by, wanted)


def _measured_on_the_way(start: Start, by: list[Tensor] | None, wanted: Mapping[str, Tensor]) -> dict[str, Measured]:
    """The sums of each gradient as it arrives, while it is in the processor's cache; then it is let go."""
    measured: dict[str, Measured] = {}

    def hooked(name: str, tensor: Tensor) -> RemovableHandle:
        def arrived(gradient: Tensor) -> Tensor | None:
            measured[name] = measure_weight(gradient)
            is_kept = gradient.is_sparse or gradient.numel() < _LARGE
            return None if is_kept else gradient.new_zeros(()).expand(gradient.shape)

        return hook(tensor, arrived)

    handles = [hooked(name, tensor) for name, tensor in wanted.items()]
    try:
        torch.autograd.grad([start.root], list(wanted.values()), by, allow_unused=True)
    finally:
        unhook(wanted.values(), handles)
    return {name: measured[name] for name in wanted if name in measured}


def hook(tensor: Tensor, arrived: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Have a function called with the gradient by a tensor; what it returns stands in the gradient's place."""
    handle: RemovableHandle = tensor.register_hook(arrived)  # type: ignore[no-untyped-call]
    return handle


def unhook(hooked: Iterable[Tensor], handles: Iterable[RemovableHandle]) -> None:
    """Remove hooks, and what torch keeps for hooks of a parameter that has none: it would be asked in every pass."""
    for handle in handles:
        handle.remove()
    for tensor in hooked:
        if tensor.is_leaf and not tensor._backward_hooks:
            tensor._backward_hooks = None


def _has_reentrant(root: Tensor) -> bool:
    """Whether a part of the graph is computed anew in the backward pass, by a backward pass of its own."""
    seen, stack = set[object](), [root.grad_fn]
    while stack:
        at = stack.pop()
        if at is None or at in seen:
            continue
        if at.name() == "CheckpointFunctionBackward":
            return True
        seen.add(at)
        stack += [one for one, _ in at.next_functions]
    return False


def _accumulated(start: Start, wanted: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients by way of ``.grad``, which is as it was afterwards: reentrant checkpoints know no other way."""
    before = [tensor.grad for tensor in wanted]
    try:
        for tensor in wanted:
            tensor.grad = None
        torch.autograd.backward([start.root], None if start.gradient is None else [start.gradient])
        return [tensor.grad for tensor in wanted]
    finally:
        for tensor, gradient in zip(wanted, before, strict=True):
            tensor.grad = gradient


def reading(
    signals: Signals, gradients: Mapping[str, Measured], start: Start | None, notes: Sequence[str] = ()
) -> Reading:
    """The record of a pass, after its sums are fetched."""
    outputs = [node for node in signals.graph.outputs if node.shape]  # with samples
    placed = places(
        signals.graph, recognise=signals.recognised, owners=signals.owners, laid=signals.laid, outputs=outputs
    )
    loss, by_sample = (math.nan, None) if start is None else start.loss()
    return reading_of(
        placed,
        outputs,
        by_place(signals, placed),
        gradients,
        fetched,
        goal=Goal("given") if start is None else start.goal,
        loss=loss,
        by_sample=by_sample,
        notes=(*notes, *signals.notes()),
    )
