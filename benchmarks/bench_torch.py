"""The mnist-sgd study's network on torch, per model and epoch with the test evaluation: ours beside a DataLoader loop.

784 -> 128 -> 10, SGD 0.01, batch 64. Ours: two workers, each with a core and a model of its own, and every statistic of
every layer recorded. The loop: ``DataLoader`` over a ``TensorDataset`` with shuffling, ``CrossEntropyLoss``,
``torch.optim.SGD``, the running training loss and accuracy; one model, free to use every core. Anything else that runs
on the machine slows the loop far more than the workers, as its two threads wait for each other at every product: the
ratio of the best rounds is what a quiet machine gives.

Usage: python benchmarks/bench_torch.py [FOLDER] [--epochs 3] [--repeats 5]
FOLDER (or INITLAB_DATA) holds MNIST's four IDX files, plain or .gz; without it, noise of the same shape is trained on.
"""

import json
import time

from mnist_arrays import arrays
from side_by_side import run, wait_for_go

WIDTHS, BATCH, RATE = (784, 128, 10), 64, 0.01


def signed(folder):
    (x, y, x_test, y_test), words = arrays(folder)
    return (2 * x - 1, y, 2 * x_test - 1, y_test), words


def worker(core, epochs, folder):
    from pathlib import Path

    from initlab.frameworks import FRAMEWORKS
    from initlab.study.pinning import pin_to_core

    pin_to_core(core)
    FRAMEWORKS["torch"].settle(Path())
    from initlab import plan
    from initlab.core.facts.arch import Mlp
    from initlab.core.training.dataset import Dataset
    from initlab.core.training.protocol import Budget, Optimizer, Start, TrainingSetup
    from initlab.frameworks.torch.training.train import train

    (x, y, x_test, y_test), _ = signed(folder)
    data = Dataset("mnist", x, y, x_test, y_test, class_names=tuple("0123456789"))
    arch, optimizer = Mlp(WIDTHS), Optimizer("sgd", RATE)
    start = Start(core, plan(arch, "torch_default").draw(core))
    train(TrainingSetup(arch, data, optimizer, Budget(1, BATCH)), [start])
    wait_for_go()
    began = time.perf_counter()
    done = train(TrainingSetup(arch, data, optimizer, Budget(epochs, BATCH), histogram_epochs=(0, epochs)), [start])
    accuracy = float(done[0].curves["test_accuracy"][-1])
    print(json.dumps({"seconds": (time.perf_counter() - began) / epochs, "accuracy": accuracy}))


def usual_loop(epochs, folder):
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    tensors = [torch.from_numpy(array) for array in signed(folder)[0]]
    x, y, x_test, y_test = tensors[0], tensors[1].long(), tensors[2], tensors[3].long()
    loader = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    tests = DataLoader(TensorDataset(x_test, y_test), batch_size=1000)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    rule, criterion = torch.optim.SGD(model.parameters(), lr=RATE), nn.CrossEntropyLoss()

    def one_epoch():
        total = hits = 0.0
        for rows, classes in loader:
            rule.zero_grad()
            logits = model(rows)
            loss = criterion(logits, classes)
            loss.backward()
            rule.step()
            total += loss.item() * len(rows)
            hits += (logits.argmax(1) == classes).sum().item()
        with torch.no_grad():
            return sum(int((model(rows).argmax(1) == classes).sum()) for rows, classes in tests) / len(x_test)

    one_epoch()
    wait_for_go()
    began = time.perf_counter()
    accuracies = [one_epoch() for _ in range(epochs)]
    print(json.dumps({"seconds": (time.perf_counter() - began) / epochs, "accuracy": accuracies[-1]}))


if __name__ == "__main__":
    run(worker, usual_loop, "DataLoader", repeats=5)
