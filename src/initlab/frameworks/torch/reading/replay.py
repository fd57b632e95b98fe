"""What a construction wrote into memory that is not there: its calls kept in order, and made again on real memory.

A tensor on the ``meta`` device has a storage and no bytes in it. Each call that would have written there is a step on
the tape of that storage; the steps that a tensor hangs on, in the order of their making, give its numbers. Chance, and
memory that was never written, are followed through them entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from math import prod
from typing import Any, Literal, TypeAlias

import torch
from torch.multiprocessing.reductions import StorageWeakRef

Doubt: TypeAlias = Literal[0, 1, 2]
SURE: Doubt = 0
"""Written by a law in which there is no chance."""
FOREIGN: Doubt = 1
"""Given from outside of torch: the numbers are there, and nobody knows how they were made."""
CHANCE: Doubt = 2
"""Drawn, never written, or not followed: no numbers."""

_ORDER = count()


@dataclass(frozen=True, eq=False)
class View:
    """Where a tensor that was given to a call stands."""

    tape: Tape
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def of(self, storage: torch.UntypedStorage) -> torch.Tensor:
        """The same entries of another storage."""
        held = torch.empty(0, dtype=self.dtype, device=storage.device)
        return held.set_(storage, self.offset, self.shape, self.stride)

    def bytes_of(self, mask: torch.Tensor) -> torch.Tensor:
        """The same entries of a mask that has an entry a byte."""
        size = self.dtype.itemsize
        return mask.as_strided((*self.shape, size), (*(n * size for n in self.stride), 1), self.offset * size)


@dataclass(frozen=True, eq=False)
class Copied:
    """The numbers of a tensor that has some, as they were given to a call."""

    tensor: torch.Tensor
    doubt: Doubt


@dataclass(frozen=True, eq=False)
class Step:
    """One call that wrote into a storage.

    Attributes:
        function: What was called; None where it cannot be made again.
        args: Its arguments, in which tensors are views and copies.
        kwargs: Those by name.
        into: What it wrote.
        result: Which of its results is what it wrote; None where it wrote into an argument.
        sources: The arguments that what it wrote hangs on.
        fills: Whether nothing of what was there is left.
    """

    function: Callable[..., Any] | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    into: View
    result: int | None
    sources: tuple[View | Copied, ...]
    fills: bool
    order: int = field(default_factory=lambda: next(_ORDER))


@dataclass(eq=False)
class Tape:
    """The calls that wrote into a storage without memory, in order; the reference keeps its identity its own.

    Attributes:
        storage: The storage.
        nbytes: Its size.
        steps: The calls.
        version: How often its tensors in modules had been written when nobody watched any more; None before that.
    """

    storage: StorageWeakRef
    nbytes: int
    steps: list[Step] = field(default_factory=list)
    version: int | None = None


_TAPES: dict[int, Tape] = {}  # by the storage's identity
_PRUNED_AT = [4096]


def tape_of(tensor: torch.Tensor, *, take: bool = False) -> Tape | None:
    """The tape of a tensor's storage; where there is none, a new one if it is to be taken."""
    storage = tensor.untyped_storage()
    found = _TAPES.get(storage._cdata)
    if found is None and take:
        found = _TAPES[storage._cdata] = Tape(StorageWeakRef(storage), storage.nbytes())  # type: ignore[no-untyped-call]
        if len(_TAPES) > _PRUNED_AT[0]:
            for key in [key for key, one in _TAPES.items() if one.storage.expired()]:  # type: ignore[no-untyped-call]
                del _TAPES[key]
            _PRUNED_AT[0] = max(4096, 2 * len(_TAPES))
    return found


def settle(tensors: Iterable[torch.Tensor]) -> None:
    """From now on nobody watches what is written into these tensors."""
    for tensor in tensors:
        tape = tape_of(tensor) if tensor.is_meta and tensor.layout is torch.strided else None
        if tape is not None:
            tape.version = max(tape.version or 0, tensor._version)


def view_of(tensor: torch.Tensor, tape: Tape) -> View:
    """Where a tensor stands on a tape."""
    offset = int(tensor.storage_offset())
    return View(tape, tensor.dtype, tuple(tensor.shape), tuple(tensor.stride()), offset)


def write_down(
    function: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    tensor: torch.Tensor,
    *,
    result: int | None,
    fills: bool,
    doubt: Callable[[torch.Tensor], Doubt],
) -> None:
    """Put a call that wrote into a tensor without memory on its tape.

    Args:
        function: What was called; None where it cannot be made again, as one that draws.
        args: What it was given.
        kwargs: What it was given by name.
        tensor: What it wrote.
        result: Which of its results that is; None where it wrote into an argument.
        fills: Whether nothing of what was there is left.
        doubt: What is known of the numbers of a tensor that has some.
    """
    tape = tape_of(tensor, take=True)
    assert tape is not None
    sources: list[View | Copied] = []

    def kept(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if not value.is_meta:
                one: View | Copied = Copied(value.detach().clone(), doubt(value))
            else:
                held = tape_of(value, take=True)
                assert held is not None
                one = view_of(value, held)
            if value is not tensor or result is not None or not fills:
                sources.append(one)
            return one
        if isinstance(value, list | tuple):
            return type(value)(kept(item) for item in value)
        return torch.device("cpu") if isinstance(value, torch.device) else value

    if function is None:
        tape.steps.append(Step(None, (), {}, view_of(tensor, tape), None, (), fills))
        return
    given = tuple(kept(value) for value in args), {name: kept(value) for name, value in kwargs.items()}
    tape.steps.append(Step(function, *given, view_of(tensor, tape), result, tuple(sources), fills))


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """What a storage without memory would hold.

    Attributes:
        storage: The bytes, on the CPU.
        mask: For each of them, what is known of it.
    """

    storage: torch.UntypedStorage
    mask: torch.Tensor

    def doubt(self, tensor: torch.Tensor) -> Doubt:
        """The most that is in doubt of a tensor of the storage."""
        part = view_of(tensor, Tape(StorageWeakRef(self.storage), 0)).bytes_of(self.mask)  # type: ignore[no-untyped-call]
        worst = int(part.max()) if part.numel() else 0
        return SURE if worst == 0 else FOREIGN if worst == 1 else CHANCE

    def numbers(self, tensor: torch.Tensor) -> torch.Tensor:
        """The numbers of a tensor of the storage."""
        return view_of(tensor, Tape(StorageWeakRef(self.storage), 0)).of(self.storage)  # type: ignore[no-untyped-call]


def rebuilt(tensor: torch.Tensor) -> Rebuilt | None:
    """The bytes of a tensor's storage by the calls that would have written them.

    None where no call was seen, where they surely drew, and where the tensor was written after that unseen.
    """
    tape = tape_of(tensor) if tensor.is_meta and tensor.layout is torch.strided else None
    if tape is None or (tape.version is not None and tensor._version > tape.version):
        return None
    if _holds_chance(tape, len(tape.steps)):
        return None
    storages: dict[Tape, Rebuilt] = {}
    with torch.no_grad(), torch.utils._python_dispatch._disable_current_modes():
        for step in sorted(_needed(tape), key=lambda one: one.order):
            _make(step, storages)
        found = storages.get(tape)
    return found


def _holds_chance(tape: Tape, upto: int, *, depth: int = 16) -> bool:
    """Whether it is seen without making the calls again that some entries are drawn, or were never written."""
    open_bytes = tape.nbytes
    for step in reversed(tape.steps[:upto]):
        size = prod(step.into.shape) * step.into.dtype.itemsize
        if step.fills and size >= open_bytes == tape.nbytes:
            sources = [one for one in step.sources if isinstance(one, View)] if depth else []
            return step.function is None or any(
                _holds_chance(one.tape, _before(one.tape, step), depth=depth - 1)
                for one in sources
                if prod(one.shape) * one.dtype.itemsize >= one.tape.nbytes
            )
        open_bytes -= size if step.fills else 0
        if open_bytes <= 0:
            return False
    return open_bytes > 0


def _before(tape: Tape, step: Step) -> int:
    return sum(other.order < step.order for other in tape.steps)


def _needed(tape: Tape) -> Iterator[Step]:
    """Every step that a tape hangs on."""
    bounds: dict[Tape, int] = {}
    done: dict[Tape, int] = {}
    waiting = [(tape, len(tape.steps))]
    while waiting:
        one, upto = waiting.pop()
        if upto <= bounds.get(one, 0):
            continue
        bounds[one] = upto
        start, done[one] = done.get(one, 0), upto
        for step in one.steps[start:upto]:
            yield step
            for source in (*step.sources, step.into):
                if isinstance(source, View):
                    waiting.append((source.tape, _before(source.tape, step)))


def _make(step: Step, storages: dict[Tape, Rebuilt]) -> None:
    """Make a call again, and follow what is in doubt."""

    def held(tape: Tape) -> Rebuilt:
        if tape not in storages:
            storage = torch.UntypedStorage(tape.nbytes, device="cpu")  # type: ignore[no-untyped-call]
            mask = torch.full((tape.nbytes,), CHANCE, dtype=torch.uint8, device="cpu")
            storages[tape] = Rebuilt(storage, mask)
        return storages[tape]

    def real(value: Any) -> Any:
        if isinstance(value, View):
            return value.of(held(value.tape).storage)
        if isinstance(value, Copied):
            return value.tensor.clone()
        return type(value)(map(real, value)) if isinstance(value, list | tuple) else value

    worst = CHANCE if step.function is None else max((_doubt(one, held) for one in step.sources), default=SURE)
    place = step.into.bytes_of(held(step.into.tape).mask)
    if worst < CHANCE and step.function is not None:
        try:
            made = step.function(*map(real, step.args), **{name: real(value) for name, value in step.kwargs.items()})
            if step.result is not None:
                results = [made] if isinstance(made, torch.Tensor) else list(made)
                step.into.of(held(step.into.tape).storage).copy_(results[step.result])
        except (RuntimeError, NotImplementedError):  # what cannot be computed again is not known
            worst = CHANCE
    place.copy_(torch.full_like(place, worst) if step.fills else place.clamp(min=worst))


def _doubt(one: View | Copied, held: Callable[[Tape], Rebuilt]) -> int:
    if isinstance(one, Copied):
        return one.doubt
    part = one.bytes_of(held(one.tape).mask)
    return int(part.max()) if part.numel() else SURE
