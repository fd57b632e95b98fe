"""Our two workers beside a rival that may use both cores: rounds taken in turns, and the ratio of the times.

A benchmark hands in two functions of (epochs, folder), ours with the core before them. Each runs in a process of its
own, warms up, calls ``wait_for_go``, and prints a line of JSON: ``seconds`` an epoch, and the test ``accuracy``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from mnist_arrays import arrays


def wait_for_go():
    """Tell the parent that the warm-up is done, and wait until every worker's is."""
    print("ready", flush=True)
    sys.stdin.readline()


def together(commands):
    """What each command reports, all of them timed over the same span."""
    children = [
        subprocess.Popen([sys.executable, sys.argv[0], *c], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for c in commands
    ]
    for child in children:
        if child.stdout.readline().strip() != "ready":
            raise SystemExit("a worker failed")
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    return [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]


def run(worker, rival, name, *, repeats):
    """Run the benchmark of the script that was started, or, in its children, the part that they are told to do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", default=os.environ.get("INITLAB_DATA", ""))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--worker", type=int)
    parser.add_argument("--rival", action="store_true")
    args = parser.parse_args()
    if args.worker is not None:
        worker(args.worker, args.epochs, args.folder)
    elif args.rival:
        rival(args.epochs, args.folder)
    else:
        compare(name, args)


def compare(name, args):
    print(f"data: {arrays(args.folder)[1]}")
    tail = [args.folder, "--epochs", str(args.epochs)]
    ours, theirs = [], []
    for _ in range(args.repeats):
        pair = together([["--worker", str(core), *tail] for core in range(2)])
        ours.append(max(one["seconds"] for one in pair) / 2)
        [alone] = together([["--rival", *tail]])
        theirs.append(alone["seconds"])
        accuracies = ", ".join(f"{one['accuracy']:.4f}" for one in (*pair, alone))
        print(f"initlab {ours[-1]:.3f} s, {name} {theirs[-1]:.3f} s a model and epoch; test accuracy {accuracies}")
    for word, of in (("median", statistics.median), ("best", min)):
        us, them = of(ours), of(theirs)
        print(f"a model and epoch, {word}: initlab {us:.3f} s, {name} {them:.3f} s: {them / us:.2f}x")
