"""The mnist study's network, per model and epoch with the test evaluation: ours beside ``keras.Model.fit``.

784 -> 256 -> 128 -> 10, dropout 0.2, Adam, batch 128. Ours: two workers, each with a core and a model of its own.
Keras: one model on its JAX backend, free to use every core. Both are timed after a warm-up, so compiling is left out.

Usage: python benchmarks/bench_mnist.py [FOLDER] [--epochs 3] [--repeats 3]
FOLDER (or INITLAB_DATA) holds MNIST's four IDX files, plain or .gz; without it, noise of the same shape is trained on.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

WIDTHS, BATCH, DROPOUT = (784, 256, 128, 10), 128, 0.2
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_path(folder, name):
    """The file of that name, plain or gzipped, here or in a folder below; None where there is none."""
    spellings = {name, name.replace("-idx", ".idx")}
    found = [p for p in sorted(Path(folder).rglob("*")) if p.is_file() and p.name.removesuffix(".gz") in spellings]
    return found[0] if found else None


def read_idx(path):
    import numpy as np

    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def arrays(folder):
    """The rows and what they are, in words."""
    import numpy as np

    paths = [idx_path(folder, name) for name in FILES] if folder else [None]
    if all(paths):
        x, y, x_test, y_test = (read_idx(path) for path in paths)
        flat = [np.float32(images.reshape(len(images), -1)) / np.float32(255) for images in (x, x_test)]
        return (flat[0], np.int32(y), flat[1], np.int32(y_test)), f"real MNIST from {folder}"
    rng = np.random.default_rng(0)
    noise = [rng.random((n, 784), np.float32) for n in (60_000, 10_000)]
    labels = [rng.integers(0, 10, n).astype(np.int32) for n in (60_000, 10_000)]
    return (noise[0], labels[0], noise[1], labels[1]), "noise of MNIST's shape (no FOLDER or INITLAB_DATA given)"


def wait_for_go():
    """Tells the parent that the warm-up is done and waits until every worker's is."""
    print("ready", flush=True)
    sys.stdin.readline()


def worker(core, epochs, folder):
    from initlab.frameworks.jax.pinning import pin_to_core

    pin_to_core(core)
    import numpy as np

    from initlab.core.arch import Mlp
    from initlab.core.dataset import Dataset
    from initlab.core.training import Budget, Optimizer, Recipe, Start
    from initlab.frameworks.jax.train import train

    (x, y, x_test, y_test), _ = arrays(folder)
    data = Dataset("mnist", x, y, x_test, y_test, class_names=tuple("0123456789"))
    arch, rng = Mlp(WIDTHS, dropout=DROPOUT), np.random.default_rng(core)
    drawn = {
        p.path: rng.standard_normal(p.shape, np.float32) * np.float32((2 / p.shape[-1]) ** 0.5 * (p.role == "dense"))
        for p in arch.spec().params
    }
    start = Start(core, drawn)
    train(Recipe(arch, data, Optimizer(), Budget(1, BATCH)), [start])
    wait_for_go()
    began = time.perf_counter()
    done = train(Recipe(arch, data, Optimizer(), Budget(epochs, BATCH), histogram_epochs=(0, epochs)), [start])
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


def together(commands):
    """What each command reports, all of them timed over the same span."""
    children = [
        subprocess.Popen([sys.executable, __file__, *c], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for c in commands
    ]
    for child in children:
        if child.stdout.readline().strip() != "ready":
            raise SystemExit("a worker failed")
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    return [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", default=os.environ.get("INITLAB_DATA", ""))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", type=int)
    parser.add_argument("--keras", action="store_true")
    args = parser.parse_args()
    if args.worker is not None:
        return worker(args.worker, args.epochs, args.folder)
    if args.keras:
        return keras_fit(args.epochs, args.folder)
    print(f"data: {arrays(args.folder)[1]}")
    tail = [args.folder, "--epochs", str(args.epochs)]
    ours, keras = [], []
    for _ in range(args.repeats):
        pair = together([["--worker", str(core), *tail] for core in range(2)])
        ours.append(max(one["seconds"] for one in pair) / 2)
        [alone] = together([["--keras", *tail]])
        keras.append(alone["seconds"])
        accuracies = ", ".join(f"{one['accuracy']:.4f}" for one in (*pair, alone))
        print(f"initlab {ours[-1]:.3f} s, keras {keras[-1]:.3f} s a model and epoch; test accuracy {accuracies}")
    us, them = statistics.median(ours), statistics.median(keras)
    print(f"a model and epoch: initlab {us:.3f} s, keras {them:.3f} s: {them / us:.2f}x")
    return None


if __name__ == "__main__":
    main()
