"""Handwritten digits in PyTorch: three initializations are probed before training, and compared by training.

What to see: at std 1 the first loss is hundreds of times that of a guess, which the probe says before a step is taken,
and six seeds of training agree. The data are MNIST where it can be had (``INITLAB_DATA`` names its folder), else the
8 x 8 digits that travel with initlab.
"""

# %% [markdown]
# # Digits in PyTorch
# MNIST where it can be had; else the 8 x 8 digits that travel with initlab.

# %%
import torch
from torch import nn

import initlab

try:
    digits = initlab.load_task("mnist")
except initlab.InitlabError as error:
    print(f"{error}\nso the small digits are taken")
    digits = initlab.load_task("digits")

rows, epochs = (6000, 1) if digits.name == "mnist" else (len(digits.x_train), 4)
data = digits.x_train[:rows], digits.y_train[:rows], digits.x_test, digits.y_test
print(f"{digits.name}: {rows} rows of {digits.x_train.shape[1]} pixels")


def build() -> nn.Module:
    """Three hidden layers over the pixels."""
    return nn.Sequential(
        nn.Linear(digits.x_train.shape[1], 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


# %% [markdown]
# Before training: what do signal and gradient do under each of them?

# %%
x, y = torch.as_tensor(data[0][:256]), torch.as_tensor(data[1][:256]).long()
for scheme in ("normal(std=1.0)", "auto"):
    model = initlab.initialize(build(), scheme, seed=0, example=x)
    print(f"\n{scheme}\n{initlab.probe(model, x, y).diagnose()}")

# %% [markdown]
# And does that show in training?

# %%
result = initlab.compare(
    build=build,
    data=data,
    schemes=["normal(std=1.0)", "torch_default", "auto"],
    seeds=6,
    epochs=epochs,
    out=f"runs/{digits.name}-torch",
)
print(result)
