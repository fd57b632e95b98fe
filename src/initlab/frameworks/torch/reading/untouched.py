"""A module and torch's generators, left by a pass as they were."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from initlab.core.errors import InitlabError
from initlab.core.generators import global_generators, own_generators


def check_unscripted(model: nn.Module) -> None:
    """Nothing, where every part of a model is Python's own code, in which calls are seen.

    Raises:
        InitlabError: A part was scripted or traced.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            what = "a scripted module runs outside of Python, where no call is seen"
            raise InitlabError(what, where=name or "the model", fix="give the module that was scripted")


@contextmanager
def preserved(model: nn.Module, *, training: bool = False, but: Collection[nn.Module] = ()) -> Iterator[None]:
    """Inside, the model is in evaluation mode without gradients; afterwards all is as it was before.

    Restored are each module's attributes (its mode among them), its buffers as objects, numbers and versions, and the
    states of the generators of torch, NumPy and Python, of those that a module holds as well. Warnings of the model
    are not shown.

    Args:
        model: The model.
        training: Have it in training mode with gradients instead; a model that is in that mode already keeps the
            modes of its parts.
        but: Parts that stay as the pass leaves them, in the mode of before it.
    """
    check_unscripted(model)
    modules = [module for module in model.modules() if module not in but]
    modes = [(module, module.training) for module in but]
    tables = ("_parameters", "_buffers", "_modules")
    attributes = [dict(module.__dict__) for module in modules]
    members = [{table: dict(module.__dict__[table]) for table in tables} for module in modules]
    kept = (one for one in model.buffers() if not (one.is_meta or is_lazy(one)))
    buffers = [(one, one.detach().clone(), _version(one)) for one in kept]
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with (
            torch.random.fork_rng(devices),
            global_generators(),
            own_generators((value for held in attributes for value in held.values()), torch.Generator),
            torch.set_grad_enabled(training),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            as_it_is = training and model.training
            for module in (*modules, *but):
                module.__dict__["training"] = module.training if as_it_is else training
            yield
    finally:
        for module, mode in modes:
            module.__dict__["training"] = mode
        for module, before, own in zip(modules, attributes, members, strict=True):
            module.__dict__.clear()
            module.__dict__.update(before)
            for table in tables:
                before[table].clear()
                before[table].update(own[table])
        with torch.no_grad():
            for buffer, value, version in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
                    if version is not None:
                        torch._C._autograd._unsafe_set_version_counter((buffer,), (version,))


def eager() -> AbstractContextManager[object]:
    """Inside, compiled parts run as they were written, so that their calls are seen."""
    if "torch._dynamo" not in sys.modules:  # nothing was compiled, and importing it takes seconds
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def _version(tensor: torch.Tensor) -> int | None:
    """How often a tensor was written, as a waiting backward pass counts it; None of one that was made in inference."""
    return None if tensor.is_inference() else tensor._version
