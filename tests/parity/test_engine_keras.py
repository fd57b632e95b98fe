"""Our trainer beside Keras: the same weights and the same batches give the same curves."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.frameworks.training_cases import EPOCHS, ROWS, SEED, Case, dataset, weights

from initlab.core.facts.arch import Mlp
from initlab.core.training.batches import epoch_order
from initlab.core.training.protocol import Budget, Optimizer, Start, TrainingSetup

pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed")

CASES = {
    "sgd": Case(Mlp((6, 12, 3)), Optimizer("sgd", 0.1)),
    "adam, partial last batch": Case(Mlp((6, 16, 8, 3)), Optimizer("adam", 0.01), batch_size=16),
    "momentum, clip norm, layer norm, residual": Case(
        Mlp((6, 8, 8, 3), activation="tanh", norm="layer", residual=True), Optimizer("momentum", 0.05, clip_norm=0.3)
    ),
    # Without biases: a batch norm takes them out, so their gradient is rounding error, and Adam makes full steps of it.
    "adamw, L1, L2, batch norm": Case(
        Mlp((6, 8, 8, 3), activation="gelu", norm="batch", bias=False), Optimizer("adamw", 0.01, l1=0.002, l2=0.003)
    ),
    "regression": Case(Mlp((6, 8, 2), activation="elu"), Optimizer("adam", 0.01), loss="mse", kind="regression"),
}


def described(case: Case) -> dict[str, object]:
    o, a = case.optimizer, case.arch
    return {
        "widths": a.widths,
        "activation": a.activation,
        "norm": a.norm,
        "residual": a.residual,
        "bias": a.bias,
        "optimizer": o.name,
        "learning_rate": o.learning_rate,
        "clip_norm": o.clip_norm,
        "l1": o.l1,
        "l2": o.l2,
        "loss": case.loss,
        "batch_size": case.batch_size,
    }


@pytest.fixture(scope="module")
def keras_curves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("keras")
    given: dict[str, object] = {"cases": json.dumps({name: described(case) for name, case in CASES.items()})}
    for name, case in CASES.items():
        data = dataset(case)
        epochs = range(1, EPOCHS + 1)
        order = np.stack([epoch_order(SEED, epoch, ROWS, case.batch_size).ravel()[:ROWS] for epoch in epochs])
        given[f"{name}:order"] = order
        for key in ("x_train", "y_train", "x_test", "y_test"):
            given[f"{name}:{key}"] = getattr(data, key)
        given.update({f"{name}:{path}": array for path, array in weights(case).items()})
    np.savez(folder / "given.npz", **given)
    script = Path(__file__).with_name("keras_engine_reference.py")
    command = [sys.executable, str(script), str(folder / "given.npz"), str(folder / "curves.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "curves.npz"))


@pytest.mark.parametrize("name", CASES)
def test_the_loss_curves_are_those_of_keras(name: str, keras_curves: dict[str, np.ndarray]) -> None:
    from initlab.frameworks.jax.training.train import train

    case = CASES[name]
    setup = TrainingSetup(case.arch, dataset(case), case.optimizer, Budget(EPOCHS, case.batch_size), loss=case.loss)
    ours = train(setup, [Start(SEED, weights(case))])[0]
    for curve in ("train_loss", "test_loss"):
        # 15 steps of float32 arithmetic, summed in another order: a few units in the last place (6e-8) each.
        np.testing.assert_allclose(ours.curves[curve][1:], keras_curves[f"{name}:{curve}"], rtol=2e-5, err_msg=curve)
    for curve in ("train_accuracy", "test_accuracy"):
        np.testing.assert_allclose(ours.curves[curve][1:], keras_curves[f"{name}:{curve}"], rtol=1e-6, err_msg=curve)
