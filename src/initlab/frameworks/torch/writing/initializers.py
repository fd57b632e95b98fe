"""PyTorch's own form of a scheme: one tensor, filled in place, as by the functions of ``torch.nn.init``."""

from __future__ import annotations

from typing import SupportsIndex

import torch

from initlab.core.adapter import WeightSource
from initlab.core.calls import OptionValue
from initlab.core.draws.seeding import seed_of_draw
from initlab.core.draws.streams import check_seed
from initlab.core.errors import InitlabError, OptionError, ShapeError
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ParamSpec, Role
from initlab.core.laws.complex import complex_law
from initlab.frameworks.single import role_by_rank
from initlab.frameworks.torch.reading.layers import bare_layout
from initlab.frameworks.torch.writing import memory
from initlab.frameworks.torch.writing.state import random_bits
from initlab.schemes import scheme as named_scheme


def init_(
    tensor: torch.Tensor,
    scheme: str = "he_normal",
    *,
    seed: SupportsIndex | None = None,
    path: str = "weight",
    role: Role | None = None,
    groups: int = 1,
    stride: tuple[int, ...] = (),
    dialect: Dialect | None = None,
    **options: OptionValue,
) -> torch.Tensor:
    """The same tensor, filled in place with a draw from the scheme's law; dtype, device and strides stay.

    The numbers are those that ``initlab.draw`` gives for the law, the seed and the path in the layout
    ``(out, in / groups, *kernel)``, which is that of PyTorch but for transposed convolutions; narrow floats are the
    float32 numbers, cast. With a seed, PyTorch's generators are left as they are.

    Args:
        tensor: In PyTorch's layout: ``(out, in / groups, *kernel)``; ``(in, out / groups, *kernel)`` where the role
            is ``conv_transpose``; ``(rows, width)`` of an embedding.
        scheme: A scheme's name or call, e.g. ``"normal(std=0.02)"``.
        seed: A whole number of 0 or more; left out, one that is made of one draw from torch's default generator.
        path: Names the stream: two tensors of one shape, seed and path are equal.
        role: What the tensor does; left out, ``bias`` for up to one axis, ``dense`` for two, ``conv`` for more.
        groups: Groups of a convolution.
        stride: Stride of a transposed convolution, a number per kernel axis; empty means 1.
        dialect: The framework whose truncation, fans and defaults are taken.
        **options: The scheme's options.

    Returns:
        The tensor.

    Raises:
        UnknownNameError: No scheme has the name.
        OptionError: An option, seed or role that cannot be, or numbers that are not drawn.
        ShapeError: The scheme cannot take the shape, or the groups or the stride do not fit it.
        InitlabError: A tensor without memory of its own.

    Example:
        >>> weight = init_(torch.empty(64, 8), "he_uniform", seed=0)      # sqrt(6 / 8) = 0.866
        >>> bool(weight.abs().max() < 0.8661), bool(weight.equal(init_(torch.empty(64, 8), "he_uniform", seed=0)))
        (True, True)
    """
    _check(tensor, path)
    param = _spec(tensor, path=path, role=role, groups=groups, stride=stride)
    law = named_scheme(scheme, dialect=dialect, **options)(param)
    law = complex_law(law) if tensor.is_complex() else law
    number = seed_of_draw(random_bits()) if seed is None else check_seed(seed)
    memory.write(tensor, bare_layout(param.role, tuple(tensor.shape), groups), WeightSource(law, param, number))
    return tensor


def _spec(tensor: torch.Tensor, *, path: str, role: Role | None, groups: int, stride: tuple[int, ...]) -> ParamSpec:
    native = tuple(tensor.shape)
    known = role_by_rank(len(native)) if role is None else role
    if known != "conv_transpose":
        return ParamSpec(path=path, shape=native, role=known, groups=groups, stride=stride, native=path)
    if len(native) < 3 or groups < 1 or native[0] % groups:
        raise ShapeError(
            f"shape {native} is no transposed convolution of {groups} groups",
            where=path,
            fix="it has (in, out / groups, *kernel), the groups dividing the first",
        )
    shape = bare_layout(known, native, groups).shape
    return ParamSpec(path=path, shape=shape, role=known, groups=groups, stride=stride, native=path)


def _check(tensor: object, path: str) -> None:
    if not isinstance(tensor, torch.Tensor):
        fix = "initlab.initialize(model)" if isinstance(tensor, torch.nn.Module) else "give a torch.Tensor"
        raise OptionError(f"{type(tensor).__name__} is not a tensor", where=path, fix=fix)
    if torch.nn.parameter.is_lazy(tensor):
        raise InitlabError("the tensor of a lazy module has no shape yet", where=path, fix="call the model once")
    if tensor.is_meta:
        raise InitlabError(
            "the tensor is on the meta device and holds no numbers",
            where=path,
            fix="torch.empty_like(tensor, device='cpu') has memory",
        )
    if not (tensor.is_floating_point() or tensor.is_complex()):
        kind = str(tensor.dtype).removeprefix("torch.")
        raise OptionError(f"{kind} numbers are not drawn", where=path, fix="give a tensor of floats")
    if tensor.layout is not torch.strided or any(
        step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True)
    ):
        raise InitlabError(
            "the tensor is sparse, or an expanded view whose entries share memory", where=path, fix="give a dense one"
        )
