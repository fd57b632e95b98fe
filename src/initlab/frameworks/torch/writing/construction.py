"""The construction of a module watched: every call that writes into memory is seen by a mode of torch's dispatcher."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import ref

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from initlab.core.errors import OptionError
from initlab.core.facts.provenance import Provenance, State, Write
from initlab.frameworks.reading.callers import Homes, cut, line_of, options_of, said
from initlab.frameworks.reading.provenance import remember
from initlab.frameworks.torch.reading.marks import stamps
from initlab.frameworks.torch.reading.memories import Memories, Record, region_of, whole
from initlab.frameworks.torch.reading.replay import CHANCE, FOREIGN, SURE, Doubt, settle, write_down

_TORCH = str(Path(torch.__file__).parent)
_HOMES = Homes(
    (_TORCH, __file__, str(Path(torch.__file__).parents[1] / "safetensors"), contextmanager.__code__.co_filename),
    tuple(str(path) for path in Path(_TORCH, "nn", "modules").glob("*.py") if path.name != "module.py"),
)
_COPIES = frozenset({"clone", "_to_copy", "copy_", "contiguous", "_copy_from", "alias_copy", "detach_copy"})
_FILLS = frozenset({"fill_", "zero_", "copy_"})
_PICKS = ("index", "scatter", "masked", "put")  # they write some numbers, which ones is not followed
_EMPTY = frozenset({"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted"})
_EXPORTS = frozenset({"numpy", "__array__", "__dlpack__", "data_ptr", "share_memory_"})
_GIVERS = frozenset({"tensor", "as_tensor", "new_tensor"})  # on the meta device no operation is seen of these
_STILL = ("set_", "resize_", "requires_grad_")  # they write no numbers


@dataclass(frozen=True)
class _Kind:
    """What an operation does: which arguments it writes, and how what it writes depends on what it is given."""

    name: str
    writes: tuple[tuple[int, str], ...]
    is_view: bool
    is_random: bool
    is_shape_only: bool
    is_empty: bool
    fills: bool


class TorchConstruction(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode in which every write is remembered with its law and its caller."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._memories = Memories()
        self._kinds: dict[object, _Kind] = {}

    @property
    def is_alive(self) -> bool:
        """Whether a storage that was written is still there."""
        return self._memories.is_alive

    def end(self) -> None:
        """Let go of what was needed while it went on."""
        self._memories.end()

    def of(self, model: object) -> tuple[Provenance, ...]:
        """The writers of every parameter, each under its first name, which are remembered beside the model."""
        if not isinstance(model, nn.Module):
            raise OptionError(f"{type(model).__name__} is not a model", fix="give a torch.nn.Module")
        found = tuple(self.provenance(name, tensor) for name, tensor in model.named_parameters())
        remember(model, found, partial(stamps, model))
        return found

    def provenance(self, name: str, tensor: torch.Tensor) -> Provenance:
        """The writers of one tensor."""
        return self._memories.provenance(name, tensor)

    def exported(self, tensor: torch.Tensor) -> None:
        """From now on others may write into a tensor's memory unseen."""
        memory = self._memories.find(tensor)
        if memory is not None:
            memory.exported = whole(tensor)

    def given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], tensor: torch.Tensor) -> None:
        """Remember numbers that Python handed over to a tensor that has no memory for them."""
        if not tensor.is_meta or tensor.layout is not torch.strided or self._memories.find(tensor) is not None:
            return
        data = kwargs.get("data", args[-1] if args else None)
        held = torch.tensor(data, dtype=tensor.dtype, device="cpu")
        self._given(tensor, held.item() if held.dim() == 0 else None)
        write_down(
            torch.Tensor.clone,
            (held,),
            {},
            tensor,
            result=0,
            fills=True,
            doubt=lambda one: SURE if one.dim() == 0 else FOREIGN,
        )

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        given = kwargs or {}
        kind = self._kinds.get(func) or self._learn(func)
        if kind.is_view and not kind.writes:
            made = func(*args, **given)
            if kind.name == "lift_fresh" and isinstance(made, torch.Tensor):
                is_single = made.dim() == 0 and made.device.type == "cpu"
                self._given(made, made.detach().item() if is_single else None)
            return made
        sources = [] if kind.is_shape_only else [self._source(one) for one in _tensors((*args, *given.values()))]
        made = func(*args, **given)
        if kind.writes:
            places = [args[at] if at < len(args) else given.get(name) for at, name in kind.writes]
            for tensor in _tensors(places):
                self._note(kind, tensor, args, given, sources)
                self._write_down(func, kind, tensor, args, given, None)
        else:
            for n, tensor in enumerate(_tensors((made,))):
                self._note(kind, tensor, args, given, sources)
                self._write_down(func, kind, tensor, args, given, n)
        return made

    def _write_down(
        self, func: Any, kind: _Kind, tensor: torch.Tensor, args: Any, given: Mapping[str, Any], result: int | None
    ) -> None:
        """Keep the call with which a tensor without memory is made again; what draws is not made again."""
        if tensor.is_meta and tensor.layout is torch.strided and kind.name != "requires_grad_":
            is_made = not (kind.is_random or kind.is_empty or kind.name in _STILL)
            fills = kind.fills or result is not None
            write_down(func if is_made else None, args, given, tensor, result=result, fills=fills, doubt=self._doubt)

    def _doubt(self, tensor: torch.Tensor) -> Doubt:
        """What is known of a tensor that has numbers."""
        memory = self._memories.find(tensor) if tensor.layout is torch.strided else None
        over = [] if memory is None else memory.over(region_of(tensor))
        if any(one.state != "written" or one.write.is_random for one in over):
            return CHANCE
        return FOREIGN if not over or any(one.write.is_random is None for one in over) else SURE

    def _given(self, tensor: torch.Tensor, number: object) -> None:
        """Remember numbers that Python handed over: a single one is what the code says, several may be anybody's."""
        if tensor.layout is not torch.strided or self._memories.find(tensor) is not None:
            return
        law = "tensor(...)" if number is None else f"tensor({said(number)})"
        caller, is_layer = _HOMES.caller(sys._getframe(2))
        write = Write(law, line_of(caller), is_layer, None if number is None else False)
        self._memories.take(tensor).add(tensor, Record(region_of(tensor), write))

    def _learn(self, func: Any) -> _Kind:
        schema, name = func._schema, func._schema.name.rpartition("::")[2]
        aliases = [(at, a.name, a.alias_info) for at, a in enumerate(schema.arguments) if a.alias_info is not None]
        writes = tuple((at, arg) for at, arg, alias in aliases if alias.is_write)
        is_random = torch.Tag.nondeterministic_seeded in func.tags
        is_out = any(a.is_out for a in schema.arguments)
        is_shape_only = name.endswith("_like") or name.startswith("new_") or (is_random and not aliases)
        fills = is_out or name in _FILLS or (is_random and bool(writes))
        kind = _Kind(name, writes, bool(aliases), is_random, is_shape_only, name in _EMPTY, fills)
        self._kinds[func] = kind
        return kind

    def _source(self, tensor: torch.Tensor) -> Record | None:
        """The last write of what a tensor holds, whole."""
        memory = self._memories.find(tensor) if tensor.layout is torch.strided else None
        over = [] if memory is None else memory.over(region_of(tensor))
        return over[-1] if over else None

    def _note(
        self,
        kind: _Kind,
        tensor: torch.Tensor,
        args: tuple[Any, ...],
        given: Mapping[str, Any],
        sources: list[Record | None],
    ) -> None:
        if tensor.layout is not torch.strided or tensor.numel() == 0:
            return
        memory, region = self._memories.take(tensor), region_of(tensor)
        if kind.writes and kind.name in _STILL:
            return
        is_copy = kind.name in _COPIES
        source = sources[-1 if kind.writes else 0] if is_copy and sources else None
        if is_copy and not kind.writes and source is not None:
            memory.add(tensor, Record(region, source.write, source.state))
            return
        outer = _outermost(sys._getframe(2), memory.key)
        if outer is not None and memory.goes_on(tensor, region, outer):
            return
        caller, is_layer = _HOMES.caller(sys._getframe(2) if outer is None else outer.f_back)
        if kind.is_empty:
            memory.add(tensor, Record(region, Write(_law(kind, args, ()), line_of(caller), is_layer), "unwritten"))
            return
        used = sources[1:] if kind.fills and kind.writes and sources else sources
        law = _law_of_call(outer) if outer is not None else _law(kind, args, sources)
        state: State = _state(kind, used)
        write = Write(law, line_of(caller), is_layer, _is_random(kind, used))
        memory.add(tensor, Record(region, write, state, bool(kind.writes) and not kind.fills, outer))


def _outermost(frame: FrameType | None, storage: int) -> FrameType | None:
    """The outermost running function that writes into its first argument, a tensor of this memory, as its name says."""
    outer = None
    while frame is not None:
        code = frame.f_code
        name = code.co_name
        if name[-1] == "_" and name[-2:] != "__" and code.co_argcount:
            first = frame.f_locals.get(code.co_varnames[0])
            if isinstance(first, torch.Tensor) and first.untyped_storage()._cdata == storage:
                outer = frame
        frame = frame.f_back
    return outer


def _law_of_call(frame: FrameType) -> str:
    hidden = (torch.Tensor, torch.Generator, type(None))
    return cut(f"{frame.f_code.co_name}({options_of(frame, lambda value: isinstance(value, hidden))})")


def _law(kind: _Kind, args: tuple[Any, ...], sources: Iterable[Record | None]) -> str:
    """An operation as code, in which tensors are the laws that made them, and shapes are left out."""
    told: list[str] = []
    laws = iter(sources)
    for value in args:
        if isinstance(value, torch.Tensor):
            record = None if kind.is_shape_only or kind.is_empty else next(laws, None)
            if not (kind.is_shape_only or kind.is_empty or (kind.fills and not told and value is args[0])):
                told.append("..." if record is None else record.write.law)
        elif isinstance(value, list | tuple) and any(isinstance(one, torch.Tensor) for one in value):
            records = [next(laws, None) for one in value if isinstance(one, torch.Tensor)]
            told.append(f"[{', '.join('...' if r is None else r.write.law for r in records)}]")
        elif isinstance(value, int | float | bool) or (isinstance(value, list) and kind.name not in _SIZED):
            told.append(said(value))
    return cut(f"{kind.name.lstrip('_')}({', '.join(told)})")


_SIZED = _EMPTY | {"rand", "randn", "zeros", "ones", "full", "new_zeros", "new_ones", "new_full", "randint"}


def _state(kind: _Kind, used: list[Record | None]) -> State:
    if any(one is not None and one.state == "unwritten" for one in used):
        return "unknown" if any(pick in kind.name for pick in _PICKS) else "unwritten"
    return "written"


def _is_random(kind: _Kind, used: list[Record | None]) -> bool | None:
    told = {None if one is None else one.write.is_random for one in used}
    if kind.is_random or True in told:
        return True
    return None if None in told else False


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


class _Exchanges(TorchFunctionMode):
    """A mode that hears when a tensor's memory is lent to NumPy and others, and when Python hands numbers over."""

    def __init__(self, watch: TorchConstruction) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in _EXPORTS and args and isinstance(args[0], torch.Tensor):
            self._watch.exported(args[0])
        made = func(*args, **kwargs)
        if name in _GIVERS and isinstance(made, torch.Tensor):
            self._watch.given(args, kwargs, made)
        return made


@contextmanager
def construction() -> Iterator[TorchConstruction]:
    """Within it, what writes into memory is seen, in this thread.

    Example:
        >>> with construction() as seen:
        ...     net = nn.Linear(3, 2)
        ...     _ = nn.init.constant_(net.bias, -2)
        >>> [(one.last.law, one.last.is_default) for one in seen.of(net)]
        [('kaiming_uniform_(a=2.23607)', True), ('constant_(-2)', False)]
    """
    watch = TorchConstruction()
    with ExitStack() as kept:
        held: list[ref[torch.Tensor]] = []
        for register in (register_module_parameter_registration_hook, register_module_buffer_registration_hook):
            kept.callback(register(lambda module, name, one: held.append(ref(one)) if one is not None else None).remove)
        kept.callback(watch.end)
        kept.callback(lambda: settle([one for one in (held_one() for held_one in held) if one is not None]))
        kept.enter_context(_Exchanges(watch))
        kept.enter_context(watch)
        yield watch
