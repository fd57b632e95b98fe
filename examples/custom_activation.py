"""An activation of your own is registered, described, used in a PyTorch model, and given the weights it needs.

What to see: one NumPy function is enough. Its gains, its chi_1 and its edge of chaos follow by quadrature; ``auto`` and
the probe know it by name; and He's gain, made for ReLU, is shown to let the signal of this activation fade with depth.
"""

# %% [markdown]
# # A custom activation
# Half a hyperbola: `bend(x) = (x + sqrt(x² + 1) - 1) / 2`, which is 0 at 0, straight far out, and smooth between.

# %%
import numpy as np
import torch
from torch import nn

import initlab


@initlab.register_activation(
    "bend", kinks=(), derivative=lambda x: (1 + x / np.sqrt(x**2 + 1)) / 2, formula="(x + sqrt(x^2 + 1) - 1) / 2"
)
def bend(x: np.ndarray) -> np.ndarray:
    """The activation itself."""
    return (x + np.sqrt(x**2 + 1) - 1) / 2


# %% [markdown]
# What theory knows of it at once.

# %%
found = initlab.theory.describe_activation("bend")
print(f"forward gain {found.forward_gain:.4f}, backward gain {found.backward_gain:.4f}")
print(f"chi_1 {found.chi_1:.4f}: {found.gradient}")
print(f"V'(1) {found.variance_slope:.4f}: {found.signal}")

# %% [markdown]
# The same function in a PyTorch model, as a module whose class has its name.


# %%
class Bend(nn.Module):
    """The activation for tensors."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Elementwise."""
        return (x + torch.sqrt(x**2 + 1) - 1) / 2


def deep(depth: int = 20, width: int = 256) -> nn.Sequential:
    """Linear and bend, twenty times."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), Bend()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


# %% [markdown]
# initlab knows it by the name of its class; the plan shows it on both sides of each weight.

# %%
model = deep()
plan = initlab.plan(model, "auto")
print(plan)

# %% [markdown]
# He's gain beside its own: theory and measurement, twenty layers deep.

# %%
generator = torch.Generator().manual_seed(0)
x = torch.randn(128, 256, generator=generator)
y = torch.randint(10, (128,), generator=generator)

profiles = {}
for scheme in ("he_normal", "auto"):
    profiles[scheme] = initlab.probe(initlab.initialize(model, scheme, seed=0), x, y)
    ratio = profiles[scheme].signal_ratio
    print(f"{scheme:9}  E[z²], last hidden layer over first: {ratio.measured:.2e}, theory {ratio.predicted:.2e}")

# %%
print(profiles["he_normal"].diagnose())

# %%
print(profiles["auto"])
