"""Weights & Biases: a run a run, offline unless ``WANDB_MODE`` says otherwise; ``wandb sync`` sends them afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from initlab.core.errors import MissingDependencyError
from initlab.core.training.protocol import Histogram
from initlab.study.trackers.protocol import TrackedRun, path_part, register_tracker

PROJECT = "initlab"
_KERAS = {"loss": "train_loss", "accuracy": "train_accuracy", "val_loss": "test_loss", "val_accuracy": "test_accuracy"}


@register_tracker("wandb", aliases=("weights_and_biases",))
class WandbRun:
    """One run of W&B, in the study's group.

    Beside the study's own numbers are those that ``WandbMetricsLogger`` logs, under its names: ``epoch/loss``,
    ``epoch/val_loss`` and so on, of train and validation in one run, one epoch later than its own, as epoch 0 is the
    state at initialization.

    Args:
        run: The run.
    """

    MOST_OPEN: ClassVar[int] = 8
    """Each open run costs its service a fifth of a second and 3 MB; the others are told when they end."""

    def __init__(self, run: TrackedRun) -> None:
        self._wandb = _wandb()
        run.folder.joinpath("wandb").mkdir(parents=True, exist_ok=True)
        self._rate, mode = run.learning_rate, os.environ.get("WANDB_MODE", "offline")
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=run.study,
            job_type=run.place[0],
            name=run.name,
            id=run.id or None,
            resume="allow" if run.sent >= 0 and mode == "online" else None,
            config=dict(run.config),
            dir=str(run.folder),
            mode=cast("Any", mode),
            reinit="create_new",
            settings=_settings(self._wandb),
        )
        self._run.define_metric("epoch/epoch")
        self._run.define_metric("epoch/*", step_metric="epoch/epoch")

    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        """One step of the run's history."""
        bars = {name: self._bars(histogram) for name, histogram in histograms.items()}
        theirs = {f"epoch/{name}": scalars[of] for name, of in _KERAS.items() if of in scalars}
        if epoch and self._rate is not None:
            theirs["epoch/learning_rate"] = self._rate
        self._run.log({"epoch": epoch, "epoch/epoch": epoch, **theirs, **scalars, **bars}, step=epoch)

    def _bars(self, histogram: Histogram) -> Any:
        edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
        return self._wandb.Histogram(np_histogram=(histogram.counts, edges))

    def show(self, pictures: Mapping[str, bytes], text: str) -> None:
        """The pictures as media, the text as the run's notes."""
        with tempfile.TemporaryDirectory() as folder:
            shown = {}
            for name, data in pictures.items():
                file = Path(folder, f"{path_part(name)}.png")
                file.write_bytes(data)
                shown[name] = self._wandb.Image(str(file), caption=self._run.name)
            if shown:
                self._run.log(shown)
        self._run.notes = text

    def close(self, summary: Mapping[str, float | str]) -> None:
        """The run's summary; its file is whole."""
        self._run.summary.update(dict(summary))
        self._run.finish()


def _wandb() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise MissingDependencyError(
            "the tracker wandb needs the package 'wandb'", fix="pip install 'initlab[trackers]'"
        ) from error
    return wandb


def _settings(wandb: Any) -> Any:
    """The numbers alone: no console, no code, no git state, no list of packages, no statistics of the machine."""
    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
    )
