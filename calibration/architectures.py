"""The architectures of the calibration set, as people write them in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional, init

Activation = Callable[[], nn.Module]

CLASSES, PIXELS, SIDE = 10, 64, 8
TOKENS, PATCH = 16, 4
TEACHER_INPUTS = 32


class Skip(nn.Module):
    """``x + branch(x)``."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """The stream with what the branch adds."""
        out: Tensor = x + self.branch(x)
        return out


class Classifier(nn.Module):
    """Hidden layers and a ``head``."""

    def __init__(self, body: nn.Module, width: int, outputs: int = CLASSES) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, shape (batch, outputs)."""
        out: Tensor = self.head(self.body(x))
        return out


def layers(
    depth: int, width: int, activation: Activation, *, inputs: int = PIXELS, norm: Activation | None = None
) -> nn.Sequential:
    """Dense layers, each with an activation and before that a norm."""
    parts: list[nn.Module] = []
    for i in range(depth):
        parts += [nn.Linear(width if i else inputs, width), *([norm()] if norm else []), activation()]
    return nn.Sequential(*parts)


def mlp(depth: int, width: int, activation: Activation) -> nn.Module:
    """Dense layers over the pixels."""
    return Classifier(layers(depth, width, activation), width)


def teacher_mlp(depth: int, width: int, activation: Activation) -> nn.Module:
    """Dense layers over the teacher's inputs."""
    return Classifier(layers(depth, width, activation, inputs=TEACHER_INPUTS), width)


def batch_norm(depth: int, width: int, activation: Activation) -> nn.Module:
    """Dense layers with batch norm before each activation."""
    return Classifier(layers(depth, width, activation, norm=lambda: nn.BatchNorm1d(width)), width)


def layer_norm(depth: int, width: int, activation: Activation) -> nn.Module:
    """Dense layers with layer norm before each activation."""
    return Classifier(layers(depth, width, activation, norm=lambda: nn.LayerNorm(width)), width)


def rms_norm(depth: int, width: int, activation: Activation) -> nn.Module:
    """Dense layers with RMS norm before each activation."""
    return Classifier(layers(depth, width, activation, norm=lambda: nn.RMSNorm(width)), width)


def residual(depth: int, width: int, activation: Activation) -> nn.Module:
    """A dense layer, then blocks ``x + W2 f(W1 x)`` without norms."""
    blocks = [Skip(nn.Sequential(nn.Linear(width, width), activation(), nn.Linear(width, width))) for _ in range(depth)]
    return Classifier(nn.Sequential(nn.Linear(PIXELS, width), *blocks), width)


def pre_norm_residual(depth: int, width: int, activation: Activation) -> nn.Module:
    """A dense layer, then blocks ``x + W2 f(W1 norm(x))``, and a last norm."""
    blocks = [
        Skip(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), activation(), nn.Linear(width, width)))
        for _ in range(depth)
    ]
    return Classifier(nn.Sequential(nn.Linear(PIXELS, width), *blocks, nn.LayerNorm(width)), width)


class Highway(nn.Module):
    """``t h + (1 - t) x`` with a gate t."""

    def __init__(self, width: int, activation: Activation) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """A mixture of the layer's answer and its input."""
        gate = torch.sigmoid(self.gate(x))
        out: Tensor = gate * self.activation(self.layer(x)) + (1 - gate) * x
        return out


def highway(depth: int, width: int, activation: Activation) -> nn.Module:
    """A dense layer, then highway layers."""
    return Classifier(
        nn.Sequential(nn.Linear(PIXELS, width), *(Highway(width, activation) for _ in range(depth))), width
    )


def cnn(depth: int, width: int, activation: Activation) -> nn.Module:
    """Convolutions of 3 x 3 over the 8 x 8 images, and a mean over places."""
    return _convolutions(depth, width, activation, norm=None)


def cnn_batch_norm(depth: int, width: int, activation: Activation) -> nn.Module:
    """The same with batch norm before each activation."""
    return _convolutions(depth, width, activation, norm=lambda: nn.BatchNorm2d(width))


def _convolutions(depth: int, width: int, activation: Activation, norm: Activation | None) -> nn.Module:
    parts: list[nn.Module] = []
    for i in range(depth):
        parts += [nn.Conv2d(width if i else 1, width, 3, padding=1), *([norm()] if norm else []), activation()]
        if i == 1:
            parts.append(nn.MaxPool2d(2))
    return Classifier(nn.Sequential(*parts, nn.Flatten()), width * (16 if depth > 1 else PIXELS))


class UNet(nn.Module):
    """Two levels with ``depth`` convolutions each on the way down and up, and a bridge that is concatenated."""

    def __init__(self, depth: int, width: int, activation: Activation) -> None:
        super().__init__()
        self.down = _stage(depth, 1, width, activation)
        self.middle = _stage(depth, width, 2 * width, activation)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.last = _stage(depth, 2 * width, width, activation)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A picture of the input's size."""
        high = self.down(x)
        low = self.middle(functional.max_pool2d(high, 2))
        out: Tensor = self.head(self.last(torch.cat([high, self.up(low)], 1)))
        return out


def _stage(depth: int, inputs: int, width: int, activation: Activation) -> nn.Sequential:
    parts: list[nn.Module] = []
    for i in range(depth):
        parts += [nn.Conv2d(width if i else inputs, width, 3, padding=1), activation()]
    return nn.Sequential(*parts)


class Attention(nn.Module):
    """Self-attention of four heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens mixed, shape (batch, tokens, width)."""
        q, k, v = (part(x).unflatten(-1, (4, -1)).transpose(-3, -2) for part in (self.q, self.k, self.v))
        mixed = functional.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, -1) @ v
        out: Tensor = self.o(mixed.transpose(-3, -2).flatten(-2))
        return out


class PostNorm(nn.Module):
    """``norm(x + branch(x))``."""

    def __init__(self, branch: nn.Module, width: int) -> None:
        super().__init__()
        self.branch = branch
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """The stream, normed after the sum."""
        out: Tensor = self.norm(x + self.branch(x))
        return out


class Tokens(nn.Module):
    """Patches into tokens, positions, blocks, and the mean token into the head."""

    def __init__(self, blocks: nn.Module, width: int, *, positions: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(PATCH, width)
        self.position = nn.Parameter(0.02 * torch.randn(TOKENS, width)) if positions else None
        self.blocks = blocks
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, classes)."""
        x = self.embed(x)
        if self.position is not None:
            x = x + self.position
        out: Tensor = self.head(self.blocks(x).mean(-2))
        return out


def _feed_forward(width: int, activation: Activation, *, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), activation(), nn.Linear(hidden, width))


def pre_norm_transformer(depth: int, width: int, activation: Activation) -> nn.Module:
    """Blocks of attention and feed-forward layers, each branch behind a layer norm, and a last norm."""
    blocks: list[nn.Module] = []
    for _ in range(depth):
        blocks.append(Skip(nn.Sequential(nn.LayerNorm(width), Attention(width))))
        blocks.append(Skip(nn.Sequential(nn.LayerNorm(width), _feed_forward(width, activation, hidden=2 * width))))
    return Tokens(nn.Sequential(*blocks, nn.LayerNorm(width)), width, positions=True)


def post_norm_transformer(depth: int, width: int, activation: Activation) -> nn.Module:
    """Blocks of attention and feed-forward layers with a layer norm after each sum."""
    blocks: list[nn.Module] = []
    for _ in range(depth):
        blocks.append(PostNorm(Attention(width), width))
        blocks.append(PostNorm(_feed_forward(width, activation, hidden=2 * width), width))
    return Tokens(nn.Sequential(*blocks), width, positions=True)


class Across(nn.Module):
    """A branch over the tokens in place of the features."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.inner = branch

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        out: Tensor = self.inner(x.transpose(-1, -2)).transpose(-1, -2)
        return out


def mixer(depth: int, width: int, activation: Activation) -> nn.Module:
    """Blocks that mix tokens, then features."""
    blocks: list[nn.Module] = []
    for _ in range(depth):
        over_tokens = Across(_feed_forward(TOKENS, activation, hidden=2 * TOKENS))
        blocks.append(Skip(nn.Sequential(nn.LayerNorm(width), over_tokens)))
        blocks.append(Skip(nn.Sequential(nn.LayerNorm(width), _feed_forward(width, activation, hidden=2 * width))))
    return Tokens(nn.Sequential(*blocks, nn.LayerNorm(width)), width, positions=False)


class Recurrent(nn.Module):
    """A recurrent layer of PyTorch over the rows of an image, its last state into the head."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, classes)."""
        out: Tensor = self.head(self.layer(x)[0][..., -1, :])
        return out


def rnn(depth: int, width: int, _activation: Activation) -> nn.Module:
    """Tanh units."""
    return Recurrent(nn.RNN(SIDE, width, depth, batch_first=True), width)


def gru(depth: int, width: int, _activation: Activation) -> nn.Module:
    """Gated units."""
    return Recurrent(nn.GRU(SIDE, width, depth, batch_first=True), width)


def lstm(depth: int, width: int, _activation: Activation) -> nn.Module:
    """LSTM units."""
    return Recurrent(nn.LSTM(SIDE, width, depth, batch_first=True), width)


def autoencoder(depth: int, width: int, activation: Activation) -> nn.Module:
    """``depth`` layers down to a code of 8 and as many up."""
    down = nn.Sequential(*layers(depth, width, activation), nn.Linear(width, 8))
    up = layers(depth, width, activation, inputs=8)
    return Classifier(nn.Sequential(*down, *up), width, PIXELS)


class VAE(nn.Module):
    """An autoencoder whose code is drawn; gives pixels, mean and log variance."""

    def __init__(self, depth: int, width: int, activation: Activation) -> None:
        super().__init__()
        self.encoder = layers(depth, width, activation)
        self.mean, self.log_variance = nn.Linear(width, 8), nn.Linear(width, 8)
        self.decoder = layers(depth, width, activation, inputs=8)
        self.head = nn.Linear(width, PIXELS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels, mean and log variance of the code."""
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.head(self.decoder(code)), mean, log_variance


def generator(depth: int, width: int, activation: Activation) -> nn.Module:
    """Noise of 16 into pixels."""
    return Classifier(layers(depth, width, activation, inputs=16), width, PIXELS)


def discriminator(depth: int, width: int, activation: Activation) -> nn.Module:
    """Pixels into one logit."""
    return Classifier(layers(depth, width, activation), width, 1)


class Siamese(nn.Module):
    """One network over two images; a logit from the squared distance of their embeddings."""

    def __init__(self, depth: int, width: int, activation: Activation) -> None:
        super().__init__()
        self.embedding = Classifier(layers(depth, width, activation), width, 8)
        self.margin = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """A logit that both are of one class, shape (batch, 1); x has shape (batch, 2, pixels)."""
        a, b = self.embedding(x[..., 0, :]), self.embedding(x[..., 1, :])
        out: Tensor = self.margin - (a - b).square().mean(-1, keepdim=True)
        return out


class Sine(nn.Module):
    """``sin(30 x)``."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return torch.sin(30.0 * x)


def siren(depth: int, width: int, _activation: Activation) -> nn.Module:
    """Coordinates into a grey value, through sines."""
    return Classifier(layers(depth, width, Sine, inputs=2), width, 1)


def siren_start(model: nn.Module) -> None:
    """Sitzmann et al. 2020, section 3.2: uniform in 1 / fan at the first layer, sqrt(6 / fan) / 30 behind it."""
    first = True
    for module in model.modules():
        if isinstance(module, nn.Linear):
            fan = module.in_features
            reach = 1.0 / fan if first else math.sqrt(6.0 / fan) / 30.0
            init.uniform_(module.weight, -reach, reach)
            first = False


BUILDERS: dict[str, Callable[[int, int, Activation], nn.Module]] = {
    "mlp": mlp,
    "batch norm": batch_norm,
    "layer norm": layer_norm,
    "rms norm": rms_norm,
    "residual": residual,
    "pre-norm residual": pre_norm_residual,
    "highway": highway,
    "cnn": cnn,
    "cnn, batch norm": cnn_batch_norm,
    "u-net": UNet,
    "pre-norm transformer": pre_norm_transformer,
    "post-norm transformer": post_norm_transformer,
    "mixer": mixer,
    "rnn": rnn,
    "gru": gru,
    "lstm": lstm,
    "autoencoder": autoencoder,
    "vae": VAE,
    "generator": generator,
    "discriminator": discriminator,
    "siamese": Siamese,
    "siren": siren,
}
