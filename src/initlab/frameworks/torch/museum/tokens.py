"""Exhibits that read tokens, each a function ``broken_NAME`` beside its healthy twin ``mended_NAME``."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional, init

# 6


def broken_tied_embedding() -> nn.Module:
    """A tied head on an embedding of variance 1."""
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
        """Logits."""
        hidden = self.down(functional.gelu(self.up(self.embedding(words))))
        logits: Tensor = self.head(self.norm(hidden))
        return logits


def mended_tied_embedding() -> nn.Module:
    """Draw a tied embedding with std 0.02, or 1/sqrt(width)."""
    return TiedModel(std=0.02)


# 7


def broken_cloned_layers() -> nn.Module:
    """Encoder layers that are copies of one."""
    return Encoder(nn.TransformerEncoder(encoder_layer(), num_layers=4, enable_nested_tensor=False))


def encoder_layer(width: int = 32) -> nn.TransformerEncoderLayer:
    """One layer of the encoder."""
    return nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)


class Encoder(nn.Module):
    """An encoder, the mean over its tokens, and a head."""

    def __init__(self, encoder: nn.Module, width: int = 32) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.head(self.encoder(x).mean(1))
        return logits


def mended_cloned_layers() -> nn.Module:
    """Draw every layer anew after the encoder is built; in Keras, give each layer an initializer of its own."""
    encoder = nn.TransformerEncoder(encoder_layer(), num_layers=4, enable_nested_tensor=False)
    encoder.layers = nn.ModuleList(encoder_layer() for _ in range(4))
    return Encoder(encoder)


# 8


def broken_unscaled_projection() -> nn.Module:
    """A GPT-2 whose residual projections were never scaled."""
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
        """Logits."""
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
        """The stream with what both branches add."""
        x = x + self.attn(self.norm_1(x))
        mixed: Tensor = x + self.mlp(self.norm_2(x))
        return mixed


class GptAttention(nn.Module):
    """Causal attention of four heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """What the attention adds."""
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
        """What the layers add."""
        out: Tensor = self.c_proj(functional.gelu(self.c_fc(x)))
        return out


def mended_unscaled_projection() -> nn.Module:
    """Multiply the c_proj weights by 1/sqrt(2L), and count how many the pattern matched."""
    model = TinyGpt()
    depth = len(model.blocks)
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.ndim == 2:
            init.normal_(parameter, std=0.02)
        if name.endswith("c_proj.weight"):
            init.normal_(parameter, std=0.02 / math.sqrt(2 * depth))
    return model


# 11


def broken_zero_queries() -> nn.Module:
    """Learnable queries that start at zero."""
    return QueryPool()


class QueryPool(nn.Module):
    """A few learnable queries look at the tokens of a sample."""

    def __init__(self, *, width: int = 32, queries: int = 4) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(queries, width))
        self.tokens = nn.Linear(width, width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.tokens(x)
        queries = self.queries.expand(len(x), -1, -1)
        found, _ = self.attention(queries, x, x, need_weights=False)
        logits: Tensor = self.head(found.mean(1))
        return logits


def mended_zero_queries() -> nn.Module:
    """Draw the queries at random, std 0.02."""
    model = QueryPool()
    init.normal_(model.queries, std=0.02)
    return model
