"""A capture beside a plain forward and backward pass, and a watched training step beside a plain one, in one run.

A ResNet-18 on 8 pictures of 3 x SIDE x SIDE, SIDE 64, 128 and 224, and a transformer of 6 blocks on 8 texts of 128
tokens.
Timed runs take turns, and the ratio is that of their medians; peak memory is that of a process of its own for each. Of
a watched run the measured steps and the others are timed apart, each beside a plain step, and spread over a period;
to a measured step belongs what it costs the next one, in which the reading is made up.

Usage: python benchmarks/bench_probe.py [--repeats 15] [--every 100] [--only time] [--threads 1]
With one thread the processor's time is read, which a busy machine spoils less.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.down = None
        if stride != 1 or inside != outside:
            self.down = nn.Sequential(nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x):
        """(n, inside, h, w) -> (n, outside, h / stride, w / stride)."""
        identity = x if self.down is None else self.down(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


def resnet18():
    widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2),
              (512, 512, 1)]  # fmt: skip
    stem = [nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    blocks = [BasicBlock(*width) for width in widths]
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)]
    return nn.Sequential(*stem, nn.MaxPool2d(3, stride=2, padding=1), *blocks, *tail)


class Block(nn.Module):
    """A pre-LN transformer block."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        """(n, tokens, width) -> the same."""
        n, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, d))
        return x + self.proj(functional.gelu(self.fc(self.ln2(x))))


class Transformer(nn.Module):
    """A small GPT."""

    def __init__(self, depth=6, width=256, vocabulary=1000, length=128):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, 8) for _ in range(depth))
        self.ln, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        """(n, tokens) -> (n, tokens, vocabulary)."""
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


def case(name):
    torch.manual_seed(0)
    if name.startswith("resnet18"):
        side = int(name.partition(" ")[2])
        return resnet18(), torch.randn(8, 3, side, side), torch.randint(1000, (8,))
    return Transformer(), torch.randint(1000, (8, 128)), torch.randint(1000, (8, 128))


def plain(model, x, y):
    logits = model(x)
    functional.cross_entropy(logits.flatten(0, -2), y.flatten()).backward()
    model.zero_grad()


def probe(model, x, y):
    from initlab.frameworks.torch.adapter import TorchAdapter

    TorchAdapter().capture(model, x, targets=y)


CLOCK = time.perf_counter
PASSES = {"plain": plain, "capture": probe}


def seconds(work):
    began = CLOCK()
    work()
    return CLOCK() - began


def time_ratio(name, repeats):
    model, x, y = case(name)
    found = {kind: [] for kind in PASSES}
    for turn in range(repeats + 2):
        for kind, one_pass in PASSES.items():
            spent = seconds(lambda one_pass=one_pass: one_pass(model, x, y))
            if turn >= 2:
                found[kind].append(spent)
    ours, theirs = (statistics.median(found[kind]) for kind in ("capture", "plain"))
    print(f"{name}: capture {1e3 * ours:.1f} ms, forward and backward {1e3 * theirs:.1f} ms: {ours / theirs:.3f}x")


def watch_ratio(name, every, repeats):
    """Two models take turns: one is watched for a period, then its twin, so that neither's place in memory counts."""
    from initlab.frameworks.torch.adapter import TorchAdapter

    twins = [case(name) for _ in range(2)]
    rules = [torch.optim.SGD(model.parameters(), lr=1e-3) for model, _, _ in twins]

    def step(i):
        model, x, y = twins[i]
        rules[i].zero_grad()
        logits = model(x)
        functional.cross_entropy(logits.flatten(0, -2), y.flatten()).backward()
        rules[i].step()

    rest, measured, counted = [], [], []
    for i in (0, 1, 0, 1):
        step(i)
    for period in range(2 * repeats):
        i = period % 2
        with TorchAdapter().watch(twins[i][0], every=every, on_reading=lambda step, reading: None):
            measured.append(seconds(lambda i=i: step(i)) + seconds(lambda i=i: step(i)))
            for _ in range(every - 2):
                rest.append(seconds(lambda i=i: step(1 - i)))
                counted.append(seconds(lambda i=i: step(i)))
    base = statistics.median(rest)
    spread = statistics.median(measured) / base - 1.0, statistics.median(counted) / base
    whole = (spread[0] + (every - 1) * spread[1]) / every
    print(f"{name}: watch(every={every}): {whole:.4f}x a plain step ({spread[0]:.2f}x measured, {spread[1]:.4f}x else)")


def peak(name, kind):
    """Kilobytes that a process holds at most; both kinds have their code loaded by a small pass before."""
    model, x, y = case(name)
    for one_pass in PASSES.values():
        one_pass(model, x[:2], y[:2])
    PASSES[kind](model, x, y)
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def memory_ratio(name):
    def child(kind):
        command = [sys.executable, __file__, "--peak", name, kind]
        return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()[-1])

    found = {kind: [child(kind) for _ in range(3)] for kind in PASSES}
    ours, theirs = (statistics.median(found[kind]) for kind in ("capture", "plain"))
    print(f"{name}: peak memory {ours / 1024:.0f} MB beside {theirs / 1024:.0f} MB: {ours / theirs:.3f}x")


def main():
    global CLOCK
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--peak", nargs=2, metavar=("MODEL", "PASS"))
    parser.add_argument("--only", choices=("time", "memory", "watch"))
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.threads == 1:
        CLOCK = time.process_time
    if args.peak:
        return peak(*args.peak)
    for name in ("resnet18 64", "resnet18 128", "resnet18 224", "transformer"):
        if args.only in (None, "time"):
            time_ratio(name, args.repeats)
        if args.only in (None, "memory"):
            memory_ratio(name)
        if args.only in (None, "watch"):
            watch_ratio(name, args.every, max(args.repeats // 5, 1))
    return None


if __name__ == "__main__":
    main()
