"""The calibration set: small networks, each with a start, of which training says whether they are healthy.

A *family* is an architecture with its activation, on one task. Every family has a reference: a member of it, of modest
depth, at a start that is known to train it well. Weights are drawn by PyTorch alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import architectures
import torch
from torch import nn
from torch.nn import init

ACTIVATIONS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "relu": (nn.ReLU, 1.4142),
    "leaky relu": (lambda: nn.LeakyReLU(0.2), 1.3868),
    "elu": (nn.ELU, 1.2448),
    "selu": (nn.SELU, 1.0),
    "gelu": (nn.GELU, 1.5335),
    "silu": (nn.SiLU, 1.6765),
    "mish": (nn.Mish, 1.5005),
    "softplus": (nn.Softplus, 1.0),
    "tanh": (nn.Tanh, 1.0),
    "softsign": (nn.Softsign, 1.2),
    "hardtanh": (nn.Hardtanh, 1.05),
    "sigmoid": (nn.Sigmoid, 3.6),
}
"""Each with a gain that keeps E[z^2] near 1, or keeps a small difference (bounded ones)."""


@dataclass(frozen=True)
class Net:
    """One network at one start.

    Attributes:
        kind: The architecture, a name in :data:`KINDS`.
        activation: Behind its hidden layers.
        depth: Its hidden layers, or blocks.
        width: Units of a layer, channels, or the size of a token.
        start: How its weights are drawn, see :func:`draw`.
        task: What it is trained on, a name in :data:`tasks.TASKS`.
    """

    kind: str
    activation: str
    depth: int
    width: int
    start: str
    task: str

    @property
    def family(self) -> str:
        """What shares a reference, and what the set is split by."""
        return f"{self.activation} {self.kind}, {self.task}"

    @property
    def name(self) -> str:
        """A name that no other net has."""
        return f"{self.activation} {self.kind} {self.depth} x {self.width}, {self.start}, {self.task}"


KINDS: dict[str, tuple[str, int, str]] = {
    # architecture: task, width, start of the reference
    "mlp": ("digits", 64, "critical"),
    "batch norm": ("digits", 64, "he"),
    "layer norm": ("digits", 64, "he"),
    "rms norm": ("digits", 64, "he"),
    "residual": ("digits", 64, "small branches"),
    "pre-norm residual": ("digits", 64, "he"),
    "highway": ("digits", 32, "torch"),
    "cnn": ("images", 8, "critical"),
    "cnn, batch norm": ("images", 8, "he"),
    "u-net": ("denoising", 8, "critical"),
    "pre-norm transformer": ("tokens", 32, "std 0.02"),
    "post-norm transformer": ("tokens", 32, "glorot"),
    "mixer": ("tokens", 24, "torch"),
    "rnn": ("sequence", 32, "torch"),
    "gru": ("sequence", 32, "torch"),
    "lstm": ("sequence", 32, "torch"),
    "autoencoder": ("pixels", 64, "critical"),
    "vae": ("code", 64, "critical"),
    "generator": ("moments", 64, "critical"),
    "discriminator": ("real or not", 64, "critical"),
    "siamese": ("pairs", 64, "critical"),
    "siren": ("picture", 64, "siren"),
}


def nets() -> Iterator[Net]:
    """All of the set."""
    for activation in ACTIVATIONS:
        mlp = Net("mlp", activation, 0, 64, "", "digits")
        yield from _grid(mlp, (2, 4, 6, 8, 12, 20, 60), ("torch",))
        yield from _grid(mlp, (10, 30), ("glorot",))
        yield from _grid(mlp, (20, 60), ("critical",))
        yield from _grid(mlp, (3, 8), ("std 0.01", "std 1"))
        yield from _grid(replace(mlp, width=16), (4, 12), ("torch",))
        yield from _grid(replace(mlp, width=256), (4,), ("torch",))
        yield from _grid(replace(mlp, task="teacher"), (3, 10), ("torch", "critical"))
    yield from _grid(Net("mlp", "relu", 0, 512, "", "digits"), (3,), ("torch", "he", "std 1"))
    for kind, activation in itertools.product(("batch norm", "layer norm", "rms norm"), ("relu", "tanh", "sigmoid")):
        yield from _grid(Net(kind, activation, 0, 64, "", "digits"), (6, 20, 50), ("torch", "he", "std 1"))
    for activation in ("relu", "gelu"):
        for kind in ("residual", "pre-norm residual"):
            starts = ("torch", "he", "small branches", "std 1")
            yield from _grid(Net(kind, activation, 0, 64, "", "digits"), (5, 20, 50), starts)
        yield from _grid(Net("cnn", activation, 0, 8, "", "images"), (3, 6, 12, 24), ("torch", "critical", "std 0.01"))
        yield from _grid(Net("cnn, batch norm", activation, 0, 8, "", "images"), (4, 12, 24), ("torch", "std 1"))
        yield from _grid(Net("u-net", activation, 0, 8, "", "denoising"), (1, 3, 6), ("torch", "critical", "std 0.01"))
    for bias in ("gates -2", "torch", "gates 2"):
        yield from _grid(Net("highway", "tanh", 0, 32, "", "digits"), (4, 12, 30), (bias,))
    for kind in ("pre-norm transformer", "post-norm transformer"):
        yield from _grid(Net(kind, "gelu", 0, 32, "", "tokens"), (1, 3, 8), ("torch", "std 0.02", "glorot", "std 1"))
    yield from _grid(Net("mixer", "gelu", 0, 24, "", "tokens"), (2, 6, 12), ("torch", "std 0.02", "std 1"))
    for kind in ("rnn", "gru", "lstm"):
        yield from _grid(Net(kind, "tanh", 0, 32, "", "sequence"), (1, 2), ("torch", "std 0.01", "std 1"))
    for kind, task in (("autoencoder", "pixels"), ("vae", "code"), ("generator", "moments")):
        for activation in ("relu", "tanh"):
            yield from _grid(Net(kind, activation, 0, 64, "", task), (2, 4, 8), ("torch", "critical", "std 0.01"))
    for kind, task in (("discriminator", "real or not"), ("siamese", "pairs")):
        for activation in ("leaky relu", "tanh"):
            yield from _grid(Net(kind, activation, 0, 64, "", task), (2, 5, 12), ("torch", "critical", "std 1"))
    yield from _grid(Net("siren", "sine", 0, 64, "", "picture"), (2, 4, 8), ("siren", "torch", "he"))
    for start in ("zeros", "constant", "biases -3"):
        for activation in ("relu", "tanh", "gelu"):
            yield Net("mlp", activation, 3, 64, start, "digits")


def _grid(net: Net, depths: tuple[int, ...], starts: tuple[str, ...]) -> Iterator[Net]:
    for depth, start in itertools.product(depths, starts):
        yield replace(net, depth=depth, start=start)


def reference(net: Net) -> Net:
    """The member of the family whose training the others are held to: two or three layers at a good start."""
    _task, _width, start = KINDS[net.kind]
    width = KINDS[net.kind][1]
    depth = {"rnn": 1, "gru": 1, "lstm": 1, "pre-norm transformer": 2, "post-norm transformer": 1, "u-net": 2}
    return replace(net, depth=depth.get(net.kind, 3), width=width, start=start)


def build(net: Net, *, seed: int) -> nn.Module:
    """The network with its weights drawn; torch's generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        activation = ACTIVATIONS[net.activation][0] if net.activation in ACTIVATIONS else nn.Identity
        make = architectures.teacher_mlp if net.task == "teacher" else architectures.BUILDERS[net.kind]
        model = make(net.depth, net.width, activation)
        draw(model, net)
    return model


def draw(model: nn.Module, net: Net) -> None:
    """Write the start into a model.

    ``torch`` leaves the framework's own. ``critical`` is the activation's gain over the root of the fan, ``he`` the
    ReLU's, ``glorot`` the mean of both fans, ``std s`` a normal law of that standard deviation for every matrix, all
    with zero biases; a last layer, where there is one named ``head``, has gain 1 but for ``std``. ``small branches``
    scales the last layer of a residual branch by the root of the depth.
    """
    if net.start == "torch":
        return
    if net.start in ("zeros", "constant"):
        for parameter in model.parameters():
            init.constant_(parameter, 0.0 if net.start == "zeros" else 0.05)
        return
    if net.start == "siren":
        architectures.siren_start(model)
        return
    if net.start.startswith("gates"):
        for name, parameter in model.named_parameters():
            if name.endswith("gate.bias"):
                init.constant_(parameter, float(net.start.split()[1]))
        return
    gain = {"he": math.sqrt(2.0), "small branches": math.sqrt(2.0), "biases -3": math.sqrt(2.0)}.get(net.start)
    if gain is None:
        gain = ACTIVATIONS.get(net.activation, (nn.Identity, 1.0))[1]
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            if name.split(".")[-1].startswith("bias") or ".bias_" in name:
                hidden = net.start == "biases -3" and not name.startswith("head")
                init.constant_(parameter, -3.0 if hidden else 0.0)
            continue
        if net.start.startswith("std"):
            init.normal_(parameter, std=float(net.start.split()[1]))
        elif net.start == "glorot":
            init.xavier_normal_(parameter)
        else:
            head = name.startswith("head")
            fan = init._calculate_correct_fan(parameter, "fan_in")
            scale = 1.0 if head else gain
            if net.start == "small branches" and ".branch." in f".{name}":
                scale /= math.sqrt(net.depth)
            init.normal_(parameter, std=scale / math.sqrt(fan))
