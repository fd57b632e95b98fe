"""Weights & Biases: a run a run, offline unless ``WANDB_MODE`` says otherwise; ``wandb sync`` sends them afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from initlab.core.errors import MissingDependencyError
from initlab.core.training.protocol import Histogram
from initlab.study.trackers.protocol import TrackedRun, path_part, register_tracker

PROJECT = "initlab"


@register_tracker("wandb", aliases=("weights_and_biases",))
class WandbRun:
    """One run of W&B, in the study's group.

    Args:
        run: The run.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._wandb = _wandb()
        run.folder.joinpath("wandb").mkdir(parents=True, exist_ok=True)
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=run.study,
            job_type=run.place[0],
            name=run.name,
            config=dict(run.config),
            dir=str(run.folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            reinit="create_new",
            settings=_settings(self._wandb),
        )

    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        """One step of the run's history."""
        bars = {name: self._bars(histogram) for name, histogram in histograms.items()}
        self._run.log({"epoch": epoch, **scalars, **bars}, step=epoch)

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
