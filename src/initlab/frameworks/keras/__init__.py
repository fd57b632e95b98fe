"""Keras 3 models, on each of its back ends: described, read and written in the canonical layout."""
