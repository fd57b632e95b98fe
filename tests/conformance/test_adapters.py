"""Every framework passes the suite that is shipped for those of other packages, and so does one from outside."""

from __future__ import annotations

import pytest
from tests.frameworks.numpy_nets import NUMPY_NETS

from initlab.frameworks import FRAMEWORKS
from initlab.testing import ADAPTER_CHECKS, check_adapter
from initlab.testing.adapter import AdapterCheck

NEEDS = {"torch": "torch", "keras": "keras", "jax": "flax", NUMPY_NETS.name: "numpy"}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2
@pytest.mark.parametrize("check", ADAPTER_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("framework", NEEDS)
def test_every_framework_does_alike(framework: str, check: AdapterCheck) -> None:
    pytest.importorskip(NEEDS[framework])
    check_adapter(FRAMEWORKS[framework].load(), checks=[check])
