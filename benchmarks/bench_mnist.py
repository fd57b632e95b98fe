"""The mnist study's network, per model and epoch with the test evaluation: ours beside ``keras.Model.fit``.

784 -> 256 -> 128 -> 10, dropout 0.2, Adam, batch 128. Ours: two workers, each with a core and a model of its own.
Keras: one model on its JAX backend, free to use every core. Both are timed after a warm-up, so compiling is left out.

Usage: python benchmarks/bench_mnist.py [FOLDER] [--epochs 3] [--repeats 3]
FOLDER (or INITLAB_DATA) holds MNIST's four IDX files, plain or .gz; without it, noise of the same shape is trained on.
"""

import json
import os
import time

from mnist_arrays import arrays
from side_by_side import run, wait_for_go

WIDTHS, BATCH, DROPOUT = (784, 256, 128, 10), 128, 0.2


def worker(core, epochs, folder):
    from initlab.frameworks.jax.training.pinning import use_one_thread
    from initlab.study.pinning import pin_to_core

    pin_to_core(core)
    use_one_thread()
    import numpy as np

    from initlab.core.facts.arch import Mlp
    from initlab.core.training.dataset import Dataset
    from initlab.core.training.protocol import Budget, Optimizer, Start, TrainingSetup
    from initlab.frameworks.jax.training.train import train

    (x, y, x_test, y_test), _ = arrays(folder)
    data = Dataset("mnist", x, y, x_test, y_test, class_names=tuple("0123456789"))
    arch, rng = Mlp(WIDTHS, dropout=DROPOUT), np.random.default_rng(core)
    drawn = {
        p.path: rng.standard_normal(p.shape, np.float32) * np.float32((2 / p.shape[-1]) ** 0.5 * (p.role == "dense"))
        for p in arch.spec().params
    }
    start = Start(core, drawn)
    train(TrainingSetup(arch, data, Optimizer(), Budget(1, BATCH)), [start])
    wait_for_go()
    began = time.perf_counter()
    done = train(TrainingSetup(arch, data, Optimizer(), Budget(epochs, BATCH), histogram_epochs=(0, epochs)), [start])
    accuracy = float(done[0].curves["test_accuracy"][-1])
    print(json.dumps({"seconds": (time.perf_counter() - began) / epochs, "accuracy": accuracy}))


def keras_fit(epochs, folder):
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    (x, y, x_test, y_test), _ = arrays(folder)
    layers = [keras.Input((WIDTHS[0],))]
    for width in WIDTHS[1:-1]:
        layers += [keras.layers.Dense(width, "relu", kernel_initializer="he_normal"), keras.layers.Dropout(DROPOUT)]
    model = keras.Sequential([*layers, keras.layers.Dense(WIDTHS[-1], "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit = {"batch_size": BATCH, "validation_data": (x_test, y_test), "verbose": 0}
    model.fit(x, y, epochs=1, **fit)
    wait_for_go()
    began = time.perf_counter()
    history = model.fit(x, y, epochs=epochs, **fit)
    accuracy = history.history["val_accuracy"][-1]
    print(json.dumps({"seconds": (time.perf_counter() - began) / epochs, "accuracy": accuracy}))


if __name__ == "__main__":
    run(worker, keras_fit, "keras", repeats=3)
