"""Trackers: TensorBoard, Weights & Biases, CSV; each is a sink of three methods, fed from finished records."""

from initlab.study.trackers import csv_files, tensorboard, wandb_runs
from initlab.study.trackers.feed import FinishedStudy, check_trackers, track
from initlab.study.trackers.protocol import TRACKERS, TrackedRun, Tracker, path_part, register_tracker

__all__ = [
    "TRACKERS",
    "FinishedStudy",
    "TrackedRun",
    "Tracker",
    "check_trackers",
    "csv_files",
    "path_part",
    "register_tracker",
    "tensorboard",
    "track",
    "wandb_runs",
]
