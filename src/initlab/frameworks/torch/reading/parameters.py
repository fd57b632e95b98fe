"""The parameters of a model by name: which are shared, which cannot be drawn, and their canonical paths."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.paths import NativeName, canonical_paths, is_automatic
from initlab.frameworks.reading.intent import Numbers
from initlab.frameworks.torch.reading.computed import Computed, computed_in
from initlab.frameworks.torch.reading.replay import SURE, rebuilt
from initlab.frameworks.torch.reading.untouched import check_unscripted

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128)
_WIDE = (torch.float64, torch.complex128)


@dataclass(frozen=True, eq=False)
class Entry:
    """One name of one parameter.

    Attributes:
        native: The name that ``named_parameters`` gives.
        tensor: The parameter.
        owner: The module that holds it.
        module: The owner's name; empty for the model itself.
        leaf: The name in the owner.
        first: The first name of the same memory; the parameter's own where no other comes before it.
        numbers: Its numbers; None of one without memory, but where its construction was seen and drew none of them.
        computed: Of a weight that the owner computes, how; ``tensor`` is then its main part.
    """

    native: str
    tensor: nn.Parameter
    owner: nn.Module
    module: str
    leaf: str
    first: str
    numbers: Numbers | None
    computed: Computed | None = None

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of what the owner uses."""
        return tuple((self.tensor if self.computed is None else self.computed.value()).shape)

    @property
    def parts(self) -> tuple[str, ...]:
        """The native names of what it is computed from; none of a parameter."""
        before = f"{self.module}." if self.module else ""
        return () if self.computed is None else tuple(before + part for part in self.computed.parts)

    @property
    def tensors(self) -> list[nn.Parameter]:
        """The parameters behind it: itself, or those from which it is computed."""
        return [self.tensor] if self.computed is None else list(self.computed.parts.values())

    @property
    def requires_grad(self) -> bool:
        """Whether it is trained."""
        return any(tensor.requires_grad for tensor in self.tensors)

    @property
    def drawn(self) -> torch.Tensor:
        """What holds the numbers that are drawn."""
        return self.tensor if self.computed is None else self.computed.drawn()

    @property
    def drawable(self) -> bool:
        """Whether initlab draws numbers of this type."""
        return self.tensor.dtype in _FLOATS


def entries(model: object, *, may_lack_memory: bool = False) -> list[Entry]:
    """Every parameter under every one of its names, in the model's order.

    Args:
        model: The model.
        may_lack_memory: Whether parameters on the ``meta`` device are taken.

    Raises:
        OptionError: Not a module, or a module without parameters.
        InitlabError: Parameters without memory (``meta`` device, lazy modules), made in inference mode, sparse, or with
            whole or quantised numbers; a part that was scripted or traced.
    """
    if not isinstance(model, nn.Module):
        raise OptionError(f"{type(model).__name__} is not a model", fix="give a torch.nn.Module")
    check_unscripted(model)
    first: dict[tuple[object, ...], str] = {}
    found = []
    modules = dict(model.named_modules(remove_duplicate=False))
    computed = {part: (name, module, one) for name, module in modules.items() for part, one in _parts(name, module)}
    for native, tensor in model.named_parameters(remove_duplicate=False):
        _check(native, tensor, may_lack_memory=may_lack_memory)
        if native in computed:
            module, owner, one = computed[native]
            if tensor is one.main:
                name = f"{module}.{one.leaf}".removeprefix(".")
                shared = first.setdefault(_memory(tensor), name)
                found.append(Entry(name, tensor, owner, module, one.leaf, shared, _numbers_of(tensor, one), one))
            continue
        module, _, leaf = native.rpartition(".")
        shared = first.setdefault(_memory(tensor), native)
        owner = modules[module] if module in modules else model.get_submodule(module)
        found.append(Entry(native, tensor, owner, module, leaf, shared, _numbers_of(tensor)))
    _check_quantised(modules)
    if not found:
        raise OptionError(f"{type(model).__name__} has no parameters", fix="give a model with weights")
    return found


def _parts(name: str, module: nn.Module) -> Iterator[tuple[str, Computed]]:
    """The native names of parameters from which a module computes a weight, each with that weight."""
    for one in computed_in(module):
        for part in one.parts:
            yield f"{name}.{part}".removeprefix("."), one


def find(model: object, native: str) -> Entry:
    """The parameter of a name.

    Raises:
        OptionError: The model has no parameter of that name.
    """
    if not isinstance(model, nn.Module):
        raise OptionError(f"{type(model).__name__} is not a model", fix="give a torch.nn.Module")
    module, _, leaf = native.rpartition(".")
    try:
        owner = model.get_submodule(module)
        computed = next((one for one in computed_in(owner) if one.leaf == leaf), None)
        tensor = model.get_parameter(native) if computed is None else computed.main
    except AttributeError:
        raise OptionError(
            f"the model has no parameter '{native}'", fix="plan the model that the plan is applied to"
        ) from None
    _check(native, tensor)
    return Entry(native, tensor, owner, module, leaf, native, _numbers_of(tensor, computed), computed)


def padding_row(entry: Entry) -> int | None:
    """The row of an embedding that stands for no token and stays zero; None where there is none."""
    if entry.leaf == "weight" and isinstance(entry.owner, nn.Embedding | nn.EmbeddingBag):
        return entry.owner.padding_idx
    return None


def paths_of(found: list[Entry], drawn: list[bool], scales: Collection[str] = ()) -> list[str]:
    """Canonical paths: names that the user chose are kept, integers become ordinals among drawn siblings.

    Args:
        found: The parameters.
        drawn: Whether each is a weight that is drawn.
        scales: Native names of the scales of norm layers: where torch calls one ``weight``, the path says ``scale``.

    Example:
        >>> net = nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 3, bias=False))
        >>> paths_of(entries(net), [False, False, True], {"0.weight"})
        ['undrawn_0/scale', 'undrawn_0/bias', '0/weight']
    """
    names = []
    for entry, is_drawn in zip(found, drawn, strict=True):
        parts = tuple(entry.native.split("."))
        if entry.native in scales and entry.leaf == "weight" and "scale" not in entry.owner._parameters:
            parts = (*parts[:-1], "scale")
        names.append(NativeName(parts, tuple(is_automatic(part) for part in parts[:-1]), is_drawn))
    return canonical_paths(names)


def _memory(tensor: torch.Tensor) -> tuple[object, ...]:
    """Equal for two parameters that share all their numbers, as objects or as views of one storage.

    Meta and distributed tensors have no address of their own: their pointer is 0. Of plain meta tensors the storage
    tells a tie, of all others the object alone.
    """
    if tensor.is_meta and type(tensor) in (torch.Tensor, nn.Parameter) and tensor.numel():
        return (tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.numel(), tensor.dtype)
    if tensor.numel() == 0 or tensor.layout is not torch.strided or tensor.data_ptr() == 0:
        return (id(tensor),)
    return (tensor.device, tensor.data_ptr(), tensor.numel(), tensor.dtype)


def _numbers_of(tensor: torch.Tensor, computed: Computed | None = None) -> Numbers | None:
    if computed is not None:
        return None if tensor.is_meta else lambda *, first=False: numbers(computed.drawn(), first=first)
    if not tensor.is_meta:
        return partial(numbers, tensor)
    found = rebuilt(tensor)
    return partial(numbers, found.numbers(tensor)) if found is not None and found.doubt(tensor) == SURE else None


def _check(native: str, tensor: torch.Tensor, *, may_lack_memory: bool = False) -> None:
    if isinstance(tensor, nn.parameter.UninitializedParameter):
        raise InitlabError(
            "the parameter of a lazy module has no shape yet",
            where=native,
            fix="give example=, an input that reaches this module",
        )
    if tensor.layout is not torch.strided:
        raise InitlabError(
            f"a sparse tensor ({str(tensor.layout).removeprefix('torch.')}) is neither drawn nor probed",
            where=native,
            fix="keep the dense weight as the parameter, and make it sparse in forward",
        )
    if tensor.is_meta and not may_lack_memory:
        raise InitlabError(
            "the parameter is on the meta device and holds no numbers",
            where=native,
            fix="initlab.materialize(model, ...) gives the model memory and draws",
        )
    if tensor.is_inference():
        raise InitlabError(
            "the parameter was made in inference mode and can never be written",
            where=native,
            fix="build the model outside torch.inference_mode()",
        )
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise InitlabError(
            f"whole or quantised numbers ({str(tensor.dtype).removeprefix('torch.')}) are neither drawn nor probed",
            where=native,
            fix="take the float model, and quantise it afterwards",
        )


def _check_quantised(modules: Mapping[str, nn.Module]) -> None:
    for name, module in modules.items():
        home = type(module).__module__
        if home.startswith(("torch.ao.nn.quantized", "torch.nn.quantized")) and not isinstance(module, nn.Identity):
            raise InitlabError(
                f"quantised weights ({type(module).__name__}) are neither drawn nor probed",
                where=name or "the model",
                fix="take the float model, and quantise it afterwards",
            )


def numbers(tensor: torch.Tensor, *, first: bool = False) -> NDArray[np.generic]:
    """The numbers of a tensor in its own layout, or the first alone: float64 for float64 and float32 else.

    Of a complex one they are the real and the imaginary parts, along a new last axis.
    """
    bare = torch.view_as_real(tensor.detach().resolve_conj()) if tensor.is_complex() else tensor.detach()
    part = bare[(slice(0, 1),) * bare.dim()] if first else bare
    return part.to("cpu", torch.float64 if tensor.dtype in _WIDE else torch.float32).numpy()
