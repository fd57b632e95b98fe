"""What the probe says of published models at their publishers' own start: writes docs/reference/published.md.

python docs/published_models.py      # about five minutes; nothing is downloaded

Every model is built from its config, small but for the few that are marked, and drawn by its own code: families of
``transformers``, Keras applications, and torch's own layers.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import initlab
from initlab.probing.diagnosis import Diagnosis

os.environ.setdefault("HF_HUB_OFFLINE", "1")

PAGE = Path(__file__).parent / "reference" / "published.md"
WORDS, TOKENS, ROWS = 256, 16, 8

# The sizes of a small model, by the names that configs give them.
_SMALL = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embed_dim"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 4),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 3),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("intermediate_size", "n_inner", "hidden_dim", "ffn_dim", "d_ff"), 128),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 128),
    "num_key_value_heads": 2, "d_kv": 16, "head_dim": 16, "image_size": 32, "patch_size": 8,
}  # fmt: skip
_WIDE = {
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 1),
}
_SHARED = {"vocab_size": WORDS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _each(names: str, **sizes: Any) -> dict[str, dict[str, Any]]:
    """The same sizes for several families."""
    return {name: sizes for name in names.split()}


_LANGUAGE: dict[str, dict[str, Any]] = {
    **_each("GPTNeoX Llama Mistral Qwen2 Qwen3 Gemma Gemma2 Phi Phi3 Falcon Bloom StableLm Starcoder2 Olmo Olmo2 "
        "Cohere Granite Persimmon JetMoe GPTBigCode Nemotron Helium Glm BioGpt SmolLM3 Arcee"),
    "GPTJ": {"rotary_dim": 8},
    "CodeGen": {"rotary_dim": 8},
    "OPT": {"word_embed_proj_dim": 64},
    "GPTNeo": {"attention_types": [[["global", "local"], 2]], "window_size": 8},
    "Mamba": {"state_size": 8, "conv_kernel": 4},
    "Mamba2": {"num_heads": 8, "state_size": 16, "n_groups": 2, "chunk_size": 8},
    "Rwkv": {"attention_hidden_size": 64, "context_length": 64},
    "RecurrentGemma": {"lru_width": 64, "attention_window_size": 16},
    "Mixtral": {"num_local_experts": 4},
    "Olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "Qwen2Moe": {
        "num_experts": 4, "moe_intermediate_size": 64, "shared_expert_intermediate_size": 64, "decoder_sparse_step": 1,
    },
    "DeepseekV3": {
        "n_routed_experts": 8, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
        "first_k_dense_replace": 1, "q_lora_rank": 32, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 16, "v_head_dim": 16, "num_key_value_heads": 4,
    },
}  # fmt: skip
_TEXT: dict[str, dict[str, Any]] = {
    **_each("Bert Electra DistilBert Deberta DebertaV2 ConvBert FNet Nystromformer ModernBert RoFormer MegatronBert"),
    **_each("Roberta MPNet IBert", max_position_embeddings=80),
    "Albert": {"embedding_size": 32},
    "MobileBert": {"intra_bottleneck_size": 32, "embedding_size": 32},
    "Longformer": {"attention_window": 8, "max_position_embeddings": 80},
    "BigBird": {"attention_type": "original_full"},
    "SqueezeBert": {"embedding_size": 64},
    "Funnel": {"block_sizes": [1, 1], "d_head": 16, "d_inner": 128},
    "XLM": {"emb_dim": 64},
}
_STAGES: dict[str, Any] = {"depths": [1, 1, 2, 1], "hidden_sizes": [16, 32, 64, 64]}
_WINDOWS: dict[str, Any] = {"embed_dim": 16, "depths": [1, 2], "num_heads": [2, 4], "patch_size": 4, "window_size": 4}
_PYRAMID: dict[str, Any] = {
    "hidden_sizes": [16, 32, 32, 64],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 4],
}
_IMAGES: dict[str, dict[str, Any]] = {
    **_each("ViT DeiT Beit Dinov2 ViTMSN"),
    **_each("ConvNext ConvNextV2", **_STAGES, patch_size=2),
    **_each("Swin Swinv2", **_WINDOWS),
    **_each("MobileNetV1 MobileNetV2", image_size=64),
    "MobileViT": {"hidden_sizes": [32, 48, 64], "image_size": 64},
    "ResNet": {"embedding_size": 16, "hidden_sizes": [16, 32, 64], "depths": [1, 1, 2]},
    "RegNet": {"embedding_size": 16, **_STAGES, "groups_width": 8},
    "Bit": {"embedding_size": 16, "hidden_sizes": [32, 32, 64, 64], "depths": [1, 1, 1, 1], "num_groups": 8},
    "PoolFormer": {**_STAGES, "hidden_sizes": [16, 32, 32, 64]},
    "PvtV2": {**_PYRAMID, "image_size": 64},
    "Segformer": _PYRAMID,
}
_PAIRS: dict[str, dict[str, Any]] = {
    **_each("T5 MT5 UMT5 Bart MBart Pegasus Blenderbot M2M100"),
    "LongT5": {"local_radius": 7},
    "LED": {"attention_window": 8, "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64},
    "BigBirdPegasus": {"attention_type": "original_full"},
    "SwitchTransformers": {"num_experts": 4, "num_sparse_encoder_layers": 2, "num_sparse_decoder_layers": 2},
}
_AT_WIDTH = ("Llama", "Olmo2", "GPTBigCode", "Bloom", "Bert", "Electra", "ViT", "ConvNext", "T5")
_KERAS = {"MobileNet": 64, "MobileNetV2": 64, "DenseNet121": 64, "ResNet50": 64, "VGG16": 64, "Xception": 75}

REASONS = {
    "MT5": "its head is not tied and drawn with variance 1, so that the first loss is five times that of a guess",
    "LED": "its global attention is used by no token of the batch",
}
"""Why an alarm is true, or a model not judged, by model."""


@dataclass(frozen=True)
class Published:
    """A model at its publisher's own start.

    Attributes:
        source: The package that draws it.
        name: The family.
        build: Gives the model, a batch, and targets or None.
    """

    source: str
    name: str
    build: Callable[[], tuple[object, object, object]]

    def diagnosed(self) -> Diagnosis:
        """What the probe finds; torch's generator is left as it was."""
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model, batch, targets = self.build()
        return initlab.probe(model, batch, targets).diagnose()


def published() -> Iterator[Published]:
    """All of them, those of ``transformers`` first."""
    for table, ending, batch in (
        (_LANGUAGE, "ForCausalLM", _next_words),
        (_TEXT, "ForSequenceClassification", _classed_words),
        (_IMAGES, "ForImageClassification", _classed_images),
        (_PAIRS, "ForConditionalGeneration", _translated),
    ):
        for name, sizes in table.items():
            yield Published("transformers", name, _family(name, ending, batch, {**_SMALL, **_SHARED}, sizes))
            if name in _AT_WIDTH:
                wide = {**_WIDE, **_SHARED}
                own = {"hidden_size": 1024, "num_attention_heads": 16} if name in ("Llama", "Olmo2") else {}
                own |= {"intermediate_size": 2816, "num_key_value_heads": 16} if own else {}
                own |= {"image_size": 64} if name == "ViT" else {}
                yield Published("transformers", f"{name}, real width", _family(name, ending, batch, wide, own))
    for name in ("GPT2", "OpenAIGPT", "CTRL", "XLNet"):
        build = _family(name, "LMHeadModel", _next_words, {**_SMALL, **_SHARED}, {})
        yield Published("transformers", name, build)
    for name, layer in _TORCH.items():
        yield Published("torch", name, layer)
    for name, size in _KERAS.items():
        yield Published("keras", name, _application(name, size))


def _family(
    name: str, ending: str, batch: Callable[[int], dict[str, Tensor]], sizes: dict[str, Any], own: dict[str, Any]
) -> Callable[[], tuple[object, object, object]]:
    def build() -> tuple[object, object, object]:
        import transformers

        config, model = (getattr(transformers, f"{name}{end}") for end in ("Config", ending))
        known = {*inspect.signature(config.__init__).parameters, *getattr(config, "attribute_map", {}).values()}
        given = {key: value for key, value in sizes.items() if key in known} | own
        if ending == "ForConditionalGeneration":
            given["decoder_start_token_id"] = 1
        return model(config(**given)), batch(int(own.get("image_size", 64 if "depths" in own else 32))), None

    return build


def _words(seed: int) -> Tensor:
    return torch.randint(3, WORDS, (ROWS, TOKENS), generator=torch.Generator().manual_seed(seed))


def _next_words(_: int) -> dict[str, Tensor]:
    return {"input_ids": _words(5), "labels": _words(5)}


def _translated(_: int) -> dict[str, Tensor]:
    return {"input_ids": _words(5), "labels": _words(6)}


def _classed_words(_: int) -> dict[str, Tensor]:
    return {"input_ids": _words(5), "labels": torch.arange(ROWS) % 2}


def _classed_images(size: int) -> dict[str, Tensor]:
    return {"pixel_values": _real(ROWS, 3, size, size), "labels": torch.arange(ROWS) % 2}


def _real(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def _application(name: str, size: int) -> Callable[[], tuple[object, object, object]]:
    def build() -> tuple[object, object, object]:
        import keras

        keras.utils.set_random_seed(3)
        model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
        return model, _real(ROWS, size, size, 3).numpy(), (torch.arange(ROWS) % 10).numpy()

    return build


def trained(one: Published, *, steps: int = 100, rate: float = 3e-3) -> tuple[float, float]:
    """The first and the last loss of a model of ``transformers`` that learns its one batch by Adam."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model, batch, _ = one.build()
        assert isinstance(model, nn.Module)
        assert isinstance(batch, dict)
        adam, losses = torch.optim.Adam(model.parameters(), rate), list[float]()
        for _ in range(steps):
            adam.zero_grad()
            loss = model(**batch).loss
            loss.backward()
            adam.step()
            losses.append(float(loss))
    return losses[0], losses[-1]


class _Encoder(nn.Module):
    """torch's own encoder over words."""

    def __init__(self, *, norm_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, norm_first=norm_first)
        self.words, self.head = nn.Embedding(WORDS, 64), nn.Linear(64, 3)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.encoder(self.words(ids)).mean(1))


class _Recurrent(nn.Module):
    """Two recurrent layers and a head."""

    def __init__(self, cell: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.cells, self.head = cell(16, 64, num_layers=2, batch_first=True), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


def _chain(conv: bool) -> nn.Sequential:
    if conv:
        down = [nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*down, nn.Flatten(), nn.Linear(32 * 36, 64), nn.ReLU(), nn.Linear(64, 3))
    sizes = zip((32, 64, 64), (64, 64, 64), strict=True)
    return nn.Sequential(*[part for n, m in sizes for part in (nn.Linear(n, m), nn.ReLU())], nn.Linear(64, 3))


_CLASSES = torch.arange(ROWS) % 3
_TORCH: dict[str, Callable[[], tuple[object, object, object]]] = {
    "TransformerEncoder": lambda: (_Encoder(norm_first=False), _words(5), _CLASSES),
    "TransformerEncoder, norms first": lambda: (_Encoder(norm_first=True), _words(5), _CLASSES),
    "LSTM": lambda: (_Recurrent(nn.LSTM), _real(ROWS, 12, 16), _CLASSES),
    "GRU": lambda: (_Recurrent(nn.GRU), _real(ROWS, 12, 16), _CLASSES),
    "RNN": lambda: (_Recurrent(nn.RNN), _real(ROWS, 12, 16), _CLASSES),
    "Linear and ReLU": lambda: (_chain(conv=False), _real(ROWS, 32), _CLASSES),
    "Conv2d, MaxPool2d and ReLU": lambda: (_chain(conv=True), _real(ROWS, 3, 32, 32), _CLASSES),
}


def page(found: dict[Published, Diagnosis], learned: dict[Published, tuple[float, float]]) -> str:
    """The table, alarmed models first.

    Args:
        found: What the probe says.
        learned: The first and last loss of those with an alarm, in training.
    """
    rows = []
    for one, diagnosis in sorted(found.items(), key=lambda item: item[1].verdict == "healthy"):
        alarms = "; ".join(finding.kind for finding in diagnosis.alarms)
        unseen = f"{math.ceil(100 * diagnosis.unseen)} % not seen at work" if diagnosis.verdict == "not judged" else ""
        reason = ": ".join(part for part in (unseen, REASONS.get(one.name, "")) if part)
        if one in learned:
            reason += "; 100 steps of Adam on this batch: loss {:.3g} to {:.3g}".format(*learned[one])
        rows.append(f"| {one.source} | {one.name} | {diagnosis.verdict} | {alarms} | {reason} |")
    healthy = sum(diagnosis.verdict == "healthy" for diagnosis in found.values())
    return "\n".join([
        "# Published starts", "",
        "What the probe says of models that their publishers' own code has drawn, from configs, with random inputs:"
        f"\n{healthy} of {len(found)} are healthy. `python docs/published_models.py` writes this page.", "",
        "| package | model | verdict | alarms | reason |", "| --- | --- | --- | --- | --- |", *rows, "",
    ])  # fmt: skip


def main() -> None:
    """Probe every model and write the page, anew with each package."""
    found, learned = dict[Published, Diagnosis](), dict[Published, tuple[float, float]]()
    for _, models in groupby(published(), key=lambda one: one.source):
        for one in models:
            found[one] = one.diagnosed()
            print(found[one].headline.replace("\n", " "), f"({one.source}, {one.name})", flush=True)
            if found[one].alarms and one.source == "transformers":
                learned[one] = trained(one)
        PAGE.write_text(page(found, learned), encoding="utf-8")


if __name__ == "__main__":
    main()
