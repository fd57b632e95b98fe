"""The Keras trainer on each back end beside our JAX engine: the same weights, batches and masks, the same records."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.frameworks.training_cases import CASES, FEW, arrays_of, assert_alike, setup, start

from initlab import plan
from initlab.core.facts.arch import Mlp

BACKENDS = ["jax", "tensorflow", "torch"]
PARITY = Mlp((6, 8, 8, 3), activation="tanh", norm="layer", residual=True)


@pytest.fixture(scope="module")
def trained_by(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config):
    @cache
    def on(backend: str) -> dict[str, np.ndarray]:
        pytest.importorskip(backend)
        out = tmp_path_factory.mktemp(backend) / "trained.npz"
        env = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(pytestconfig.rootpath)}
        command = [sys.executable, str(Path(__file__).with_name("train_reference.py")), str(out)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return dict(np.load(out))

    return on


def part(found: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): values for name, values in found.items() if name.startswith(prefix)}


@pytest.mark.parametrize(("backend", "name"), [(b, name) for b in BACKENDS for name in (CASES if b == "jax" else FEW)])
def test_a_run_is_that_of_the_jax_engine(trained_by, backend: str, name: str) -> None:
    from initlab.frameworks.jax.training.train import train

    case, tolerance = CASES[name]
    assert_alike(part(trained_by(backend), f"{name}:0:"), arrays_of(train(setup(case), [start(case)])[0]), tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_leaves_nothing_behind_for_the_next(trained_by, backend: str) -> None:
    found = trained_by(backend)
    for name in FEW:
        first, second = (part(found, f"{name}:{i}:") for i in (0, 1))
        assert all(np.array_equal(first[key], second[key], equal_nan=True) for key in first), name
    assert np.array_equal(found["after divergence"], found["sgd:0:curves/test_loss"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_that_overflows_is_a_divergence_with_its_step(trained_by, backend: str) -> None:
    assert str(trained_by(backend)["diverged"]) == "loss became nan at step 2 (epoch 1)"


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_holds_the_canonical_weights_bit_for_bit(trained_by, backend: str) -> None:
    held = part(trained_by(backend), "canonical:")
    assert len(held) == 10
    assert all(held.values())


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_gives_the_outputs_of_our_own(trained_by, backend: str) -> None:
    from initlab.frameworks.jax.training.model import forward

    x = np.linspace(-1, 1, 54, dtype=np.float32).reshape(9, 6)
    ours = np.asarray(forward(PARITY, plan(PARITY, "he_normal").draw(3), x).logits)
    np.testing.assert_allclose(trained_by(backend)["logits"], ours, rtol=0, atol=5e-6 * np.abs(ours).max())
