"""A deep tanh network that explodes backwards is probed, diagnosed, mended by ``auto`` and probed again.

What to see: with the gain that PyTorch's table names for tanh, 5/3, the signal looks perfect in all 50 layers, and the
squared gradient grows by some 20 % in each of them on its way back. Theory says so before a step is taken, and the
measurement agrees. ``auto`` puts the net on the edge of chaos, where both keep their size.
"""

# %% [markdown]
# # A deep tanh net, mended
# Fifty layers, each drawn with the gain of 5/3 that PyTorch's table has for tanh.

# %%
import torch
from torch import nn

import initlab

DEPTH, WIDTH = 50, 100


def deep_tanh() -> nn.Sequential:
    """Linear and tanh, fifty times."""
    layers: list[nn.Module] = []
    for _ in range(DEPTH):
        layers += [nn.Linear(WIDTH, WIDTH), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


generator = torch.Generator().manual_seed(0)
x = torch.randn(128, WIDTH, generator=generator)
y = torch.randint(10, (128,), generator=generator)

gain = nn.init.calculate_gain("tanh")
model = initlab.initialize(deep_tanh(), f"variance_scaling(scale={gain**2})", seed=0)

# %% [markdown]
# One forward and one backward pass. Every number stands beside what theory says of it.

# %%
before = initlab.probe(model, x, y)
print(before)

# %%
diagnosis = before.diagnose()
print(diagnosis)

# %% [markdown]
# `auto` looks at the depth of this very model and chooses weights and biases on the edge of chaos.

# %%
initlab.initialize(model, "auto", seed=0)
after = initlab.probe(model, x, y)
print(after)

# %%
for name, profile in (("gain 5/3", before), ("auto", after)):
    ratio = profile.gradient_ratio
    print(f"{name:8}  squared gradient, first layer over last: {ratio.measured:.3g}, theory {ratio.predicted:.3g}")
after.assert_healthy()
print("healthy")
