"""Small models that several files describe: chains, functional forwards, residual nets."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from initlab.core.adapter import WeightSource
from initlab.core.facts.spec import ParamSpec
from initlab.core.plans.plan import Plan, Rule, make_plan
from initlab.frameworks.torch.adapter import ADAPTER
from initlab.schemes import scheme


def planned(model: nn.Module, name: str, **options: object) -> Plan:
    bound = scheme(name)
    rule = Rule("*", bound, bound.label, bound.scheme.with_biases)
    return make_plan(ADAPTER.describe(model, **options), [rule])


def applied(model: nn.Module, name: str, *, seed: int = 0, **options: object) -> nn.Module:
    """The model after a plan for all its weights was written."""
    rows = [entry for entry in planned(model, name, **options) if entry.law is not None]
    for entry in rows:
        ADAPTER.write(model, entry.param, WeightSource(entry.law, entry.param, seed))
    ADAPTER.mark(model, [entry.param.native for entry in rows], seed)
    return model


def specs(model: nn.Module, **options: object) -> dict[str, ParamSpec]:
    return {p.native: p for p in ADAPTER.describe(model, **options).params}


def digest(model: nn.Module) -> dict[str, bytes]:
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: t.detach().double().numpy().tobytes() for name, t in tensors.items() if not t.is_meta}


class Deep(nn.Module):
    """Functional activations, and one ``if`` that depends on the data."""

    def __init__(self, depth: int = 20, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = functional.relu(layer(x))
            if x.abs().max() > 1e30:
                x = x / 2
        return x


class Composed(nn.Module):
    """Four layers with a function in between."""

    def __init__(self, f) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.f(self.a(x)))


class BasicBlock(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet18(nn.Module):
    def __init__(self, width: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        blocks, inside = [], width
        for i in range(4):
            outside = width * 2**i
            stride = 1 if i == 0 else 2
            blocks.append(nn.Sequential(BasicBlock(inside, outside, stride), BasicBlock(outside, outside, 1)))
            inside = outside
        self.layer1, self.layer2, self.layer3, self.layer4 = blocks
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inside, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Block(nn.Module):
    """A pre-LN transformer block."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.ln1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        return x + self.proj(functional.gelu(self.fc(self.ln2(x))))


class Transformer(nn.Module):
    def __init__(self, depth: int = 2, width: int = 16, vocabulary: int = 11) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width, padding_idx=0)
        self.pos_emb = nn.Parameter(torch.zeros(1, 12, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.wte(tokens) + self.pos_emb[:, : tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))
