"""Data sets as NumPy arrays, by name or from a user's own arrays and tables."""

from __future__ import annotations

from initlab.tasks import images, synthetic, tabular  # noqa: F401  (each registers its tasks when it is imported)
from initlab.tasks.arrays import from_arrays, from_split
from initlab.tasks.registry import TASKS, Task, load_task, register_task
from initlab.tasks.table import from_csv

__all__ = ["TASKS", "Task", "from_arrays", "from_csv", "from_split", "load_task", "register_task"]
