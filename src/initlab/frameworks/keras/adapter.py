"""Keras 3 models described, read and written in the canonical layout, on any of Keras' back ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Overrides, Source
from initlab.core.facts.spec import WEIGHT_ROLES, ModelSpec, ParamSpec
from initlab.core.signals.readings import Reading
from initlab.frameworks.keras.probing.capture import taps
from initlab.frameworks.keras.probing.watch import watch
from initlab.frameworks.keras.reading.inputs import calls_kept, make_built, seeds_kept
from initlab.frameworks.keras.reading.intent import intents
from initlab.frameworks.keras.reading.layers import is_library_layer
from initlab.frameworks.keras.reading.lookup import find
from initlab.frameworks.keras.reading.parameters import Entry, check_model, entries, layers_of
from initlab.frameworks.keras.reading.projections import in_attention, projections
from initlab.frameworks.keras.reading.recognition import activation_of, values_of
from initlab.frameworks.keras.reading.trace import Around, Trace, trace
from initlab.frameworks.keras.reading.uses import DENSE, slot_by_use
from initlab.frameworks.keras.writing import memory, state
from initlab.frameworks.keras.writing.marks import mark, marked
from initlab.frameworks.reading.overrides import overridden


class KerasAdapter:
    """Keras' side of ``core.adapter.Adapter``; it holds nothing."""

    framework = "keras"

    def describe(self, model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
        """Every parameter of a Keras model, with what a trace of it shows.

        A model without weights is built first, as its first call would build it. Else nothing changes: no weight, no
        moving statistic, no seed generator, no counter of names.

        Args:
            model: A ``keras.Model`` or layer.
            example: An input, or a tuple of inputs, with the batch axis; needed for a model that is not built, and for
                one that does not say what it was built on.
            overrides: Facts by glob over Keras' own names or layers, e.g. ``{"block_*/dense": {"f_in": "gelu"}}``.

        Returns:
            A row for every variable that is or could be trained; moving statistics and seeds are left out.

        Raises:
            OptionError: Not a Keras model, a model without parameters, or an override that cannot be.
            InitlabError: A model that is not built without an example; quantised weights; weights without memory.
            ShapeError: The model does not take the example.

        Example:
            >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
            >>> [(p.path, p.shape, p.f_in) for p in KerasAdapter().describe(model).params if p.is_weight]
            [('0/weight', (8, 4), None), ('1/weight', (3, 8), 'relu')]
        """
        checked = check_model(model)
        with seeds_kept():
            idle = make_built(checked, example)
            found = entries(checked)
            with calls_kept(checked):
                seen = trace(checked, example)
            cells = _layers_of_cells(checked)
            held = projections(layers_of(checked))
            params = [in_attention(_param(e, seen, cells), e.layer, e.variable.name, held) for e in found]
            params = overridden(params, overrides)
        reasons = intents(found, params, seen, marked(checked))
        kept = tuple(replace(p, intent=p.intent or why) for p, why in zip(params, reasons, strict=True))
        return ModelSpec(kept, seen.fidelity, (*seen.notes, *idle, *_silent(kept, seen, found, cells)))

    def read(self, model: object, param: ParamSpec) -> NDArray[np.generic]:
        """A copy of a parameter's values in the canonical layout, float64 for float64 variables and float32 else."""
        return memory.read(find(model, param))

    def write(self, model: object, param: ParamSpec, source: Source) -> None:
        """Assign the source's numbers to a variable, in its own layout and dtype."""
        memory.write(find(model, param), source)

    def mark(self, model: object, names: Iterable[str], seed: int) -> None:
        """Remember, beside the model, that the present values of these parameters are initlab's own."""
        mark(model, names, seed)

    def generator_state(self, model: object) -> bytes:
        """The state of the generator from which Keras' initializers take their seeds."""
        return state.generator_state()

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        """Every variable of the model, moving statistics too, by Keras' own name and in its layout."""
        return state.state(model)

    def taps(
        self,
        model: object,
        batch: object,
        *,
        targets: object = None,
        loss: Callable[..., object] | None = None,
        histograms: bool = False,
    ) -> Reading:
        """What one forward and backward pass of a batch shows in a built model, with ``training=True``.

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

        Raises:
            InitlabError: The model is not built: that would leave weights behind.
            ShapeError: The model does not take the batch, or the targets do not fit its output.
            DataError: The batch holds numbers that are not finite.
            OptionError: Nothing to follow backwards: frozen parameters, an output without gradient, a loss that is no
                scalar.

        Example:
            >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "tanh", name="hidden")])
            >>> reading = KerasAdapter().taps(model, np.array([[3.0, 4.0]]))
            >>> [place.kind for place in reading.places], reading.forward[0].square      # (9 + 16) / 2
            (['input', 'weighted', 'activation'], 12.5)
        """
        return taps(model, batch, targets=targets, loss=loss, histograms=histograms)

    def watch(
        self,
        model: object,
        *,
        every: int,
        on_reading: Callable[[int, Reading], None],
        scale: Callable[[], float] | None = None,
    ) -> AbstractContextManager[None]:
        """A context in which every so many training steps of a model are measured as ``taps`` does.

        Keras compiles its step, so the measurement is a pass of its own, of the step's batch, weights, dropout masks
        and loss, right before the step; the training goes on as without it. A ``train_step`` of the user's runs as it
        is, and what is measured is ``compute_loss``, or, where nothing is compiled or overridden, the loss that
        ``taps`` takes. Loops that call neither ``fit`` nor ``train_on_batch`` are not seen. A step that cannot be
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
            >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> seen = []
            >>> with KerasAdapter().watch(model, every=2, on_reading=lambda step, reading: seen.append(step)):
            ...     history = model.fit(np.ones((10, 2)), np.ones(10), batch_size=2, verbose=0)
            >>> seen
            [0, 2, 4]
        """
        return watch(model, every=every, on_reading=on_reading, scale=scale)


ADAPTER = KerasAdapter()


def _param(entry: Entry, seen: Trace, cells: dict[int, Any]) -> ParamSpec:
    slot = entry.slot
    spec = ParamSpec(
        path=entry.path,
        shape=slot.layout.shape,
        role=slot.role,
        groups=slot.groups,
        stride=slot.stride,
        blocks=slot.blocks,
        axes=slot.axes,
        layer_shape=slot.layer_shape,
        layer_kind=slot.layer_kind,
        native=entry.native,
        frozen=entry.frozen,
    )
    if slot.role == "unknown" and not is_library_layer(entry.layer):
        return _by_use(spec, entry, seen)
    if slot.role == "norm_scale":
        return replace(spec, branch=seen.last_norms.get(id(entry.layer)))
    if slot.role not in WEIGHT_ROLES:
        return spec
    around = seen.around.get(id(cells.get(id(entry.layer), entry.layer)), Around())
    if id(entry.layer) in cells:
        return _in_cell(spec, entry, around, cells)
    branch = around.branch
    if branch is not None and branch.is_last and not slot.makes_output:
        branch = replace(branch, is_last=False)
    return replace(
        spec,
        f_in=around.f_in if slot.takes_input else None,
        in_moment=around.in_moment if slot.takes_input else None,
        f_out=around.f_out if slot.makes_output else None,
        norm=around.norm if slot.makes_output else None,
        branch=branch,
        is_output=slot.makes_output and id(entry.layer) in seen.heads,
    )


def _by_use(spec: ParamSpec, entry: Entry, seen: Trace) -> ParamSpec:
    """A variable that a user's own layer added, by the functions that take it."""
    use, around = seen.uses.get(id(entry.variable)), seen.around.get(id(entry.variable), Around())
    if use is None:
        return spec
    axes = None if use.axes == DENSE else use.axes
    slot = slot_by_use(entry.slot, tuple(entry.variable.shape), use.role, axes)
    return replace(
        spec,
        shape=slot.layout.shape,
        role=use.role,
        axes=axes,
        layer_shape=use.layer_shape,
        f_in=around.f_in,
        in_moment=around.in_moment,
        f_out=around.f_out,
        norm=around.norm,
        branch=around.branch,
        is_output=use.role == "dense" and id(entry.variable) in seen.heads,
    )


def _in_cell(spec: ParamSpec, entry: Entry, around: Around, cells: dict[int, Any]) -> ParamSpec:
    """A weight of a recurrent cell: its output goes into the cell's own activation, and so does what it feeds back."""
    values = values_of(getattr(entry.layer, "activation", None))
    own = None if values is None else activation_of(values)
    if not entry.slot.feeds_back:
        stack = cells[id(entry.layer)].cell
        if isinstance(stack, keras.layers.StackedRNNCells) and entry.layer is not stack.cells[0]:
            return replace(spec, f_out=own, branch=around.branch)  # what comes in is another cell's output
        return replace(spec, f_in=around.f_in, in_moment=around.in_moment, f_out=own, branch=around.branch)
    is_gated = bool(spec.blocks)
    return replace(spec, f_in=None if is_gated else own, f_out=own, branch=around.branch)


def _layers_of_cells(model: Any) -> dict[int, Any]:
    """For each recurrent cell, by id, the layer that runs it: the layer is what a trace sees called."""
    owners: dict[int, Any] = {}
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.RNN):
            for cell in layers_of(layer.cell):
                owners.setdefault(id(cell), layer)
    return owners


def _silent(params: Sequence[ParamSpec], seen: Trace, found: Sequence[Entry], cells: dict[int, Any]) -> list[str]:
    """A note on the weights whose layers the trace did not see called."""
    if seen.fidelity == "declared":
        return []
    missing = [
        p.native
        for p, entry in zip(params, found, strict=True)
        if p.is_weight and {id(entry.variable), id(cells.get(id(entry.layer), entry.layer))}.isdisjoint(seen.around)
    ]
    return [f"not seen called: {', '.join(missing[:5])}{' and others' if missing[5:] else ''}"] if missing else []
