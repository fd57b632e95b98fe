"""Short lessons on initial weights, every number from a run; importing this package fills the registry.

A lesson is one function: it runs its experiment, and its text stands beside the numbers that it quotes. Such a function
is a page long, and is read as one.
"""

from __future__ import annotations

from importlib import import_module

from initlab.lessons.lesson import LESSONS, Bars, Formula, Lesson, Table, Topic, learn, register_lesson

# The order of the list of topics, and of the guide's pages.
CHAPTERS = (
    "problem",
    "gradients",
    "recurrent",
    "symmetry",
    "random_draws",
    "named",
    "matrices",
    "truncation",
    "dialects",
    "rules_of_thumb",
    "remedies",
    "regularising",
    "choices",
    "transformers",
    "claims",
)
for _chapter in CHAPTERS:
    import_module(f"{__name__}.{_chapter}")

__all__ = ["CHAPTERS", "LESSONS", "Bars", "Formula", "Lesson", "Table", "Topic", "learn", "register_lesson"]
