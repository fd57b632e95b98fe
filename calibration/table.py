"""The table of labels, as it is committed."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import nets
import training

TABLE = Path(__file__).parent / "labels.csv"
FIELDS = ("kind", "activation", "depth", "width", "start", "task", "label", "sgd", "adam", "warm_up")


def read(path: Path = TABLE) -> dict[nets.Net, training.Labelled]:
    """The labels that are committed."""
    with path.open(newline="", encoding="utf-8") as file:
        return {
            nets.Net(
                r["kind"], r["activation"], int(r["depth"]), int(r["width"]), r["start"], r["task"]
            ): training.Labelled(
                r["label"],
                float(r["sgd"]),
                float(r["adam"]),
                float(r["warm_up"]),  # type: ignore[arg-type]
            )
            for r in csv.DictReader(file)
        }


def write(labels: dict[nets.Net, training.Labelled], path: Path = TABLE) -> None:
    """Write the table, in the order of the set."""
    order = {net: i for i, net in enumerate(nets.nets())}
    with path.with_suffix(".part").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for net in sorted((net for net in labels if net in order), key=order.__getitem__):
            got = labels[net]
            shares = (f"{value:.3f}" for value in (got.sgd, got.adam, got.warm_up))
            writer.writerow([*asdict(net).values(), got.label, *shares])
    path.with_suffix(".part").replace(path)
