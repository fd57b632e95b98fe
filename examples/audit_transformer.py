"""A small GPT whose initialization missed some layers is audited, mended, locked, and tampered with.

What to see: the loop below was written for layers called ``out_proj``, and this model calls them ``c_proj``. Nothing
fails and the model trains, but twelve projections never got their 1/sqrt(2L). The audit names them and the missing
factor; the lock finds the one tensor that was changed behind its back.
"""

# %% [markdown]
# # A transformer, audited
# A GPT of six blocks, with a hand-written initialization that has a bug.

# %%
import torch
from torch import nn
from torch.nn import functional

import initlab

WORDS, CONTEXT, WIDTH, BLOCKS, HEADS = 200, 32, 64, 6, 4


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.c_attn = nn.Linear(WIDTH, 3 * WIDTH)
        self.c_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, tokens, width) to the same."""
        rows, tokens, width = x.shape
        q, k, v = (part.view(rows, tokens, HEADS, -1).transpose(1, 2) for part in self.c_attn(x).split(width, dim=2))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(mixed.transpose(1, 2).reshape(rows, tokens, width))


class Mlp(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self) -> None:
        super().__init__()
        self.c_fc = nn.Linear(WIDTH, 4 * WIDTH)
        self.c_proj = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, tokens, width) to the same."""
        return self.c_proj(functional.gelu(self.c_fc(x)))


class Block(nn.Module):
    """Both, each behind a norm and beside a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(WIDTH), Attention()
        self.ln_2, self.mlp = nn.LayerNorm(WIDTH), Mlp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, tokens, width) to the same."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    """Token and position embeddings, blocks, and a head that is the token embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(WORDS, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.ln_f = nn.LayerNorm(WIDTH)
        self.lm_head = nn.Linear(WIDTH, WORDS, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Whole numbers (rows, tokens) to logits (rows, tokens, words)."""
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.ln_f(x))


# %% [markdown]
# N(0, 0.02²) everywhere, and 1/√(2L) of that in what writes into the residual sum: so it was meant.

# %%
torch.manual_seed(0)
model = Gpt()
for module in model.modules():
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
for name, parameter in model.named_parameters():
    if name.endswith("out_proj.weight"):
        nn.init.normal_(parameter, std=0.02 / (2 * BLOCKS) ** 0.5)

# %% [markdown]
# Does every parameter hold what GPT-2 declares? The audit reads the numbers, not the code.

# %%
audit = initlab.audit(model, "gpt2")
print(audit)

# %% [markdown]
# Mended: every parameter drawn as GPT-2 has it, whatever the layers are called.

# %%
initlab.initialize(model, "gpt2", seed=0)
mended = initlab.audit(model, "gpt2")
print(mended)

# %% [markdown]
# The lock keeps family, std and digest of every tensor: for CI, so that nobody changes the start unseen.

# %%
lock = initlab.lock(model, "initlab.lock.json")
with torch.no_grad():
    model.blocks[3].mlp.c_fc.weight.mul_(2)
tampered = initlab.audit(model, lock)
print(tampered)
