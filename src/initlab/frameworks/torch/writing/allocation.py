"""Memory for a module that has none, in which stands what its construction wrote there by a law without chance."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from typing import cast

import torch
from torch import nn

from initlab.core.errors import InitlabError, OptionError
from initlab.core.generators import global_generators
from initlab.core.restoring import put_back
from initlab.frameworks.reading.provenance import recalled, remember
from initlab.frameworks.torch.reading.held import Held, replace_held, without_memory
from initlab.frameworks.torch.reading.marks import stamps
from initlab.frameworks.torch.reading.parameters import entries
from initlab.frameworks.torch.reading.replay import FOREIGN, SURE, Rebuilt, rebuilt
from initlab.frameworks.torch.writing.construction import TorchConstruction, construction

_OWN_MEANS = ("reset_parameters", "init_weights")  # what modules that start themselves anew call it


@contextmanager
def allocated(model: object, device: object, drawn: Collection[str]) -> Iterator[None]:
    """Within it, and afterwards if nothing is raised, all of a model that was on the ``meta`` device has memory.

    What is shared stays shared. Parameters and buffers whose numbers the watched construction wrote by a law without
    chance hold them; other buffers are rebuilt by their modules' own ``reset_parameters`` or ``init_weights``.

    Args:
        model: The module; what has memory stays where it is.
        device: Where the memory is taken.
        drawn: Native names of the parameters that are drawn within the context.

    Raises:
        OptionError: A device that is not there.
        InitlabError: Parameters that are not drawn, or buffers, of which nothing says what they hold.
    """
    assert isinstance(model, nn.Module)
    place = _device(device)
    bare = without_memory(model)
    if not bare:
        yield
        return
    wrote = recalled(model, partial(stamps, model), "torch")
    fill = _Fill(bare, _ruled(model, drawn))
    restore = _nothing_done
    try:
        with construction() as seen:
            others = _memory_for(bare, place)
            restore = replace_held(model, others)
            open_buffers = [h.name for h in fill.left_beside if not _rebuilt(model, h.name, others[id(h.tensor)], seen)]
        _check(fill.left_parameters, open_buffers)
        fill.into(others)
        yield
    except BaseException:
        put_back(restore)
        raise
    remember(model, tuple(wrote.values()), partial(stamps, model))


def _nothing_done() -> None:
    return


def _ruled(model: nn.Module, drawn: Collection[str]) -> set[int]:
    """The ids of the tensors that are drawn, under whichever of their names, and of what follows them."""
    found = entries(model, may_lack_memory=True)
    first = {entry.first for entry in found if entry.native in drawn}
    ruled = [entry for entry in found if entry.first in first]
    made = [(e, e.computed) for e in ruled if e.computed is not None]
    buffers = {id(b) for _, one in made if one.is_divided for part in one.holders for b in part.buffers(recurse=False)}
    beside = {id(vars(entry.owner).get(one.leaf)) for entry, one in made}  # as the older weight norm keeps it
    return {id(tensor) for entry in ruled for tensor in entry.tensors} | buffers | beside


class _Fill:
    """What of a model without memory is not drawn: the numbers that its construction wrote there, and what is left."""

    def __init__(self, bare: Sequence[Held], drawn: Collection[int]) -> None:
        covered = {_storage(held) for held in bare if id(held.tensor) in drawn}
        self._found: dict[int, Rebuilt | None] = {}
        self._known: list[Held] = []
        self.left_parameters: list[str] = []
        self.left_beside: list[Held] = []
        for held in bare:
            is_parameter = held.kind == "parameter"
            if id(held.tensor) in drawn or not held.tensor.numel() or (not is_parameter and _storage(held) in covered):
                continue
            if _storage(held) not in self._found:
                self._found[_storage(held)] = rebuilt(held.tensor)
            found = self._found[_storage(held)]
            if found is not None and found.doubt(held.tensor) <= (SURE if is_parameter else FOREIGN):
                self._known.append(held)
            elif is_parameter:
                self.left_parameters.append(held.name)
            else:
                self.left_beside.append(held)

    def into(self, others: dict[int, torch.Tensor]) -> None:
        """Write the numbers that are known."""
        with torch.no_grad():
            for held in self._known:
                found = self._found[_storage(held)]
                if found is not None:
                    others[id(held.tensor)].copy_(found.numbers(held.tensor))


def _storage(held: Held) -> int:
    return int(held.tensor.untyped_storage()._cdata)


def _device(device: object) -> torch.device:
    try:
        place = torch.device(device)  # type: ignore[call-overload]
        if place.type != "meta":
            torch.empty(1, device=place)
            return torch.device(place)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        said = str(error).strip().splitlines()
        raise OptionError(f"no memory on {device!r}: {said[0] if said else ''}", where="device") from error
    raise OptionError("the meta device has no memory", where="device", fix="give the one to compute on, e.g. 'cpu'")


def _memory_for(bare: Sequence[Held], place: torch.device) -> dict[int, torch.Tensor]:
    """A tensor with memory for each that has none, by the ``id`` of it; what shared a storage shares one."""
    storages: dict[int, torch.UntypedStorage] = {}
    others: dict[int, torch.Tensor] = {}
    for held in bare:
        old = held.tensor
        key = _storage(held)
        if key not in storages:
            size = old.untyped_storage().nbytes()
            storages[key] = torch.empty(size, dtype=torch.uint8, device=place).untyped_storage()
        if id(old) not in others:
            view = torch.empty(0, dtype=old.dtype, device=place)
            view.set_(storages[key], old.storage_offset(), old.shape, old.stride())
            others[id(old)] = _like(old, view)
    return others


def _like(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """The tensor as one of the same class and the same attributes."""
    if not isinstance(old, nn.Parameter):
        return new
    made = torch.Tensor._make_subclass(type(old), new, old.requires_grad)
    made.__dict__.update(old.__dict__)
    return made


def _rebuilt(model: nn.Module, name: str, tensor: torch.Tensor, seen: TorchConstruction) -> bool:
    """Whether what holds a buffer, or what holds that, starts it anew without chance when it is asked to."""
    path = name.split(".")[:-1]
    for prefix in reversed(["", *accumulate(path, "{}.{}".format)]):
        if _is_written(seen, name, tensor):
            return True
        start = _own_means(model.get_submodule(prefix))
        if start is not None:
            try:
                with torch.random.fork_rng(), global_generators(), torch.no_grad():
                    start()
            except Exception as error:
                said = f"{prefix or 'the model'} does not start anew: {error}"
                raise InitlabError(said, where=name, fix="build it within initlab.record_construction()") from error
    return _is_written(seen, name, tensor)


def _own_means(module: nn.Module) -> Callable[[], object] | None:
    """The method of a module that starts it anew, where it takes no arguments."""
    for method in (getattr(module, name, None) for name in _OWN_MEANS):
        if callable(method):
            given = inspect.signature(method).parameters.values()
            if all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in given):
                return cast("Callable[[], object]", method)
    return None


def _is_written(seen: TorchConstruction, name: str, tensor: torch.Tensor) -> bool:
    found = seen.provenance(name, tensor)
    return found.state == "written" and found.last is not None and found.last.is_random is False


def _check(parameters: Sequence[str], buffers: Sequence[str]) -> None:
    names = dict.fromkeys([*parameters, *(f"{name} (a buffer)" for name in buffers)])
    if names:
        told = "nothing draws these, and nothing says what they hold" if parameters else "nothing says what these hold"
        fix = "build the model within initlab.record_construction()"
        raise InitlabError(
            f"{told}: {', '.join(names)}", fix=f"{fix}, or name a scheme for them" if parameters else fix
        )
