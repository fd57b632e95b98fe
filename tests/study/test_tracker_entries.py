"""What Keras' own callbacks write of a fit, the trackers write too, under the same names and one step later."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def table(file: Path) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_the_table_in_the_docs_is_what_the_files_of_a_fit_hold(tmp_path: Path) -> None:
    for package in ("tensorflow", "tensorboard", "tensorboardX", "wandb"):
        pytest.importorskip(package.replace("tensorflow", "keras"))
    found = tmp_path / "entries.csv"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(DOCS / "tracker_entries.py"), str(found)],
        capture_output=True, text=True, check=False, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    key = ("where", "entry", "kind")
    assert sorted(table(found), key=lambda row: [row[k] for k in key]) == sorted(
        table(DOCS / "tracker_entries.csv"), key=lambda row: [row[k] for k in key]
    )


def test_every_entry_of_keras_is_there_one_step_later() -> None:
    rows = [row for row in table(DOCS / "tracker_entries.csv") if row["steps of Keras"] != "-"]
    assert len(rows) == 30
    for row in rows:
        shift = 0 if "iterations" in row["entry"] else 1
        theirs = {int(step) + shift for step in row["steps of Keras"].split()}
        ours = {int(step) for step in row["steps here"].split()}
        assert theirs <= ours <= theirs | {0}, row


def test_the_initialization_activations_and_gradients_are_there_beside() -> None:
    ours = {row["entry"]: row["steps here"].split() for row in table(DOCS / "tracker_entries.csv")}
    for name in ("net/conv/kernel/histogram", "net/conv/kernel/image", "activation/layer_0", "gradient/layer_1"):
        assert ours[name][0] == "0"
