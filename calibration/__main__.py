"""Derive the labels of the calibration set by training: ``./dev relabel`` all of them, or those that are missing."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

import nets
import table
import torch
import training


def derive(chosen: Iterable[nets.Net], labels: dict[nets.Net, training.Labelled], path: Path) -> None:
    """Label these nets and write the table after each."""
    held_to: dict[str, training.Reference] = {}
    for net in chosen:
        if net.family not in held_to:
            held_to[net.family] = training.reference(net)
            print(f"# {net.family}: {held_to[net.family]}", flush=True)
        labels[net] = training.label(net, held_to[net.family])
        print(f"{net.name}: {labels[net]}", flush=True)
        table.write(labels, path)


def main() -> None:
    """Go through the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=table.TABLE, help="the table that is written")
    parser.add_argument("--missing", action="store_true", help="keep the labels that the table has, add the others")
    parser.add_argument("--part", default="1/1", help="K/N: of every N families the K-th")
    options = parser.parse_args()
    torch.set_num_threads(1)
    labels = table.read(options.out) if options.missing and options.out.exists() else {}
    k, n = (int(part) for part in options.part.split("/"))
    families = list(dict.fromkeys(net.family for net in nets.nets()))
    mine = set(families[k - 1 :: n])
    wanted = [net for net in nets.nets() if net.family in mine and net not in labels]
    derive(sorted(wanted, key=_shuffled), labels, options.out)


def _shuffled(net: nets.Net) -> bytes:
    """An order in which every first part of the work is a sample of the whole."""
    return hashlib.sha256(net.name.encode()).digest()


if __name__ == "__main__":
    sys.exit(main())
