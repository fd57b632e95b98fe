"""What the probe says of every net of the calibration set, held against its label."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import nets
import tasks
import torch
import training

import initlab
from initlab.probing.diagnosis import Diagnosis

SAMPLES = 256
VERDICTS = ("sick", "hard", "healthy", "not judged")
LABELS = ("sick", "hard", "healthy", "border")


def diagnosis(net: nets.Net, *, seed: int = training.SEEDS[0]) -> Diagnosis:
    """The diagnosis of a net before it is trained, from its first samples."""
    task = tasks.load(net.task)
    x, y = task.x[:SAMPLES], task.y[:SAMPLES]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        own = task.loss in (tasks.cross_entropy, tasks.squared_error)
        profile = initlab.probe(nets.build(net, seed=seed), x, y, loss=None if own else task.loss)
        return profile.diagnose()


def held_out(net: nets.Net) -> bool:
    """Whether a net's family is of the half that is only reported: by a digest of the family's name."""
    return hashlib.sha256(net.family.encode()).digest()[0] % 2 == 1


def matrix(said: Mapping[nets.Net, str], labels: Mapping[nets.Net, training.Labelled]) -> dict[tuple[str, str], int]:
    """How many nets of each label got each verdict."""
    table = {(label, verdict): 0 for label in LABELS for verdict in VERDICTS}
    for net, verdict in said.items():
        if net in labels:
            table[labels[net].label, verdict] += 1
    return table
