"""A larger model computes what the smaller one did, whatever joins its axes; what is not exact is refused."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn
from torch.nn import functional

import initlab
from initlab.core.errors import InitlabError

RNG = np.random.default_rng(3)
ROWS = RNG.standard_normal((4, 5)).astype(np.float32)
IMAGES = RNG.standard_normal((2, 3, 8, 8)).astype(np.float32)
TOKENS = RNG.integers(0, 11, (2, 5))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3))


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.ReLU(), nn.Linear(7, 3))


def cnn() -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, groups=4),
        nn.ReLU(), nn.Conv2d(4, 6, 1), nn.Flatten(), nn.Linear(6 * 4, 3),
    )  # fmt: skip
    net(torch.from_numpy(IMAGES))  # moves the statistics
    return net


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.down, self.short, self.both = nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(4, 6, 1, 2), nn.Conv2d(12, 5, 1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        x = (x + self.norm(self.second(x))).relu()
        y = self.down(x)
        return self.head(self.both(torch.cat([(y + self.short(x)).relu(), y.tanh()], 1)).mean((2, 3)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.n1, self.n2, self.qkv = nn.LayerNorm(width), nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.out, self.gate = nn.Linear(width, width), nn.Linear(width, 20)
        self.down = nn.Linear(10, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, steps, width = x.shape
        parts = self.qkv(self.n1(x)).split(self.width, dim=2)
        q, k, v = (one.view(rows, steps, self.heads, width // self.heads).transpose(1, 2) for one in parts)
        mixed = (q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5).softmax(-1) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, steps, width))
        a, b = self.gate(self.n2(x)).chunk(2, -1)
        return x + self.down(functional.silu(a) * b)


class Gpt(nn.Module):
    """Written by hand; its table is its head."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.block = nn.Embedding(11, 12), nn.Embedding(8, 12), Block(12, 3)
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 11, bias=False)
        self.head.weight = self.words.weight

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.block(self.words(t) + self.places(torch.arange(t.shape[1])))))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(11, 12), nn.Parameter(torch.randn(1, 5, 12))
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(12, 4, 20, batch_first=True), 1)
        self.head = nn.Linear(12, 4)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.words(t) + self.places))


def gpt2() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    told = {"n_embd": 12, "n_head": 3, "n_layer": 1, "n_positions": 8, "bos_token_id": None, "eos_token_id": None}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=11, **told)).eval()


def llama() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    told = {"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 20}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=11, hidden_size=16, **told)).eval()


def tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    ("build", "width", "example", "shapes"),
    [
        (mlp, 2, ROWS, {"0.weight": (14, 5), "2.weight": (12, 14), "4.weight": (3, 12)}),
        (mlp, {"0.weight": 11}, ROWS, {"0.weight": (11, 5), "2.weight": (6, 11)}),
        (normed, 3, ROWS, {"1.weight": (21,)}),
        (cnn, 1.5, IMAGES, {"1.running_var": (6,), "4.weight": (6, 1, 3, 3), "8.weight": (3, 36)}),
        (Residual, {"first.weight": 9}, IMAGES, {"second.weight": (9, 9, 1, 1), "down.weight": (6, 9, 3, 3)}),
        (Gpt, 2, TOKENS, {"block.qkv.weight": (72, 24), "block.gate.weight": (40, 24), "words.weight": (11, 24)}),
        (Encoder, 2, TOKENS, {"layers.layers.0.self_attn.in_proj_weight": (72, 24), "places": (1, 5, 24)}),
        (llama, 2, TOKENS, {"model.layers.0.self_attn.k_proj.weight": (16, 32)}),
    ],
)  # fmt: skip
def test_a_wider_model_computes_the_same(build: Any, width: Any, example: Any, shapes: dict[str, Any]) -> None:
    torch.manual_seed(7)
    model = build()
    before, mode = tensors(model), model.training
    example = torch.from_numpy(example)
    grown = initlab.grow(model, width, example=example)
    assert {name: tuple(grown.model.state_dict()[name].shape) for name in shapes} == shapes
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert grown.error <= 1e-6 <= grown.bound
    assert (model.training, grown.model.training) == (mode, mode)
    other = example.flip(0)  # what the growth was not checked on

    def made(net: nn.Module) -> torch.Tensor:
        returned = net.eval()(other)
        return getattr(returned, "logits", returned)

    torch.testing.assert_close(made(grown.model), made(model), rtol=1e-4, atol=2e-6)


def test_in_float64_the_error_is_that_of_rounding() -> None:
    torch.manual_seed(7)
    grown = initlab.grow(Gpt().double(), 2, example=torch.from_numpy(TOKENS))
    assert grown.error < 1e-13
    assert grown.bound == 1e-10


def test_a_shared_table_is_shared_still_and_a_configuration_says_what_is() -> None:
    torch.manual_seed(7)
    grown = initlab.grow(gpt2(), 2, example=torch.from_numpy(TOKENS))
    model: Any = grown.model
    assert grown.error <= 1e-6
    assert tuple(model.transformer.h[0].attn.c_attn.weight.shape) == (24, 72)
    assert model.lm_head.weight is model.transformer.wte.weight
    assert (model.config.n_embd, model.config.n_head, model.config.n_positions) == (24, 6, 8)
    rebuilt = type(model)(model.config).eval()
    rebuilt.load_state_dict(model.state_dict())
    example = torch.from_numpy(TOKENS)
    assert torch.equal(rebuilt(example).logits, model(example).logits)


class Stream(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(5, 8), nn.Linear(8, 3)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 9), nn.GELU(), nn.Linear(9, 8)) for _ in range(3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def relu() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3))


@pytest.mark.parametrize(
    ("build", "depth", "example", "blocks"),
    [
        (relu, 2, ROWS, lambda net: len(net) == 9),
        (relu, {"": 3}, ROWS, lambda net: len(net) == 7),
        (Stream, {"blocks": 5}, ROWS, lambda net: len(net.blocks) == 5 and not net.blocks[2][3].weight.any()),
        (gpt2, 2, TOKENS, lambda net: len(net.transformer.h) == net.config.n_layer == 2),
        (llama, 3, TOKENS, lambda net: [layer.self_attn.layer_idx for layer in net.model.layers] == [0, 1, 2]),
    ],
)
def test_a_deeper_model_computes_the_same_to_the_bit(build: Any, depth: Any, example: Any, blocks: Any) -> None:
    torch.manual_seed(7)
    model = build()
    before = tensors(model)
    grown = initlab.grow(model, depth=depth, example=torch.from_numpy(example))
    assert grown.error == 0.0
    assert blocks(grown.model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class FlaxNet(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(2)
        self.a, self.n, self.b = nnx.Linear(5, 6, rngs=rngs), nnx.LayerNorm(6, rngs=rngs), nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.b(self.n(jnp.tanh(self.a(x))))


def keras_net() -> Any:
    inputs = keras.layers.Input((5,))
    return keras.Model(inputs, keras.layers.Dense(3, name="b")(keras.layers.Dense(6, "tanh", name="a")(inputs)))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras, when it copies a model
@pytest.mark.parametrize("build", [FlaxNet, keras_net])
def test_models_of_keras_and_flax_grow_as_well(build: Any) -> None:
    model = build()
    grown = initlab.grow(model, 2, example=ROWS)
    np.testing.assert_allclose(np.asarray(grown.model(ROWS)), np.asarray(model(ROWS)), rtol=1e-4, atol=2e-6)
    assert [kernel_of(one).shape for one in (model, grown.model)] == [(5, 6), (5, 12)]


def kernel_of(model: Any) -> np.ndarray:
    return np.asarray((model.a if isinstance(model, FlaxNet) else model.get_layer("a")).kernel[...])


@pytest.mark.parametrize(("split", "apart"), [("unequal", True), ("equal", False)])
def test_twins_part_when_they_share_unequally_and_never_else(split: Any, apart: bool) -> None:
    torch.manual_seed(7)
    net = initlab.grow(mlp(), 2, example=torch.from_numpy(ROWS), split=split).model
    wanted = torch.randn(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        ((net(torch.from_numpy(ROWS)) - wanted) ** 2).mean().backward()
        optimizer.step()
    first: torch.Tensor = net[0].weight.detach()  # type: ignore[index,union-attr]
    between = (first[:7] - first[7:]).abs().max()
    assert (between > 1e-3) if apart else (between < 1e-6)


class Literal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 6), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x).view(-1, 2, 3).relu().reshape(-1, 6))


class Branching(Literal):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x) if x.sum() > 0 else -self.a(x))


class Mirror(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(5, 7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ self.w) @ self.w.T


@pytest.mark.parametrize(
    ("build", "width", "said"),
    [
        (normed, 1.5, r"a mean is taken over 7 units of 0.weight.*10 is no multiple of 7.*give 14"),
        (Literal, 2, r"not exact: the model does not take the example"),
        (Branching, 2, r"PyTorch cannot write the pass down"),
        (Mirror, 2, r"a weight makes units and adds them up as well, and no norm before it"),
        (mlp, {"4.weight": 6}, r"the units of '4.weight' cannot grow: the model returns it"),
        (mlp, {"0.weight": 5}, r"0.weight takes 7 units or more, in steps of 1; got 5"),
        (mlp, {"fc.*": 9}, r"the pattern 'fc.\*' matches no parameter"),
        (mlp, 0.5, r"a factor of 1 or more, got 0.5"),
        (mlp, 1, r"nothing is to grow"),
        (lambda: nn.Sequential(nn.Linear(5, 4), nn.GroupNorm(2, 4), nn.Linear(4, 2)), 2, r"the outputs differ by"),
    ],
)
def test_what_is_not_exact_is_refused_and_the_model_stays(build: Any, width: Any, said: str) -> None:
    torch.manual_seed(7)
    model = build()
    before = tensors(model)
    with pytest.raises(InitlabError, match=said):
        initlab.grow(model, width, example=torch.from_numpy(ROWS))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("build", "depth", "said"),
    [
        (mlp, 2, r"not exact: the outputs differ by .* \(depth\)"),
        (relu, {"blocks": 3}, r"'blocks' is no list of blocks that can grow"),
        (relu, 1.5, r"a whole factor of 1 or more, got 1.5"),
        (relu, {"": 1}, r"has 2 blocks, more than 1"),
    ],
)
def test_a_depth_that_is_not_exact_is_refused(build: Any, depth: Any, said: str) -> None:
    with pytest.raises(InitlabError, match=said):
        initlab.grow(build(), depth=depth, example=torch.from_numpy(ROWS))
