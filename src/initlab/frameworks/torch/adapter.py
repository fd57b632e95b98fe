"""PyTorch models described, read and written in the canonical layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from initlab.core.adapter import Adapter, Overrides, Source
from initlab.core.facts.spec import WEIGHT_ROLES, Axes, ModelSpec, ParamSpec
from initlab.core.signals.readings import Reading
from initlab.frameworks.reading.graph import Use
from initlab.frameworks.reading.overrides import overridden
from initlab.frameworks.reading.surroundings import Trace
from initlab.frameworks.torch.probing.capture import taps
from initlab.frameworks.torch.probing.watch import watch
from initlab.frameworks.torch.reading.intent import intents
from initlab.frameworks.torch.reading.layers import Facts, is_hf_conv1d, layer_facts, weight_shape
from initlab.frameworks.torch.reading.parameters import Entry, entries, find, paths_of
from initlab.frameworks.torch.reading.trace import trace
from initlab.frameworks.torch.writing import marks, memory

_PACKED = ("c_attn", "qkv", "in_proj", "to_qkv", "to_kv", "Wqkv")


class TorchAdapter:
    """The adapter of PyTorch; it holds no state."""

    framework = "torch"

    def describe(self, model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
        """Every parameter of a module, under every one of its names, in order of use where that is known.

        Args:
            model: The module; it is left as it was, and so is every generator.
            example: An input, a tuple of inputs or a mapping of arguments, to trace the model with.
            overrides: Facts by glob over parameters' or modules' native names, which win over what was seen.

        Raises:
            OptionError: Not a module, no parameters, or an override that cannot be.
            InitlabError: Parameters without memory, or with whole or quantised numbers.
            ShapeError: The model does not take the example.

        Example:
            >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
            >>> [(p.path, p.f_in, p.f_out) for p in ADAPTER.describe(net).params if p.role == "dense"]
            [('0/weight', None, 'relu'), ('1/weight', 'relu', None)]
        """
        found = entries(model)
        assert isinstance(model, nn.Module)
        known = [layer_facts(entry.owner, entry.leaf, rank=entry.tensor.dim()) for entry in found]
        drawn = [_is_drawn(entry, facts) for entry, facts in zip(found, known, strict=True)]
        scales = {e.native for e, facts in zip(found, known, strict=True) if facts and facts.role == "norm_scale"}
        paths = dict(zip((entry.native for entry in found), paths_of(found, drawn, scales), strict=True))
        seen = trace(model, found, example)
        specs = [_spec(entry, facts, paths, seen) for entry, facts in zip(found, known, strict=True)]
        outputs = frozenset(name for name, place in seen.places.items() if place.is_output)
        meant = intents(found, specs, outputs=outputs, own=marks.marked(model))
        specs = [replace(spec, intent=spec.intent or text) for spec, text in zip(specs, meant, strict=True)]
        specs = overridden(specs, overrides)
        return ModelSpec(tuple(_in_order(found, specs, seen)), seen.fidelity, (*seen.notes, *_notes(found)))

    def read(self, model: object, param: ParamSpec) -> NDArray[np.generic]:
        """A parameter's present value: a copy in the canonical layout, float64 for float64 and float32 else.

        Raises:
            OptionError: The model has no such parameter.
        """
        entry = find(model, param.native)
        return memory.read(entry.tensor, _layout(entry, param), param.groups)

    def write(self, model: object, param: ParamSpec, source: Source) -> None:
        """Put the source's numbers into the parameter's own memory, a chunk at a time; a padding row is left zero.

        Raises:
            OptionError: The model has no such parameter, or one of numbers that are not drawn.
            ShapeError: Its shape is not the plan's.
        """
        entry = find(model, param.native)
        memory.write(entry.tensor, _layout(entry, param), param.groups, source)
        padding = _padding(entry)
        if padding is not None:
            entry.tensor.detach()[padding].zero_()

    def mark(self, model: object, names: Iterable[str], seed: int) -> None:
        """Remember, beside the model, that the present values of these parameters are initlab's own."""
        assert isinstance(model, nn.Module)
        marks.mark(model, names, seed)

    def generator_state(self, model: object) -> bytes:
        """The state of torch's global generator on the CPU, which ``torch.manual_seed`` sets with all others."""
        return torch.get_rng_state().numpy().tobytes()

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        """The tensors of ``state_dict`` as read-only arrays, on the model's own memory where that is possible.

        Raises:
            MissingDependencyError: bfloat16 weights without the package that defines the type for NumPy.
        """
        assert isinstance(model, nn.Module)
        held = model.state_dict().items()
        return {name: memory.as_array(tensor) for name, tensor in held if isinstance(tensor, torch.Tensor)}

    def taps(
        self,
        model: object,
        batch: object,
        *,
        targets: object = None,
        loss: Callable[..., object] | None = None,
        histograms: bool = False,
    ) -> Reading:
        """What one forward and backward pass of a batch shows in a model, in training mode.

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

        Raises:
            ShapeError: The model does not take the batch, or the targets do not fit its output.
            DataError: The batch holds numbers that are not finite.
            OptionError: Nothing to follow backwards: frozen parameters, an output without gradient, a loss that is no
                scalar.
            InitlabError: Parameters without memory.

        Example:
            >>> net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
            >>> reading = TorchAdapter().taps(net, np.array([[3.0, 4.0]], np.float32))
            >>> [place.path for place in reading.places], reading.forward[0].square      # (9 + 16) / 2
            (['input', '0', '1:tanh', '2'], 12.5)
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
        """A context in which every so many training passes of a model are summed as ``taps`` does.

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
            >>> net, seen = nn.Linear(2, 1), []
            >>> with TorchAdapter().watch(net, every=2, on_reading=lambda step, reading: seen.append(step)):
            ...     for _ in range(5):
            ...         net(torch.ones(3, 2)).sum().backward()
            >>> seen
            [0, 2, 4]
        """
        return watch(model, every=every, on_reading=on_reading, scale=scale)


ADAPTER: Adapter = TorchAdapter()


def _is_drawn(entry: Entry, facts: Facts | None) -> bool:
    """Whether a name counts among its siblings: by type and rank alone, so a trace changes no path."""
    rank = entry.tensor.dim()
    return rank >= 2 if facts is None else facts.role in WEIGHT_ROLES and rank >= 2


def _layout(entry: Entry, param: ParamSpec) -> memory.Layout:
    return memory.spec_layout(param, is_transposed=entry.leaf == "weight" and is_hf_conv1d(entry.owner))


def _padding(entry: Entry) -> int | None:
    if entry.leaf == "weight" and isinstance(entry.owner, nn.Embedding | nn.EmbeddingBag):
        return entry.owner.padding_idx
    return None


def _notes(found: Sequence[Entry]) -> list[str]:
    notes = [
        f"row {_padding(entry)} of {entry.native} is padding and is set to zero"
        for entry in found
        if _padding(entry) is not None and entry.first == entry.native
    ]
    return notes + [f"{entry.native} has complex numbers, which are not drawn" for entry in found if not entry.drawable]


# One parameter's description


def _spec(entry: Entry, known: Facts | None, paths: dict[str, str], seen: Trace) -> ParamSpec:
    native = tuple(entry.tensor.shape)
    facts = _from_uses(entry, seen) if known is None else known
    if facts.role == "norm_scale" and seen.uses.get(entry.first) == [Use("norm_bias")]:
        facts = Facts("norm_bias")
    if not entry.drawable:
        facts = Facts(kept=f"{entry.tensor.dtype} numbers are not drawn")
    shape = memory.canonical_shape(native, facts.layout, facts.groups)
    spec = ParamSpec(
        path=paths[entry.native],
        shape=shape,
        role=facts.role,
        groups=facts.groups,
        stride=facts.stride,
        axes=facts.axes,
        blocks=facts.blocks,
        layer_shape=_layer_shape(entry, facts),
        layer_kind=facts.layer_kind,
        tied_to=paths[entry.first] if entry.first != entry.native else None,
        native=entry.native,
        frozen=not entry.tensor.requires_grad,
        intent=facts.kept,
        padding_row=_padding(entry),
        is_drawable=entry.drawable,
    )
    if spec.role == "norm_scale":
        return replace(spec, branch=seen.branches.get(entry.first))
    return _placed(spec, facts, entry, seen) if spec.role in WEIGHT_ROLES else spec


def _placed(spec: ParamSpec, facts: Facts, entry: Entry, seen: Trace) -> ParamSpec:
    branch = seen.branches.get(entry.first)
    if facts.inner:
        return replace(spec, f_in=facts.f_in, f_out=facts.f_out, branch=branch)
    place = seen.places.get(entry.first)
    blocks = spec.blocks or _named_blocks(entry, spec)
    if place is None:
        return replace(spec, blocks=blocks)
    if spec.axes is None and spec.groups == 1:
        blocks = blocks or _split_blocks(place.split, spec.shape[0])
    f_in, moment = (None, None) if spec.role == "embedding" else (place.f_in, place.in_moment)
    spec = replace(spec, f_in=f_in, f_out=facts.f_out or place.f_out, in_moment=moment, norm=place.norm)
    return replace(spec, branch=branch, blocks=blocks, is_output=place.is_end)


def _named_blocks(entry: Entry, spec: ParamSpec) -> tuple[int, ...]:
    """Packed queries, keys and values by the name that everybody gives such a layer."""
    if spec.role != "dense" or len(spec.shape) != 2 or entry.module.rpartition(".")[2] not in _PACKED:
        return ()
    times, rest = divmod(spec.shape[0], spec.shape[1])
    return (spec.shape[1],) * times if rest == 0 and times in (2, 3) else ()


def _split_blocks(split: int | tuple[int, ...] | None, out: int) -> tuple[int, ...]:
    if isinstance(split, int):
        return (out // split,) * split if split > 1 and out % split == 0 else ()
    if split and len(split) == 1:
        return (split[0],) * (out // split[0]) if 0 < split[0] < out and out % split[0] == 0 else ()
    return split if split and len(split) > 1 and sum(split) == out and min(split) > 0 else ()


def _layer_shape(entry: Entry, facts: Facts) -> tuple[int, ...] | None:
    if not facts.layer:
        return None
    native = weight_shape(entry.owner, facts.layer)
    weight = layer_facts(entry.owner, facts.layer, rank=len(native or ()))
    if native is None or weight is None:
        return native
    return memory.canonical_shape(native, weight.layout, weight.groups)


def _from_uses(entry: Entry, seen: Trace) -> Facts:
    """What the uses of a parameter show, where its module's type is not known."""
    uses = seen.uses.get(entry.first, [])
    if not uses or any(use != uses[0] for use in uses[1:]) or not uses[0].clear:
        return Facts()
    use, rank = uses[0], entry.tensor.dim()
    if use.role == "norm_bias":
        return Facts("scale")
    if use.role in ("dense", "conv", "conv_transpose", "embedding") and rank < 2:
        return Facts("embedding" if use.role == "embedding" else "unknown")
    stride = use.stride if any(n != 1 for n in use.stride) else ()
    layout: memory.Layout = "conv_transpose" if use.role == "conv_transpose" else "same"
    return Facts(use.role, layout=layout, groups=use.groups, stride=stride, axes=_checked(use.axes, rank))


def _checked(axes: Axes | None, rank: int) -> Axes | None:
    return axes if axes is not None and max((*axes.inputs, *axes.outputs, *axes.batch), default=0) < rank else None


def _in_order(found: Sequence[Entry], specs: Sequence[ParamSpec], seen: Trace) -> list[ParamSpec]:
    """The descriptions in the order in which modules are first used; those without a weight stay where they were."""
    first: dict[str, int] = {}
    for entry in found:
        place = seen.places.get(entry.first)
        if place is not None and entry.native == entry.first:
            first[entry.module] = min(place.order, first.get(entry.module, place.order))
    rank, at = [], -1
    for entry in found:
        at = first.get(entry.module, at)
        rank.append(at)
    return [specs[i] for i in sorted(range(len(specs)), key=rank.__getitem__)]
