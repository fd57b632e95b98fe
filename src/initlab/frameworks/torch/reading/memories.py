"""The memory that a construction takes: which call wrote which bytes, and whether they still are as it left them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from initlab.core.facts.provenance import Provenance, State, Write

_SAMPLED = 32  # bytes of a region, far apart, that tell whether something wrote over it unseen: each costs a miss


@dataclass(eq=False, slots=True)
class Region:
    """Bytes of a storage, from ``low`` to below ``high``; ``is_dense`` if a tensor there has them all."""

    low: int
    high: int
    size: int

    @property
    def is_dense(self) -> bool:
        """Whether no byte between its ends is another's."""
        return self.size >= self.high - self.low

    def meets(self, other: Region) -> bool:
        """Whether the two may share a byte."""
        return self.low < other.high and other.low < self.high

    def covers(self, other: Region) -> bool:
        """Whether every byte of the other is one of this."""
        return self.is_dense and self.low <= other.low and other.high <= self.high


@dataclass(eq=False, slots=True)
class Record:
    """One write: where, by what, what stood in the bytes then, and whether it kept something of what was there."""

    region: Region
    write: Write
    state: State = "written"
    keeps: bool = False
    token: object = None
    stamp: bytes = b""


@dataclass(eq=False)
class Memory:
    """One storage and what was written into it.

    A weak reference keeps the storage's identity from being used again, and none of its bytes.
    """

    storage: StorageWeakRef
    records: list[Record] = field(default_factory=list)
    exported: bytes | None = None

    @property
    def key(self) -> int:
        """The storage's identity."""
        return int(self.storage.cdata)

    def goes_on(self, tensor: torch.Tensor, region: Region, token: object) -> bool:
        """Whether the last write is one of the same call that had all of these bytes: then it counts once."""
        last = self.records[-1] if self.records else None
        if last is None or last.token is not token or not last.region.covers(region):
            return False
        last.stamp = sample(tensor, last.region)
        if self.exported is not None:
            self.exported = whole(tensor)
        return True

    def add(self, tensor: torch.Tensor, record: Record) -> None:
        """Remember a write; one of the same call that had some of its bytes is replaced."""
        record.stamp = sample(tensor, record.region)
        last = self.records[-1] if self.records else None
        is_same = last is not None and record.token is not None and last.token is record.token
        if last is not None and is_same and record.region.covers(last.region):
            record.keeps = last.keeps
            self.records.pop()
        self.records.append(record)
        if self.exported is not None:
            self.exported = whole(tensor)

    def over(self, region: Region) -> list[Record]:
        """The writes that a region's present numbers come from: one that covers it, where there is one, and later."""
        found: list[Record] = []
        for record in reversed(self.records):
            if record.region.meets(region):
                found.append(record)
                if record.region.covers(region) and not record.keeps:
                    break
        return found[::-1]


class Memories:
    """Every storage that was seen, by its identity."""

    def __init__(self) -> None:
        self._by_storage: dict[int, Memory] = {}
        self._prune_at = 4096

    @property
    def is_alive(self) -> bool:
        """Whether any of the storages is still there."""
        return any(not one.storage.expired() for one in self._by_storage.values())  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Let go of the calls, which hold all that was local to them: none goes on."""
        for memory in self._by_storage.values():
            for record in memory.records:
                record.token = None

    def find(self, tensor: torch.Tensor) -> Memory | None:
        """The memory of a tensor, or None where it was never seen."""
        return self._by_storage.get(tensor.untyped_storage()._cdata)

    def take(self, tensor: torch.Tensor) -> Memory:
        """The memory of a tensor, from now on seen."""
        storage = tensor.untyped_storage()
        memory = self._by_storage.get(storage._cdata)
        if memory is None:
            memory = self._by_storage[storage._cdata] = Memory(StorageWeakRef(storage))  # type: ignore[no-untyped-call]
            if len(self._by_storage) > self._prune_at:
                gone = [key for key, one in self._by_storage.items() if one.storage.expired()]  # type: ignore[no-untyped-call]
                for key in gone:
                    del self._by_storage[key]
                self._prune_at = max(4096, 2 * len(self._by_storage))
        return memory

    def provenance(self, native: str, tensor: torch.Tensor) -> Provenance:
        """Who wrote a parameter."""
        if torch.nn.parameter.is_lazy(tensor):
            return Provenance(native, (), "unwritten", Write("a lazy module's, which has no shape yet"))
        shape = tuple(tensor.shape)
        memory = self.find(tensor) if tensor.layout is torch.strided else None
        if memory is None:
            return Provenance(native, shape, "unknown")
        region = region_of(tensor)
        before = tuple(_before(memory, region))
        over = memory.over(region)
        if not over or not _stands(memory, over, tensor):
            return Provenance(native, shape, "unknown", None, before)
        return Provenance(native, shape, *_present(over, region), before)


def _present(over: list[Record], region: Region) -> tuple[State, Write]:
    """The state of a region and its last writer, where some part of it may have had another."""
    base, last = over[0], over[-1]
    if not base.region.covers(region):  # numbers under it that nobody was seen to write
        return "unknown", last.write
    if len(over) == 1 or last.region.covers(region):
        return ("unknown" if any(r.state == "unknown" for r in over) else base.state), last.write
    if _union(over[1:], region) >= region.size:
        law = f"{last.write.law}, part by part"
        return last.state, replace(last.write, law=law, is_random=_any_random(over[1:]))
    under = base.write.law if base.state == "written" else "memory that was never written"
    return base.state, replace(last.write, law=f"{last.write.law} in a part, over {under}", is_part=True)


def _union(records: list[Record], region: Region) -> int:
    """How many bytes of a region these writes had; one that leaves gaps counts for none."""
    count, end = 0, region.low
    for one in sorted((r.region for r in records if r.region.is_dense), key=lambda one: one.low):
        low, high = max(one.low, end), min(one.high, region.high)
        count, end = count + max(high - low, 0), max(end, high)
    return count


def _any_random(records: list[Record]) -> bool | None:
    told = {r.write.is_random for r in records}
    return True if True in told else None if None in told else False


def _before(memory: Memory, region: Region) -> Iterator[Write]:
    """The laws that no default of the framework's is, which filled a region and were written over."""
    standing: Record | None = None
    for record in memory.records:
        if not record.region.covers(region):
            continue
        if standing is not None and not record.keeps and standing.state == "written" and not standing.write.is_default:
            yield standing.write
        standing = record


def _stands(memory: Memory, over: list[Record], tensor: torch.Tensor) -> bool:
    """Whether the bytes still are as the writes that were seen left them."""
    if memory.exported is not None and whole(tensor) != memory.exported:
        return False
    for record in over:
        later = memory.records[memory.records.index(record) + 1 :]
        is_last = not any(one.region.meets(record.region) for one in later)
        if is_last and sample(tensor, record.region) != record.stamp:
            return False
    return True


def region_of(tensor: torch.Tensor) -> Region:
    """The bytes of its storage that a tensor has."""
    size, numel = tensor.element_size(), tensor.numel()
    low = int(tensor.storage_offset()) * size
    if tensor.is_contiguous():
        return Region(low, low + numel * size, numel * size)
    span = 1 + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)) if numel else 0
    return Region(low, low + span * size, numel * size)


def sample(tensor: torch.Tensor, region: Region) -> bytes:
    """Some bytes of a region of a tensor's storage, evenly spaced; none where they cannot be looked at."""
    length = region.high - region.low
    if length <= 0 or tensor.device.type != "cpu":
        return b""
    start = _address(tensor)
    return bytes(_bytes(length).from_address(start + region.low)[:: length // _SAMPLED | 1]) if start else b""  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _bytes(length: int) -> type[ctypes.Array[ctypes.c_char]]:
    return ctypes.c_char * length


def whole(tensor: torch.Tensor) -> bytes:
    """A digest of all bytes of a tensor's storage; none where they cannot be looked at."""
    start = _address(tensor) if tensor.device.type == "cpu" else 0
    if start == 0:
        return b""
    return blake2b(_bytes(tensor.untyped_storage().nbytes()).from_address(start), digest_size=16).digest()


def _address(tensor: torch.Tensor) -> int:
    """Where a tensor's storage begins; 0 where it has no bytes, as those have not that stand for others."""
    try:
        return tensor.untyped_storage().data_ptr()
    except RuntimeError:
        return 0
