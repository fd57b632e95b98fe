"""Public families of ``transformers``, built small from their configurations: every trained weight has a known use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

import initlab
from initlab.core.facts.fans import fans

transformers = pytest.importorskip("transformers")

S: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64,
    "pad_token_id": 0,
}  # fmt: skip
K = {**S, "num_key_value_heads": 2}
MOE = {**K, "num_experts": 3, "num_experts_per_tok": 2}
LATENT = {
    **S, "num_key_value_heads": 4, "n_routed_experts": 4, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2,
    "moe_intermediate_size": 40, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
    "v_head_dim": 8, "first_k_dense_replace": 1,
}  # fmt: skip
VIEW = {**S, "image_size": 32, "patch_size": 8}
DECODERS: Mapping[str, Mapping[str, Any]] = {
    "Llama": K, "Mistral": K, "Mixtral": {**K, "num_local_experts": 3}, "Qwen2": K,
    "Qwen2Moe": {**MOE, "moe_intermediate_size": 40, "shared_expert_intermediate_size": 24},
    "Qwen3": {**K, "head_dim": 8}, "Qwen3Moe": {**MOE, "head_dim": 8, "moe_intermediate_size": 40},
    "Gemma": {**K, "head_dim": 8}, "Gemma2": {**K, "head_dim": 8}, "Phi": S, "Phi3": K, "GPTNeoX": S, "Olmo2": K,
    "Olmoe": MOE, "Falcon": S, "Granite": K, "GraniteMoe": {**K, "num_local_experts": 3}, "StableLm": K,
    "Starcoder2": K, "Cohere": K, "DeepseekV3": LATENT, "DeepseekV2": LATENT,
    "GptOss": {**K, "head_dim": 8, "num_local_experts": 3, "num_experts_per_tok": 2},
    "Mamba": {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 64, "state_size": 4},
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 64},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 64},
    "OPT": {"hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 40, "num_hidden_layers": 2,
            "num_attention_heads": 4, "vocab_size": 64},
}  # fmt: skip
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "Bert": S, "Roberta": S, "Electra": {**S, "embedding_size": 24}, "Albert": {**S, "embedding_size": 24},
    "ModernBert": S, "DebertaV2": S, "ViT": VIEW, "Dinov2": VIEW,
    "DistilBert": {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4, "vocab_size": 64},
    "ConvNext": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "Swin": {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2],
             "window_size": 4},
    "T5": {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 64},
}  # fmt: skip


def built(family: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A small model with fresh weights, and an input."""
    torch.manual_seed(2)
    options = {**DECODERS, **OTHERS}[family]
    config = getattr(transformers, f"{family}Config")(**options)
    kind = transformers.AutoModelForCausalLM if family in DECODERS else transformers.AutoModel
    words = torch.randint(3, 60, (2, 8))
    if "vocab_size" not in options or "image_size" in options:
        return kind.from_config(config).eval(), {"pixel_values": torch.randn(2, 3, 32, 32)}
    pair = {"decoder_input_ids": words} if family == "T5" else {}
    return kind.from_config(config).eval(), {"input_ids": words, **pair}


FAMILIES = (*DECODERS, *OTHERS)
# A family takes seconds to build; a third of them is met on every run, all of them in a soak.
EVERY_DAY = [one if i % 3 == 0 else pytest.param(one, marks=pytest.mark.soak) for i, one in enumerate(FAMILIES)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", EVERY_DAY)
def test_no_trained_weight_of_a_public_family_is_of_unknown_role(family: str) -> None:
    model, given = built(family)
    plan = initlab.plan(model, "he_normal", example=given)
    assert [one.param.native for one in plan if one.param.role == "unknown" and not one.param.frozen] == []
    assert [one.param.native for one in plan if one.action == "refuse"] == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["Mixtral", "GptOss", "Qwen3Moe", "DeepseekV3"])
def test_the_fan_of_an_expert_is_the_length_of_its_contraction(family: str) -> None:
    """The oracle: the widths that the configuration states."""
    model, given = built(family)
    plan = initlab.plan(model, "he_normal", example=given)
    config: Any = model.config
    inner = getattr(config, "moe_intermediate_size", config.intermediate_size)
    counted = {"gate_up_proj": config.hidden_size, "down_proj": inner}
    found = {one.param.native: one.param for one in plan if one.param.native.split(".")[-1] in counted}
    assert found
    for native, p in found.items():
        assert fans(p).fan_in == counted[native.rpartition(".")[2]], native
        assert p.axes is not None
        assert p.axes.batch == (0,)
