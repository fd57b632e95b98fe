"""Frameworks: each behind its adapter, found by a model's own class; none is imported that is not in use."""

from __future__ import annotations

from initlab.frameworks.book import FRAMEWORKS
from initlab.frameworks.registry import (
    Framework,
    adapter_for,
    constructed,
    framework_of,
    is_saved_model,
    models,
    opened,
    register_framework,
    seeded,
    watching,
)

__all__ = [
    "FRAMEWORKS",
    "Framework",
    "adapter_for",
    "constructed",
    "framework_of",
    "is_saved_model",
    "models",
    "opened",
    "register_framework",
    "seeded",
    "watching",
]
