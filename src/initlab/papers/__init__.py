"""Landmark claims at desk size: each row a claim, the paper's number, ours, and a verdict; importing it fills the list.

A row is one function beside its declaration: what is claimed and where, what counts as met and why, and which constant
makes it fall.
"""

from __future__ import annotations

from importlib import import_module

from initlab.papers.paper import PAPERS, Check, Measured, Paper, register_paper
from initlab.papers.result import PaperResult
from initlab.papers.run import paper

# The order of the list.
CHAPTERS = ("edges", "gains", "scalars", "signals", "norms", "depths", "training")
for _chapter in CHAPTERS:
    import_module(f"{__name__}.{_chapter}")

__all__ = ["CHAPTERS", "PAPERS", "Check", "Measured", "Paper", "PaperResult", "paper", "register_paper"]
