"""Run by ``test_train.py`` in a process of its own, with KERAS_BACKEND set: every case trained by Keras.

Usage: train_reference.py OUTPUT.npz
"""

import sys

import keras
import numpy as np
from tests.frameworks.training_cases import CASES, EPOCHS, FEW, arrays_of, dataset, setup, start

from initlab import initialize, plan
from initlab.core.facts.arch import Mlp
from initlab.core.training.protocol import Budget, Optimizer, TrainingSetup
from initlab.frameworks.keras.training.train import train
from initlab.frameworks.keras.zoo import build_mlp

PARITY = Mlp((6, 8, 8, 3), activation="tanh", norm="layer", residual=True)


def main():
    found = {}
    for name in CASES if keras.backend.backend() == "jax" else FEW:
        case = CASES[name][0]
        # Twice by the same compiled models: the second must find nothing that the first left behind.
        runs = train(setup(case), [start(case), start(case)])
        for i, run in enumerate(runs):
            found |= {f"{name}:{i}:{key}": values for key, values in arrays_of(run).items()}
    case = CASES["sgd"][0]
    wild = TrainingSetup(case.arch, dataset(case), Optimizer("sgd", 1e30), Budget(EPOCHS, 14))
    diverged, after = train(wild, [start(case)])[0], train(setup(case), [start(case)])[0]
    found |= {"diverged": diverged.reason, "after divergence": after.curves["test_loss"]}
    model = build_mlp(PARITY)
    initialize(model, "he_normal", seed=3)
    for path, values in plan(PARITY, "he_normal").draw(3).items():
        layer, _, leaf = path.partition("/")
        native = {"weight": "kernel", "scale": "gamma", "bias": "beta" if layer.startswith("norm") else "bias"}[leaf]
        held = keras.ops.convert_to_numpy(getattr(model.get_layer(layer), native))
        found[f"canonical:{path}"] = np.array_equal(held.T if leaf == "weight" else held, values)
    x = np.linspace(-1, 1, 54, dtype=np.float32).reshape(9, 6)
    found["logits"] = keras.ops.convert_to_numpy(model(x))
    np.savez(sys.argv[1], **found)


if __name__ == "__main__":
    main()
