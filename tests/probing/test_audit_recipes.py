"""Recipes: models drawn by the public implementation, or by its own code in torch, pass; others do not."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

import initlab
from initlab.api.auditing import audit
from initlab.core.errors import InitlabError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.frameworks import adapter_for
from initlab.recipes.book import RECIPES, declaration, recipe_plan


class Attention(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)


class PerceptronBlock(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)


class Block(nn.Module):
    def __init__(self, d: int, *, modulated: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(d, elementwise_affine=not modulated) for _ in range(2))
        self.attn, self.mlp = Attention(d), PerceptronBlock(d)
        if modulated:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))


class Patches(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, d, 4, stride=4)


class ViT(nn.Module):
    """Names and shapes of timm's VisionTransformer."""

    def __init__(self, d: int = 48) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, d))
        self.pos_embed = nn.Parameter(torch.zeros(1, 17, d))
        self.patch_embed = Patches(d)
        self.blocks = nn.ModuleList(Block(d) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def drawn_as_timm(model: ViT) -> ViT:
    """The default of ``timm``: its Linear weights, positions and class token; the rest is torch's."""
    nn.init.trunc_normal_(model.pos_embed, std=0.02)
    nn.init.normal_(model.cls_token, std=1e-6)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
    return model


def drawn_as_jax(model: ViT) -> ViT:
    nn.init.normal_(model.pos_embed, std=0.02)
    nn.init.normal_(model.cls_token, std=1e-6)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.normal_(module.bias, std=1e-6) if "mlp" in name else nn.init.zeros_(module.bias)
    fan_in = 3 * 4 * 4
    parent = math.sqrt(1.0 / fan_in) / 0.87962566103423978
    nn.init.trunc_normal_(model.patch_embed.proj.weight, std=parent, a=-2 * parent, b=2 * parent)
    nn.init.zeros_(model.patch_embed.proj.bias)
    nn.init.zeros_(model.head.weight)
    return model


class DiT(nn.Module):
    """Names and shapes of the authors' DiT."""

    def __init__(self, d: int = 48) -> None:
        super().__init__()
        self.x_embedder = Patches(d)
        self.t_embedder = nn.Module()
        self.t_embedder.mlp = nn.Sequential(nn.Linear(64, d), nn.SiLU(), nn.Linear(d, d))
        self.y_embedder = nn.Module()
        self.y_embedder.embedding_table = nn.Embedding(11, d)
        self.blocks = nn.ModuleList(Block(d, modulated=True) for _ in range(2))
        self.final_layer = nn.Module()
        self.final_layer.linear = nn.Linear(d, 32)
        self.final_layer.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 2 * d))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def drawn_as_dit(model: DiT) -> DiT:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    kernel = model.x_embedder.proj.weight.data
    nn.init.xavier_uniform_(kernel.view(kernel.shape[0], -1))
    nn.init.normal_(model.y_embedder.embedding_table.weight, std=0.02)
    for i in (0, 2):
        nn.init.normal_(model.t_embedder.mlp[i].weight, std=0.02)
    for name, tensor in model.named_parameters():
        if "adaLN" in name or "final_layer.linear" in name:
            nn.init.zeros_(tensor)
    return model


class Basic(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Basic(16), Basic(16))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer1(self.bn1(self.conv1(x)).relu()).mean((2, 3)))


def drawn_as_torchvision(model: ResNet) -> ResNet:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, Basic):
            nn.init.zeros_(module.bn2.weight)
    return model


class Sine(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(30.0 * x)


def siren() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 64), Sine(), nn.Linear(64, 64), Sine(), nn.Linear(64, 1))
    for i, layer in enumerate(module for module in model if isinstance(module, nn.Linear)):
        n = layer.in_features
        bound = math.sqrt(6.0 / n) / 30.0 if i else 1.0 / n
        nn.init.uniform_(layer.weight, -bound, bound)
    return model


def ppo() -> nn.Module:
    def net(outputs: int, gain: float) -> nn.Sequential:
        layers = [nn.Linear(8, 64), nn.Linear(64, 64), nn.Linear(64, outputs)]
        for layer, g in zip(layers, (math.sqrt(2.0), math.sqrt(2.0), gain), strict=True):
            nn.init.orthogonal_(layer.weight, g)
            nn.init.zeros_(layer.bias)
        return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])

    return nn.ModuleDict({"critic": net(1, 1.0), "actor": net(4, 0.01)})


def lora() -> nn.Module:
    model = nn.ModuleDict({"base": nn.Linear(64, 64), "lora_A": nn.Linear(64, 8), "lora_B": nn.Linear(8, 64)})
    model["base"].requires_grad_(False)
    nn.init.kaiming_uniform_(model["lora_A"].weight, a=math.sqrt(5.0))
    nn.init.zeros_(model["lora_B"].weight)
    nn.init.zeros_(model["lora_B"].bias)
    return model


def of_transformers(name: str) -> nn.Module:
    import transformers as hf

    logging.disable(logging.CRITICAL)
    small = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64, "intermediate_size": 128}
    try:
        if name == "llama":
            return hf.LlamaForCausalLM(hf.LlamaConfig(**small, vocab_size=200, bos_token_id=0, eos_token_id=0))
        if name == "mixtral":
            experts = {"num_local_experts": 4, "num_key_value_heads": 2}
            return hf.MixtralForCausalLM(hf.MixtralConfig(**small, **experts, vocab_size=200))
        if name == "qwen3_moe":
            experts = {"num_experts": 4, "num_key_value_heads": 2, "moe_intermediate_size": 32, "head_dim": 16}
            return hf.Qwen3MoeForCausalLM(hf.Qwen3MoeConfig(**small, **experts, vocab_size=200))
        if name == "vit_transformers":
            return hf.ViTForImageClassification(hf.ViTConfig(**small, image_size=16, patch_size=4))
        sizes = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 200}
        return hf.T5ForConditionalGeneration(hf.T5Config(**sizes))
    finally:
        logging.disable(logging.NOTSET)


class LlamaBlock(nn.Module):
    """Names and shapes of torchtitan's TransformerBlock; the attention sees one token, so it passes its values on."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.attention, self.feed_forward = nn.Module(), nn.Module()
        for name in ("wq", "wk", "wv", "wo"):
            setattr(self.attention, name, nn.Linear(d, d, bias=False))
        for name, inputs, outputs in (("w1", d, 3 * d), ("w2", 3 * d, d), ("w3", d, 3 * d)):
            setattr(self.feed_forward, name, nn.Linear(inputs, outputs, bias=False))
        self.attention_norm, self.ffn_norm = nn.RMSNorm(d), nn.RMSNorm(d)


class Llama(nn.Module):
    def __init__(self, d: int = 48, blocks: int = 3) -> None:
        super().__init__()
        self.tok_embeddings = nn.Embedding(200, d)
        self.layers = nn.ModuleDict({str(i): LlamaBlock(d) for i in range(blocks)})
        self.norm, self.output = nn.RMSNorm(d), nn.Linear(d, 200, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def drawn_as_torchtitan(model: Llama) -> Llama:
    nn.init.normal_(model.tok_embeddings.weight)
    for i, layer in enumerate(model.layers.values()):
        end = 0.02 / (2 * (i + 1)) ** 0.5
        inside, ends = (layer.attention.wq, layer.attention.wk, layer.attention.wv), (layer.attention.wo,)
        for linear in (*inside, layer.feed_forward.w1):
            nn.init.trunc_normal_(linear.weight, std=0.02)
        for linear in (*ends, layer.feed_forward.w2, layer.feed_forward.w3):
            nn.init.trunc_normal_(linear.weight, std=end)
    std = model.output.in_features**-0.5
    nn.init.trunc_normal_(model.output.weight, std=std, a=-3 * std, b=3 * std)
    return model


def drawn_as_olmo(model: Llama) -> Llama:
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(module.weight, std=0.02, a=-0.06, b=0.06)
    return model


class Chat(nn.Module):
    """Names and shapes of nanochat's GPT, drawn by its own rule."""

    def __init__(self, d: int = 48, blocks: int = 2) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict({"wte": nn.Embedding(200, d), "h": nn.ModuleList()})
        for _ in range(blocks):
            attn = nn.ModuleDict({f"c_{name}": nn.Linear(d, d // 2, bias=False) for name in "qkv"})
            attn["c_proj"] = nn.Linear(d, d, bias=False)
            mlp = nn.ModuleDict({"c_fc": nn.Linear(d, 4 * d, bias=False), "c_proj": nn.Linear(4 * d, d, bias=False)})
            self.transformer["h"].append(nn.ModuleDict({"attn": attn, "mlp": mlp}))
        self.lm_head = nn.Linear(d, 200, bias=False)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                fan_out, fan_in = module.weight.shape
                nn.init.normal_(module.weight, std=1.0 / math.sqrt(fan_in) * min(1.0, math.sqrt(fan_out / fan_in)))
                if name == "lm_head" or "c_proj" in name:
                    nn.init.zeros_(module.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def of_blocks(draw: Callable[[torch.Tensor, str, int], object]) -> nn.Module:
    """A residual net of three blocks with two branches each, every weight drawn by its part and its block."""

    class Net(nn.Module):
        def __init__(self, d: int = 48) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(Block(d) for _ in range(3))
            self.head = nn.Linear(d, 10)
            for name, module in self.named_modules():
                if isinstance(module, nn.Linear):
                    part, number = name.rpartition(".")[2], int(name.split(".")[1]) if "blocks" in name else 0
                    draw(module.weight, part, number)
                    nn.init.zeros_(module.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                x = x + block.attn.proj(block.attn.qkv(block.norm1(x)).chunk(3, -1)[2])
                x = x + block.mlp.fc2(block.mlp.fc1(block.norm2(x)).relu())
            return self.head(x)

    return Net()


def drawn_as_neox(weight: torch.Tensor, part: str, block: int) -> None:
    std = 2 / 3 / math.sqrt(48) if part in ("proj", "fc2") else math.sqrt(2 / (5 * 48))
    nn.init.normal_(weight, std=std)


PUBLIC: dict[str, Callable[[], nn.Module]] = {
    "mixtral": lambda: of_transformers("mixtral"),
    "qwen3_moe": lambda: of_transformers("qwen3_moe"),
    "torchtitan_llama": lambda: drawn_as_torchtitan(Llama()),
    "olmo2": lambda: drawn_as_olmo(Llama()),
    "nanochat": Chat,
    "small_init": lambda: of_blocks(drawn_as_neox),
    "llama": lambda: of_transformers("llama"),
    "t5": lambda: of_transformers("t5"),
    "vit_transformers": lambda: of_transformers("vit_transformers"),
    "vit": lambda: drawn_as_timm(ViT()),
    "vit_jax": lambda: drawn_as_jax(ViT()),
    "dit": lambda: drawn_as_dit(DiT()),
    "resnet_zero_gamma": lambda: drawn_as_torchvision(ResNet()),
    "siren": siren,
    "ppo": ppo,
    "lora": lora,
    "torch": lambda: nn.Sequential(nn.Conv2d(3, 16, 3), nn.Flatten(), nn.Linear(64, 100), nn.LayerNorm(100)),
}
# A model drawn otherwise, and a parameter that shows it.
OTHERWISE: dict[str, tuple[str, str]] = {
    "mixtral": ("mixtral(std=0.03)", "model.layers.1.mlp.experts.gate_up_proj"),
    "qwen3_moe": ("mixtral(std=0.03)", "model.layers.1.mlp.gate.weight"),
    "torchtitan_llama": ("olmo2", "layers.2.attention.wo.weight"),
    "olmo2": ("torchtitan_llama", "layers.2.feed_forward.w3.weight"),
    "nanochat": ("torch", "transformer.h.1.mlp.c_proj.weight"),
    "small_init": ("torch", "blocks.1.mlp.fc1.weight"),
    "llama": ("torch", "model.layers.0.mlp.up_proj.weight"),
    "t5": ("torch", "encoder.block.0.layer.0.SelfAttention.q.weight"),
    "vit_transformers": ("torch", "vit.layers.0.mlp.fc1.weight"),
    "vit": ("vit_jax", "head.weight"),
    "vit_jax": ("vit", "blocks.0.attn.qkv.weight"),
    "dit": ("torch", "blocks.0.adaLN_modulation.1.weight"),
    "resnet_zero_gamma": ("keras", "conv1.weight"),
    "siren": ("torch", "2.weight"),
    "ppo": ("torch", "actor.4.weight"),
    "torch": ("keras", "2.bias"),
}


@pytest.mark.parametrize("recipe", PUBLIC)
def test_a_model_of_the_public_implementation_passes(recipe: str) -> None:
    torch.manual_seed(0)
    found = audit(PUBLIC[recipe](), recipe)
    assert found.ok, str(found)
    assert any(entry.verdict == "ok" for entry in found)


@pytest.mark.parametrize("recipe", OTHERWISE)
def test_a_model_drawn_otherwise_does_not_pass(recipe: str) -> None:
    torch.manual_seed(0)
    model = PUBLIC[recipe]()
    other, name = OTHERWISE[recipe]
    assert audit(model, other)[name].verdict == "wrong"


@pytest.mark.parametrize("recipe", PUBLIC)
def test_a_model_initialised_by_a_recipe_passes_its_audit_to_the_bit(recipe: str) -> None:
    torch.manual_seed(0)
    model = PUBLIC[recipe]()
    adapter = adapter_for(model)
    plan = initlab.BoundPlan(recipe_plan(adapter.describe(model), recipe), model, adapter)
    plan.apply(seed=5)
    assert audit(model, recipe, seed=5).ok
    assert not audit(model, recipe, seed=6).ok


def test_every_recipe_names_its_source_and_what_it_draws() -> None:
    for name in RECIPES:
        assert RECIPES[name].source
        assert RECIPES[name].summary.endswith(".")


def test_flax_draws_embeddings_by_their_width() -> None:
    model = ModelSpec((ParamSpec(path="e", shape=(1000, 64), role="embedding"), ParamSpec(path="w", shape=(8, 100))))
    plan = recipe_plan(model, "flax")
    assert plan["e"].std == 1.0 / 8.0
    assert plan["w"].std == pytest.approx(0.1)
    assert plan["w"].law is not None
    assert plan["w"].law.family == "truncated_normal"


def test_the_std_of_t5_is_that_of_its_widths() -> None:
    torch.manual_seed(0)
    model = of_transformers("t5")
    plan = recipe_plan(adapter_for(model).describe(model), "t5")
    block = "encoder.block.0.layer"
    assert plan[f"{block}.0.SelfAttention.q.weight"].std == pytest.approx(1.0 / math.sqrt(64 * 16))
    assert plan[f"{block}.0.SelfAttention.k.weight"].std == pytest.approx(1.0 / 8.0)
    assert plan[f"{block}.1.DenseReluDense.wo.weight"].std == pytest.approx(1.0 / math.sqrt(128))
    assert plan["shared.weight"].std == 1.0


def test_torchtitan_divides_by_the_block_where_attention_and_mlp_end() -> None:
    plan = recipe_plan(adapter_for(Llama()).describe(Llama()), "torchtitan_llama")
    for name in ("attention.wo", "feed_forward.w2", "feed_forward.w3"):
        assert plan[f"layers.2.{name}.weight"].std == pytest.approx(0.02 / math.sqrt(6.0))
    assert plan["layers.2.feed_forward.w1.weight"].std == pytest.approx(0.02)


def test_ds_init_divides_glorots_bound_by_the_block_that_the_trace_saw() -> None:
    model = of_blocks(lambda weight, part, block: None)
    plan = recipe_plan(adapter_for(model).describe(model, example=torch.zeros(2, 48)), "ds_init(alpha=0.5)")
    glorot = math.sqrt(2.0 / (48 + 192))
    stds = [plan[f"blocks.{i}.mlp.fc1.weight"].std for i in range(3)]
    assert stds == pytest.approx([0.5 * glorot / math.sqrt(i) for i in (1, 2, 3)])
    assert plan["head.weight"].std == pytest.approx(math.sqrt(2.0 / 58))


def test_an_option_of_a_recipe_changes_its_numbers() -> None:
    model = Mlp((4, 25, 1), activation="relu").spec()
    assert recipe_plan(model, "siren(omega=10)")["1/weight"].std == pytest.approx(math.sqrt(6 / 25) / 10 / math.sqrt(3))


@pytest.mark.parametrize("recipe", ["gpt2", "llama", "t5", "vit", "vit_jax", "dit", "resnet_zero_gamma", "ppo", "lora"])
def test_a_recipe_that_does_not_find_its_places_lists_what_it_looked_for(recipe: str) -> None:
    with pytest.raises(InitlabError, match=f"the recipe '{recipe}' does not find its places in this model: it looked"):
        declaration(Mlp((4, 3)).spec(), recipe)
