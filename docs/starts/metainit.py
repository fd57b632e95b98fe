"""MetaInit and GradInit in a page each, after the authors' code; they change the size of each weight, by gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

EPSILON = 1e-5
STEPS = 60


def gradient_quotient(loss: Tensor, params: Sequence[Tensor]) -> Tensor:
    """How much a gradient step changes the gradient: Dauphin & Schoenholz 2019, equation 2, as in their appendix."""
    gradients = torch.autograd.grad(loss, params, create_graph=True)
    squares = torch.stack([(g**2).sum() / 2 for g in gradients]).sum()
    products = torch.autograd.grad(squares, params, create_graph=True)
    parts = [
        ((g - p) / (g + EPSILON * (2 * (g >= 0).float() - 1).detach()) - 1).abs().sum()
        for g, p in zip(gradients, products, strict=True)
    ]
    return torch.stack(parts).sum() / sum(p.numel() for p in params)


def metainit(model: nn.Module, batch: Callable[[], tuple[Tensor, Tensor]], *, rate: float = 0.1) -> None:
    """The norm of each weight moves against the sign of the quotient's gradient, with momentum 0.9; data are noise.

    Dauphin & Schoenholz 2019, "MetaInit", NeurIPS, appendix A.
    """
    params = list(model.parameters())
    weights = [p for p in params if p.dim() >= 2]
    memory = [0.0] * len(weights)
    for _ in range(STEPS):
        x, y = batch()
        loss = functional.cross_entropy(model(torch.randn_like(x)), y[torch.randperm(len(y))])
        found = torch.autograd.grad(gradient_quotient(loss, params), weights)
        with torch.no_grad():
            for i, (w, g) in enumerate(zip(weights, found, strict=True)):
                norm = w.norm().item()
                memory[i] = 0.9 * memory[i] - rate * torch.sign((w * g).sum()).item()
                w.mul_((norm + memory[i]) / norm)


def gradinit(model: nn.Module, batch: Callable[[], tuple[Tensor, Tensor]], *, rate: float = 1e-2) -> None:
    """A factor for each parameter, so that one step of SGD at rate 0.1 lowers the loss most, at gradients of norm 1.

    Zhu et al. 2021, "GradInit", arXiv:2102.08098, algorithm 1 for SGD: while the gradient is longer than gamma = 1 its
    length is lowered; else the loss on a second batch, after a step on the first, that shares half of its samples.
    """
    held = {name: p.detach().clone() for name, p in model.named_parameters()}
    factors = {name: torch.ones((), requires_grad=True) for name in held}
    rule = torch.optim.Adam(factors.values(), lr=rate)
    for _ in range(STEPS):
        x, y = batch()
        half, more = len(x) // 2, batch()
        other = torch.cat([x[:half], more[0][half:]]), torch.cat([y[:half], more[1][half:]])
        scaled = {name: factors[name] * held[name] for name in held}
        loss = functional.cross_entropy(functional_call(model, scaled, (x,)), y)
        gradients = torch.autograd.grad(loss, list(scaled.values()), create_graph=True)
        length = torch.sqrt(torch.stack([(g**2).sum() for g in gradients]).sum())
        goal = length
        if length.item() <= 1.0:
            moved = {n: p - 0.1 / length * g for (n, p), g in zip(scaled.items(), gradients, strict=True)}
            goal = functional.cross_entropy(functional_call(model, moved, (other[0],)), other[1])
        rule.zero_grad()
        found = torch.autograd.grad(goal, list(factors.values()), allow_unused=True)
        for factor, g in zip(factors.values(), found, strict=True):
            factor.grad = torch.zeros(()) if g is None else torch.nan_to_num(g)
        rule.step()
        with torch.no_grad():
            for factor in factors.values():
                factor.clamp_(min=0.01)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(factors[name] * held[name])
