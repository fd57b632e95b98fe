"""A fourth framework, which initlab knows nothing of: dense layers in plain NumPy, registered from outside."""

from __future__ import annotations

from initlab import Framework, register_framework
from initlab.core.adapter import Adapter


def _load() -> Adapter:
    from tests.frameworks.numpy_nets.adapter import ADAPTER

    return ADAPTER


NUMPY_NETS = register_framework(
    Framework(
        "numpy_nets",
        "NumPy nets",
        _load,
        roots=("tests.frameworks.numpy_nets.nets:Chain",),
        model="Chain",
        packages=("numpy",),
    )
)
