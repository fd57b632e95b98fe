"""400 models of the iris study, a whole process of ours beside Keras fitting them one by one.

Ours: import, compile, train 4 initializations x 100 seeds with every statistic and histograms at start and end, by one
worker process a core; once with an empty cache of compiled code, once with what an earlier run left there. Keras: a new
model and ``model.fit`` on its JAX backend for each, free to use every core; the median after a warm-up. The rows are
noise of iris' shape, which costs the same as iris.

Usage: python benchmarks/bench_iris.py [--models 100 400 800] [--workers 2] [--repeats 2]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

INITS = ("zeros", "normal", "glorot", "he")
WIDTHS, BATCH, EPOCHS = (4, 64, 32, 3), 32, 50


def iris_like():
    import numpy as np

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((150, 4), np.float32), (np.arange(150) % 3).astype(np.int32)
    order = rng.permutation(150)
    return x[order[:120]], y[order[:120]], x[order[120:]], y[order[120:]]


def starts(models, first):
    import numpy as np

    from initlab.core.facts.arch import Mlp
    from initlab.core.training.protocol import Start

    std = {
        "zeros": lambda shape: 0.0,
        "normal": lambda shape: 0.05,
        "glorot": lambda shape: (2 / sum(shape)) ** 0.5,
        "he": lambda shape: (2 / shape[1]) ** 0.5,
    }
    out = []
    for i in range(first, first + models):
        name, seed = INITS[i % 4], i // 4
        rng = np.random.default_rng(seed)
        drawn = {}
        for p in Mlp(WIDTHS).spec().params:
            scale = np.float32(std[name](p.shape)) if p.role == "dense" else np.float32(0)
            drawn[p.path] = rng.standard_normal(p.shape, np.float32) * scale
        out.append(Start(seed, drawn))
    return out


def worker(core, models, first):
    from initlab.frameworks.jax.training.pinning import keep_compiled, use_one_thread
    from initlab.study.pinning import pin_to_core

    pin_to_core(core)
    use_one_thread()
    if "INITLAB_BENCH_KEPT" in os.environ:
        from pathlib import Path

        keep_compiled(Path(os.environ["INITLAB_BENCH_KEPT"]))
    from initlab.core.facts.arch import Mlp
    from initlab.core.training.dataset import Dataset
    from initlab.core.training.protocol import Budget, Optimizer, TrainingSetup
    from initlab.frameworks.jax.training.train import train

    x, y, x_test, y_test = iris_like()
    data = Dataset("iris", x, y, x_test, y_test, class_names=("setosa", "versicolor", "virginica"))
    setup = TrainingSetup(Mlp(WIDTHS), data, Optimizer(), Budget(EPOCHS, BATCH), histogram_epochs=(0, EPOCHS))
    began = time.perf_counter()
    done = train(setup, starts(models, first))
    print(json.dumps({"models": len(done), "train": time.perf_counter() - began}))


def ours(models, workers, kept=None):
    """Wall seconds of the whole, from the first process started to the last one ended."""
    env = dict(os.environ) if kept is None else {**os.environ, "INITLAB_BENCH_KEPT": kept}
    began = time.perf_counter()
    share = [models // workers + (i < models % workers) for i in range(workers)]
    children = [
        subprocess.Popen(
            [sys.executable, __file__, "--worker", str(i), str(n), str(sum(share[:i]))],
            env=env,
            stdout=subprocess.DEVNULL,
        )
        for i, n in enumerate(share)
    ]
    if any(child.wait() for child in children):
        raise SystemExit("a worker failed")
    return time.perf_counter() - began


def keras_fits(count):
    """Seconds of each fit after a warm-up; a new model for each, as a study by hand does."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    x, y, x_test, y_test = iris_like()
    seconds = []
    for seed in range(count + 1):
        keras.utils.set_random_seed(seed)
        began = time.perf_counter()
        hidden = [keras.layers.Dense(n, activation="relu", kernel_initializer="he_normal") for n in WIDTHS[1:-1]]
        last = keras.layers.Dense(WIDTHS[-1], activation="softmax")
        model = keras.Sequential([keras.Input((WIDTHS[0],)), *hidden, last])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, validation_data=(x_test, y_test), verbose=0)
        seconds.append(time.perf_counter() - began)
    print(json.dumps(seconds[1:]))


def keras(count=3):
    command = [sys.executable, __file__, "--keras", str(count)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, nargs="+", default=[100, 400, 800])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--worker", type=int, nargs=3)
    parser.add_argument("--keras", type=int)
    args = parser.parse_args()
    if args.worker:
        return worker(*args.worker)
    if args.keras:
        return keras_fits(args.keras)
    walls, kept_walls, fits = {n: [] for n in args.models}, {n: [] for n in args.models}, []
    with tempfile.TemporaryDirectory() as kept:
        ours(8, args.workers, kept)
        for _ in range(args.repeats):
            fits += keras(3)
            for n in args.models:
                walls[n].append(ours(n, args.workers))
                kept_walls[n].append(ours(n, args.workers, kept))
    one = statistics.median(fits)
    print(f"keras.fit, one model: {one:.2f} s (median of {len(fits)}, after a warm-up)")
    for label, results in (("compiled anew", walls), ("compiled before", kept_walls)):
        for n, seconds in results.items():
            wall = statistics.median(seconds)
            print(
                f"initlab, {n} models, whole process, {label}: {wall:.2f} s = {1e3 * wall / n:.2f} ms a model; ", end=""
            )
            print(f"{one * n / wall:.0f}x faster than keras one by one")
    low, high = min(args.models), max(args.models)
    if low < high:
        slope = (statistics.median(walls[high]) - statistics.median(walls[low])) / (high - low)
        start = statistics.median(walls[low]) - slope * low
        print(f"cost = {start:.2f} s + {1e3 * slope:.2f} ms a model (by {low} and {high} models)")
        for n in args.models:
            print(f"  {n} models: measured {statistics.median(walls[n]):.2f} s, the line {start + slope * n:.2f} s")
    return None


if __name__ == "__main__":
    main()
