"""Trackers: TensorBoard, Weights & Biases, CSV; each is a sink of three methods, fed while runs train."""

from initlab.study.trackers import csv_files, tensorboard, wandb_runs
from initlab.study.trackers.feed import Tracking, check_trackers, track
from initlab.study.trackers.protocol import TRACKERS, TrackedRun, Tracker, path_part, register_tracker
from initlab.study.trackers.runs import FinishedStudy

__all__ = [
    "TRACKERS",
    "FinishedStudy",
    "TrackedRun",
    "Tracker",
    "Tracking",
    "check_trackers",
    "csv_files",
    "path_part",
    "register_tracker",
    "tensorboard",
    "track",
    "wandb_runs",
]
