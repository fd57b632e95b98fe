"""The broken networks of the museum in PyTorch, each beside its healthy twin.

Each pair is a function ``broken_NAME`` and a function ``mended_NAME``; what the two share stands between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional, init

from initlab.core.errors import OptionError


def built(name: str, *, seed: int = 0) -> nn.Module:
    """The model of a function of the museum, drawn from a generator of its own.

    Args:
        name: ``broken_NAME`` or ``mended_NAME``.
        seed: Of torch's generator, which is afterwards as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory(name)()


def factory(name: str) -> Callable[[], nn.Module]:
    """The function that builds a model.

    Raises:
        OptionError: There is none of that name.
    """
    from initlab.frameworks.torch import museum_depot

    found = globals().get(name) or getattr(museum_depot, name, None)
    if not callable(found):
        raise OptionError(f"the museum has no torch model '{name}'", fix="initlab museum list")
    build: Callable[[], nn.Module] = found
    return build


# 1


def broken_zeros() -> nn.Module:
    model = mlp(nn.ReLU, depth=3, width=64)
    for parameter in model.parameters():
        init.zeros_(parameter)
    return model


def mended_zeros() -> nn.Module:
    return he(mlp(nn.ReLU, depth=3, width=64))


def mlp(activation: Callable[[], nn.Module], *, depth: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(width if i else 64, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def he(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
            init.zeros_(module.bias)
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    init.normal_(head.weight, std=head.in_features**-0.5)
    return model


# 2


def broken_constant() -> nn.Module:
    model = mlp(nn.Tanh, depth=3, width=64)
    for parameter in model.parameters():
        init.constant_(parameter, 0.05)
    return model


def mended_constant() -> nn.Module:
    model = mlp(nn.Tanh, depth=3, width=64)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            init.xavier_normal_(parameter)
        else:
            init.zeros_(parameter)
    return model


# 3


def broken_loud_relu() -> nn.Module:
    model = mlp(nn.ReLU, depth=10, width=128)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            init.normal_(module.weight)
            init.zeros_(module.bias)
    return model


def mended_loud_relu() -> nn.Module:
    return he(mlp(nn.ReLU, depth=10, width=128))


# 4


def broken_default_linear() -> nn.Module:
    return mlp(nn.ReLU, depth=10, width=256)


def mended_default_linear() -> nn.Module:
    return he(mlp(nn.ReLU, depth=10, width=256))


# 5


def broken_depthwise() -> nn.Module:
    model = separable_net()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.in_channels * math.prod(module.kernel_size)
            init.normal_(module.weight, std=math.sqrt(2.0 / fan))
            init.zeros_(module.bias)
    return model


def separable_net(channels: int = 32) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.Conv2d(channels, channels, 1)]
        layers += [nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def mended_depthwise() -> nn.Module:
    model = separable_net()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.in_channels // module.groups * math.prod(module.kernel_size)
            gain = 1.0 if module.groups > 1 else math.sqrt(2.0)
            init.normal_(module.weight, std=gain / math.sqrt(fan))
            init.zeros_(module.bias)
    return model


# 6


def broken_tied_embedding() -> nn.Module:
    return TiedModel(std=1.0)


class TiedModel(nn.Module):
    """Words in, words out, through one table."""

    def __init__(self, *, std: float, words: int = 1000, width: int = 512) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        init.normal_(self.embedding.weight, std=std)
        self.head.weight = self.embedding.weight

    def forward(self, words: Tensor) -> Tensor:
        hidden = self.down(functional.gelu(self.up(self.embedding(words))))
        logits: Tensor = self.head(self.norm(hidden))
        return logits


def mended_tied_embedding() -> nn.Module:
    return TiedModel(std=0.02)


# 7


def broken_cloned_layers() -> nn.Module:
    return Encoder(nn.TransformerEncoder(encoder_layer(), num_layers=4, enable_nested_tensor=False))


def encoder_layer(width: int = 32) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)


class Encoder(nn.Module):
    """An encoder, the mean over its tokens, and a head."""

    def __init__(self, encoder: nn.Module, width: int = 32) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(x).mean(1))
        return logits


def mended_cloned_layers() -> nn.Module:
    encoder = nn.TransformerEncoder(encoder_layer(), num_layers=4, enable_nested_tensor=False)
    encoder.layers = nn.ModuleList(encoder_layer() for _ in range(4))
    return Encoder(encoder)


# 8


def broken_unscaled_projection() -> nn.Module:
    model = TinyGpt()
    depth = len(model.blocks)
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.ndim == 2:
            init.normal_(parameter, std=0.02)
        if name.endswith("resid_proj.weight"):  # it is named c_proj
            init.normal_(parameter, std=0.02 / math.sqrt(2 * depth))
    return model


class TinyGpt(nn.Module):
    """GPT-2 in small."""

    def __init__(self, *, words: int = 100, width: int = 64, depth: int = 6) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(words, width), nn.Embedding(16, width)
        self.blocks = nn.ModuleList(GptBlock(width) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, words: Tensor) -> Tensor:
        x = self.wte(words) + self.wpe(torch.arange(words.shape[1], device=words.device))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits


class GptBlock(nn.Module):
    """Attention and an MLP, each on a branch behind a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_1, self.attn = nn.LayerNorm(width), GptAttention(width)
        self.norm_2, self.mlp = nn.LayerNorm(width), GptMlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm_1(x))
        mixed: Tensor = x + self.mlp(self.norm_2(x))
        return mixed


class GptAttention(nn.Module):
    """Causal attention of four heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.c_attn(x).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.c_proj(mixed.transpose(1, 2).flatten(2))
        return out


class GptMlp(nn.Module):
    """Two layers with a GELU in between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(functional.gelu(self.c_fc(x)))
        return out


def mended_unscaled_projection() -> nn.Module:
    model = TinyGpt()
    depth = len(model.blocks)
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.ndim == 2:
            init.normal_(parameter, std=0.02)
        if name.endswith("c_proj.weight"):
            init.normal_(parameter, std=0.02 / math.sqrt(2 * depth))
    return model


# 9


def broken_dead_relu() -> nn.Module:
    model = he(mlp(nn.ReLU, depth=3, width=64))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            init.constant_(parameter, -3.0)
    return model


def mended_dead_relu() -> nn.Module:
    return he(mlp(nn.ReLU, depth=3, width=64))


# 10


def broken_tanh_gain() -> nn.Module:
    model = mlp(nn.Tanh, depth=50, width=128)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=init.calculate_gain("tanh") / math.sqrt(module.in_features))
            init.zeros_(module.bias)
    return model


def mended_tanh_gain() -> nn.Module:
    model = mlp(nn.Tanh, depth=50, width=128)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=math.sqrt(1.76095 / module.in_features))
            init.normal_(module.bias, std=math.sqrt(0.05))
    return model


# 11


def broken_zero_queries() -> nn.Module:
    return QueryPool()


class QueryPool(nn.Module):
    """A few learnable queries look at the tokens of a sample."""

    def __init__(self, *, width: int = 32, queries: int = 4) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(queries, width))
        self.tokens = nn.Linear(width, width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.head = nn.Linear(queries * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tokens(x)
        queries = self.queries.expand(len(x), -1, -1)
        found, _ = self.attention(queries, x, x, need_weights=False)
        logits: Tensor = self.head(found.flatten(1))
        return logits


def mended_zero_queries() -> nn.Module:
    model = QueryPool()
    init.normal_(model.queries, std=1.0)
    return model


# 12


def broken_sigmoid_stack() -> nn.Module:
    model = mlp(nn.Sigmoid, depth=8, width=64)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            init.xavier_normal_(module.weight)
            init.zeros_(module.bias)
    return model


def mended_sigmoid_stack() -> nn.Module:
    model = mlp(nn.Tanh, depth=8, width=64)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            init.xavier_normal_(module.weight)
            init.zeros_(module.bias)
    return model
