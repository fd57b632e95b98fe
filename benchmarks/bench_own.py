"""A user's own torch models compared: all of a study's models trained together, beside one after another.

Both on one thread, in turns, with every statistic of every layer recorded: the 14 schemes x 5 seeds of a small network
on iris, and of networks on the digits. The trial that finds whether a network can be in a chunk is in the first figure
of each row, not in the ratio. One after another is timed on four of the models.

Usage: python benchmarks/bench_own.py [--repeats 3]
"""

import argparse
import statistics
import time
from itertools import pairwise

import torch
from torch import nn

import initlab
from initlab.api.own_models import own_study
from initlab.core.training.protocol import Start
from initlab.frameworks.torch.user_training import train as own
from initlab.frameworks.torch.user_training.single import train_alone
from initlab.study.design import expand
from initlab.study.run import initial_weights
from initlab.study.wire import user_setup_for

SCHEMES = (
    *("he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform", "torch_default"),
    *("keras_default", "auto", "orthogonal", "truncated_normal", "normal", "uniform", "zeros"),
)
SEEDS, FEW = 5, 4


def chain(*widths):
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def convolution(channels):
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, stride=2, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(16 * channels, 10),
    )


NETS = {
    "4-16-16-3, iris": (lambda: chain(4, 16, 16, 3), "iris", 50),
    "64-32-10, digits": (lambda: chain(64, 32, 10), "digits", 5),
    "convolution, 4 channels, digits": (lambda: convolution(4), "digits", 5),
    "64-64-10, digits": (lambda: chain(64, 64, 10), "digits", 5),
}


def timed(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(build, data, epochs, repeats):
    """Seconds of the trial, and of a model in a chunk and alone, each by repeat."""
    asked = own_study(build, data, schemes=SCHEMES, seeds=SEEDS, epochs=epochs)
    specs = expand(asked.design, asked.dataset)
    starts = [Start(spec.seed, initial_weights(spec)) for spec in specs]
    setup = user_setup_for(specs[0], asked.dataset, build)
    trial = timed(lambda: own.together(setup))
    size, reason = own.together(setup)
    if size == 1:
        raise SystemExit(f"trained alone: {reason}")
    together, alone = [], []
    for i in range(repeats):
        few = starts[i * FEW : (i + 1) * FEW]
        together.append(timed(lambda: own.train(setup, starts)) / len(starts))
        alone.append(timed(lambda few=few: [train_alone(setup, start) for start in few]) / FEW)
    return trial, together, alone


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{len(SCHEMES)} schemes x {SEEDS} seeds, initlab {initlab.__version__}, torch {torch.__version__}")
    for name, (build, data, epochs) in NETS.items():
        trial, together, alone = measure(build, data, epochs, args.repeats)
        ours, theirs = (statistics.median(times) for times in (together, alone))
        print(
            f"{name}: trial {trial:.2f} s; a model of {epochs} epochs: together {1e3 * ours:.1f} ms, "
            f"alone {1e3 * theirs:.1f} ms: {theirs / ours:.1f}x"
        )


if __name__ == "__main__":
    main()
