__version__ = "0.1.0"

NUMERICS = "1"
"""Raised whenever a run gives other numbers than before: by its draws, its batches, its training or its records."""
