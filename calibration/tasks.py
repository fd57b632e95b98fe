"""What the nets are trained on: data, a loss, and the loss of a constant guess."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import architectures
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import initlab

Loss = Callable[[object, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """Data and what is asked of them.

    Attributes:
        x: Inputs, shape (samples, ...).
        y: Targets, shape (samples, ...).
        loss: Of a model's outputs and the targets: a scalar.
        guess: The loss of the best constant answer.
        best: The least loss there can be.
        right: The share of right answers, where the task has classes; a model is then scored by it, else by the loss.
        chance: The share that a constant answer gets right.
        targets: What a probe is given beside the inputs: targets, or None where the loss is the model's own affair.
    """

    x: Tensor
    y: Tensor
    loss: Loss
    guess: float
    right: Callable[[object, Tensor], Tensor] | None = None
    chance: float = 0.0

    def score(self, outputs: object, y: Tensor) -> Tensor:
        """How good the outputs are: the share of right answers, or minus the loss."""
        return self.right(outputs, y) if self.right is not None else -self.loss(outputs, y)

    @property
    def constant(self) -> float:
        """The score of the constant guess."""
        return self.chance if self.right is not None else -self.guess


def cross_entropy(outputs: object, y: Tensor) -> Tensor:
    """Of logits."""
    assert isinstance(outputs, Tensor)
    return functional.cross_entropy(outputs, y)


def share_right(outputs: object, y: Tensor) -> Tensor:
    """How often the largest logit is that of the class."""
    assert isinstance(outputs, Tensor)
    return (outputs.argmax(-1) == y).float().mean()


def squared_error(outputs: object, y: Tensor) -> Tensor:
    """The mean over samples and units."""
    assert isinstance(outputs, Tensor)
    return functional.mse_loss(outputs, y)


def binary(outputs: object, y: Tensor) -> Tensor:
    """Cross entropy of one logit."""
    assert isinstance(outputs, Tensor)
    return functional.binary_cross_entropy_with_logits(outputs, y)


def binary_right(outputs: object, y: Tensor) -> Tensor:
    """How often the sign of the logit is right."""
    assert isinstance(outputs, Tensor)
    return ((outputs > 0) == (y > 0.5)).float().mean()


def evidence_bound(outputs: object, y: Tensor) -> Tensor:
    """Squared error of the pixels, and a hundredth of the code's divergence from N(0, 1)."""
    assert isinstance(outputs, tuple)
    pixels, mean, log_variance = outputs
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
    return functional.mse_loss(pixels, y) + 0.01 * divergence


def moments(outputs: object, y: Tensor) -> Tensor:
    """Energy distance between generated and real pixels: 2 E|x - y| - E|x - x'| - E|y - y'| (Szekely 2003)."""
    assert isinstance(outputs, Tensor)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        squares = a.square().sum(-1, keepdim=True) + b.square().sum(-1) - 2.0 * a @ b.T
        return (squares.clamp(min=0.0) + 1e-4).sqrt().mean()

    return 2.0 * distance(outputs, y) - distance(outputs, outputs) - distance(y, y)


@cache
def digits() -> tuple[Tensor, Tensor]:
    """All 1797 digits, scaled to mean 0 and variance 1, shape (1797, 64), and their classes."""
    task = initlab.load_task("digits")
    x = torch.tensor(np.concatenate([task.x_train, task.x_test]).reshape(-1, 64), dtype=torch.float32)
    y = torch.tensor(np.concatenate([task.y_train, task.y_test]), dtype=torch.int64)
    return (x - x.mean()) / x.std(), y


def _classes(shape: tuple[int, ...]) -> Task:
    x, y = digits()
    return Task(x.reshape(len(x), *shape), y, cross_entropy, math.log(10), share_right, 0.1)


def _patches() -> Task:
    x, y = digits()
    tokens = x.reshape(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, architectures.TOKENS, architectures.PATCH)
    return Task(tokens, y, cross_entropy, math.log(10), share_right, 0.1)


def _teacher() -> Task:
    """Eight classes by a random network of two tanh layers over 32 normal inputs."""
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(4096, architectures.TEACHER_INPUTS, generator=generator)
    first = torch.randn(architectures.TEACHER_INPUTS, 24, generator=generator) * 1.5 / architectures.TEACHER_INPUTS**0.5
    logits = torch.tanh(x @ first) @ torch.randn(24, 8, generator=generator)
    y = (logits - logits.mean(0)).argmax(1)
    share = float(torch.bincount(y).max()) / len(y)
    return Task(x, y, cross_entropy, math.log(8), share_right, share)


def _pixels(loss: Loss) -> Task:
    x, _ = digits()
    return Task(x, x, loss, float((x - x.mean(0)).square().mean()))


def _denoising() -> Task:
    x, _ = digits()
    clean = x.reshape(-1, 1, 8, 8)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(12))
    return Task(clean + 0.5 * noise, clean, squared_error, float((clean - clean.mean()).square().mean()))


def _generated() -> Task:
    x, _ = digits()
    noise = torch.randn(len(x), 16, generator=torch.Generator().manual_seed(13))
    point = x.mean(0, keepdim=True).expand(64, -1)
    return Task(noise, x, moments, float(moments(point, x[:64])))


def _real_or_not() -> Task:
    """Digits, and digits whose every pixel comes from another one."""
    x, _ = digits()
    generator = torch.Generator().manual_seed(14)
    mixed = torch.stack([column[torch.randperm(len(x), generator=generator)] for column in x.T], 1)
    order = torch.randperm(2 * len(x), generator=generator)
    both = torch.cat([x, mixed])[order]
    y = torch.cat([torch.ones(len(x), 1), torch.zeros(len(x), 1)])[order]
    return Task(both, y, binary, math.log(2), binary_right, 0.5)


def _pairs() -> Task:
    """Pairs of digits, half of them of one class."""
    x, y = digits()
    generator = torch.Generator().manual_seed(15)
    same = torch.arange(len(x)) % 2 == 0
    other = torch.empty(len(x), dtype=torch.int64)
    for i in range(len(x)):
        candidates = torch.nonzero((y == y[i]) == same[i]).flatten()
        other[i] = candidates[torch.randint(len(candidates), (), generator=generator)]
    return Task(torch.stack([x, x[other]], 1), same.float().unsqueeze(1), binary, math.log(2), binary_right, 0.5)


def _picture() -> Task:
    """A picture of 32 x 32 made of waves, by its coordinates."""
    axis = torch.linspace(-1, 1, 32)
    place = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    value = torch.sin(9 * place[:, :1]) * torch.cos(14 * place[:, 1:]) + 0.5 * torch.sin(
        23 * place.sum(1, keepdim=True)
    )
    value = (value - value.mean()) / value.std()
    return Task(place, value, squared_error, float(value.square().mean()))


TASKS: dict[str, Callable[[], Task]] = {
    "digits": lambda: _classes((64,)),
    "images": lambda: _classes((1, 8, 8)),
    "sequence": lambda: _classes((8, 8)),
    "tokens": _patches,
    "teacher": _teacher,
    "pixels": lambda: _pixels(squared_error),
    "code": lambda: _pixels(evidence_bound),
    "denoising": _denoising,
    "moments": _generated,
    "real or not": _real_or_not,
    "pairs": _pairs,
    "picture": _picture,
}


@cache
def load(name: str) -> Task:
    """A task by its name."""
    return TASKS[name]()
