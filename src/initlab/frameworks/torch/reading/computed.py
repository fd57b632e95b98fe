"""Weights that a module computes from its parameters: by ``nn.utils.parametrize``, or by a hook before each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from initlab.core.laws.singular import largest_singular


@dataclass(frozen=True, eq=False)
class Computed:
    """A weight that is no parameter.

    Attributes:
        leaf: Its name in the module that uses it.
        kind: What computes it.
        parts: The parameters that it is computed from, by their names in that module.
        home: What has the function that computes it.
        method: The name of that function.
        given: What that function is given in evaluation mode.
        set_to: Puts numbers into the parts from which the weight is to be computed.
        holders: Modules whose buffers that may change.
        is_divided: Whether it is a part, its only one, over that part's largest singular value.
    """

    leaf: str
    kind: str
    parts: Mapping[str, nn.Parameter]
    home: Any
    method: str
    given: tuple[Any, ...]
    set_to: Callable[[torch.Tensor], None]
    holders: tuple[nn.Module, ...]
    is_divided: bool = False

    def value(self) -> torch.Tensor:
        """The weight as it is in evaluation mode."""
        modes = [(module, module.training) for module in self.holders]
        try:
            for module, _ in modes:
                module.__dict__["training"] = False
            with torch.no_grad():
                return cast(torch.Tensor, getattr(self.home, self.method)(*self.given))
        finally:
            for module, mode in modes:
                module.__dict__["training"] = mode

    def drawn(self) -> torch.Tensor:
        """What is drawn: the weight, or what is divided by its own size to make it."""
        return self.main if self.is_divided else self.value()

    @property
    def main(self) -> nn.Parameter:
        """The last part with most numbers, which has the weight's shape where one has."""
        return max(reversed(list(self.parts.values())), key=torch.Tensor.numel)

    @contextmanager
    def restored(self, *, is_always: bool = True) -> Iterator[None]:
        """After it, parts and buffers hold what they held before; where that is not always so, after an error."""
        held: list[tuple[torch.Tensor, torch.Tensor]] = [(p, p.detach().clone()) for p in self.parts.values()]
        tables: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (one._buffers, dict(one._buffers)) for one in self.holders
        ]
        tables += [(one.__dict__, dict(one.__dict__)) for one in self.holders]
        held += [(b, b.detach().clone()) for one in self.holders for b in one._buffers.values() if b is not None]
        is_done = False
        try:
            yield
            is_done = not is_always
        finally:
            if not is_done:
                for table, before in tables:
                    table.clear()
                    table.update(before)
                with torch.no_grad():
                    for tensor, numbers in held:
                        tensor.copy_(numbers)


def computed_in(module: nn.Module) -> Iterator[Computed]:
    """The weights that a module computes from parameters of its own."""
    lists = module._modules.get("parametrizations")
    for name, one in {} if lists is None else lists._modules.items():
        if isinstance(one, ParametrizationList) and any(p is not None for p in one._parameters.values()):
            yield _parametrised(name, one)
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm | SpectralNorm):
            yield _hooked(module, hook)


def _follow(u: torch.Tensor, v: torch.Tensor, matrix: torch.Tensor) -> None:
    """Set the vectors by which a spectral norm follows a weight to those of its largest singular value."""
    found = largest_singular(matrix.detach().to("cpu", torch.float64).numpy())
    u.copy_(torch.from_numpy(found.left))
    v.copy_(torch.from_numpy(found.right))


def _parametrised(name: str, one: ParametrizationList) -> Computed:
    parts = {f"parametrizations.{name}.{leaf}": p for leaf, p in one._parameters.items() if p is not None}
    kinds = [type(child).__name__.lstrip("_") for child in one.children()]
    is_divided = len(kinds) == 1 and isinstance(one[0], parametrizations._SpectralNorm)

    def set_to(value: torch.Tensor) -> None:
        with torch.no_grad():
            one.right_inverse(value)
            if is_divided and value.dim() > 1:
                norm = cast(Any, one[0])
                _follow(norm._u, norm._v, norm._reshape_weight_to_matrix(value))

    holders = tuple(one.modules())
    return Computed(name, " and ".join(kinds), parts, one, "forward", (), set_to, holders, is_divided=is_divided)


def _hooked(module: nn.Module, hook: WeightNorm | SpectralNorm) -> Computed:
    name, is_divided = hook.name, isinstance(hook, SpectralNorm)
    ends = ("_orig",) if is_divided else ("_g", "_v")
    given = (module, False) if is_divided else (module,)
    parts = {name + end: cast(nn.Parameter, module._parameters[name + end]) for end in ends}

    def set_to(value: torch.Tensor) -> None:
        with torch.no_grad():
            parts[name + ends[-1]].copy_(value)
            if isinstance(hook, SpectralNorm):
                u, v = (cast(torch.Tensor, module._buffers[f"{name}_{end}"]) for end in "uv")
                _follow(u, v, hook.reshape_weight_to_matrix(value))
            else:
                parts[f"{name}_g"].copy_(torch.norm_except_dim(value, 2, hook.dim))
            setattr(module, name, hook.compute_weight(*given))

    return Computed(
        name, type(hook).__name__, parts, hook, "compute_weight", given, set_to, (module,), is_divided=is_divided
    )
