"""The back end that Keras starts with in these tests, and what they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

from initlab.core.adapter import WeightSource
from initlab.core.plans.plan import Plan


@pytest.fixture(scope="package", autouse=True)
def _keras_draws_quickly() -> Iterator[None]:
    """On JAX, Keras compiles its initializers anew for each shape; what they draw does not matter, but for the seed."""
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "jax":
        yield
        return
    from keras.src.backend import random

    generator = np.random.default_rng(0)

    def uniform(shape: tuple[int, ...], minval: float, maxval: float, dtype: str = "float32", seed: object = None):
        own = np.random.default_rng(seed) if isinstance(seed, int) else generator
        return keras.ops.convert_to_tensor(own.uniform(minval, maxval, shape), dtype=dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "uniform", uniform)
        yield


@pytest.fixture
def fresh_names() -> None:
    """Keras counts the names it makes up; a test that names them starts from none."""
    pytest.importorskip("keras").utils.clear_session(free_memory=False)


@pytest.fixture
def policy() -> Iterator[Callable[[str], None]]:
    """Sets Keras' dtype policy for one test."""
    keras = pytest.importorskip("keras")
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def write_plan() -> Callable[..., None]:
    """Writes every row of a plan that has a law."""
    from initlab.frameworks.keras.adapter import ADAPTER

    def write(plan: Plan, model: object, *, seed: int = 0) -> None:
        for entry in plan:
            if entry.law is not None:
                ADAPTER.write(model, entry.param, WeightSource(entry.law, entry.param, seed))

    return write
