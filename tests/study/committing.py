"""A process that commits records, for tests that make its system calls fail: ``committing.py FOLDER SEED...``."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from initlab.core.errors import InitlabError
from initlab.core.facts.arch import Mlp
from initlab.core.training.protocol import Budget, Optimizer
from initlab.study import store
from initlab.study.records import RunRecord, RunSpec


def record(seed: int) -> RunRecord:
    """A run whose numbers are its seed's."""
    spec = RunSpec("zeros", "iris", "", Mlp((4, 3)), Optimizer(), Budget(2, 8), seed)
    curves = {name: np.arange(3.0) + seed for name in ("train_loss", "test_loss")}
    return RunRecord(spec.run_id, spec, "ok", curves=curves)


def temporary(seed: int) -> str:
    """The temporary file of a record, so that a test can name it."""
    return f"{store._TEMPORARY}{record(seed).run_id}"


if __name__ == "__main__":
    folder, *seeds = sys.argv[1:]
    for seed in map(int, seeds):
        store.uuid.uuid4 = lambda seed=seed: SimpleNamespace(hex=record(seed).run_id)  # type: ignore[assignment]
        try:
            there = store.Store(Path(folder))
            there.clean()
            there.commit(record(seed))
        except InitlabError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(error.exit_code)
